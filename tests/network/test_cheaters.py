"""Real processes, four of ten workers cheating on everything: nothing wrong is paid, nothing right is slashed.

`COMPUTENET_CHEAT_JOBS` says how many jobs; the figures are printed at the end (`pytest -s`).
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.network.test_whole_network import network, upload
from tests.sandbox.running import ROOT, Sandbox, environment, wait_until
from workers.catalog import MODELS
from workers.catalog.backend import NUMPY
from workers.catalog.base import no_progress

pytestmark = pytest.mark.processes

JOBS = int(os.environ.get("COMPUTENET_CHEAT_JOBS", "60"))
MORE, MORE_AT_MOST = 20, 300  # jobs that follow while a cheater has not been found out often enough
HONEST = [f"honest_{i}" for i in range(6)]
CHEATS = [f"cheat_{i}" for i in range(4)]
STAKE, GIVEN, REWARD = 150, 250, 10  # tokens; a worker of the sandbox starts with its stake and a hundred more
KINDS: dict[str, dict[str, Any]] = {
    "linear_regression": {},
    "pca_analysis": {"n_components": 2},
    "kmeans_clustering": {"k": 4, "n_init": 4},
}


def datasets() -> list[np.ndarray]:
    """Overlapping groups with a linear last column, so that every model has something to do on each."""
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(400, 5)) + 1.5 * rng.normal(size=(4, 5))[rng.integers(4, size=400)] + seed
        y = X @ rng.normal(size=5) + 0.5 * rng.normal(size=400)
        found.append(np.column_stack([X, y]))
    return found


@contextmanager
def celery_worker(sandbox: Sandbox, name: str, home: Path, app: str, offset: int) -> Iterator[None]:
    registered = sandbox.call(
        "POST",
        "/worker/register",
        {"worker_id": name, "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": STAKE},
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "warning", "-P", "solo"],
        cwd=ROOT,
        env={
            **environment(home, sandbox.port),
            "COMPUTENET_URL": sandbox.address,
            "COMPUTENET_KEY": registered["enrolment_key"],
            "COMPUTENET_WORKER_HOME": str(home),
            "COMPUTENET_GPU_TYPE": "RTX 4090",
            "CHEAT_OFFSET": str(offset),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(sandbox: Sandbox, uploaded: list[str], first: int, count: int) -> dict[str, tuple[str, int]]:
    """Submit `count` jobs of all kinds on all data sets and wait for their ends; answers each one's kind and data."""
    made = {}
    for number in range(first, first + count):
        kind, data = list(KINDS)[number % 3], (number // 3) % len(uploaded)
        body = {"client_address": "alice", "model_type": kind, "reward": REWARD, "params": KINDS[kind]}
        answer = sandbox.call("POST", "/job/submit", body | {"dataset": uploaded[data]})
        assert answer.get("success"), answer
        made[answer["job_id"]] = (kind, data)
    wait_until(lambda: all_ended(sandbox, first + count), 60 + 2 * count, interval=0.5)
    return made


def all_ended(sandbox: Sandbox, count: int) -> bool:
    figures = sandbox.call("GET", "/network/stats")["performance"]
    return figures["completed_jobs"] + figures["failed_jobs"] >= count


def active(sandbox: Sandbox, names: list[str]) -> list[str]:
    return [name for name in names if sandbox.call("GET", f"/worker/{name}/status")["is_active"]]


def is_right(kind: str, table: np.ndarray, seed: int, result: dict[str, Any]) -> bool:
    """Held against NumPy's own solvers; k-means, which has many optima, against an honest run of the same seed."""
    if kind == "linear_regression":
        exact = np.linalg.lstsq(np.column_stack([np.ones(len(table)), table[:, :-1]]), table[:, -1], rcond=None)[0]
        return np.allclose([result["intercept"], *result["coefficients"]], exact, rtol=1e-6, atol=1e-8)
    if kind == "pca_analysis":
        _, singular, vectors = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
        same = np.abs((np.array(result["components"]) * vectors[:2]).sum(axis=1))
        variance = singular[:2] ** 2 / (len(table) - 1)
        return np.allclose(same, 1, atol=1e-6) and np.allclose(result["explained_variance"], variance, rtol=1e-6)
    model = MODELS[kind]
    own = model.fit(table, None, model.clean(KINDS[kind]), seed, backend=NUMPY, progress=no_progress)["centroids"][-1]
    squared = ((table[:, None, :] - own) ** 2).sum(axis=2).min(axis=1).sum()
    return abs(result["inertia"] - squared) <= 1e-3 * squared


def test_nothing_wrong_is_paid_and_nobody_honest_is_slashed_while_four_of_ten_cheat(
    committed_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ten workers on few cores: patience with them, and one thread of linear algebra each.
    patience = {"POLICY_LEASE_SECONDS": "60", "POLICY_START_WITHIN_SECONDS": "60", "POLICY_SILENT_AFTER_SECONDS": "60"}
    for name, value in (patience | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}).items():
        monkeypatch.setenv(name, value)
    tables = datasets()
    with ExitStack() as stack:
        sandbox = stack.enter_context(network(tmp_path / "home", committed_db))
        for offset, name in enumerate(HONEST + CHEATS):
            app = "workers" if name in HONEST else "tests.network.cheater"
            stack.enter_context(celery_worker(sandbox, name, tmp_path / name, app, 2 * offset))
        wait_until(lambda: all((tmp_path / name / "credentials.json").exists() for name in HONEST + CHEATS), 120)
        uploaded = []
        for index, table in enumerate(tables):
            np.save(tmp_path / "table.npy", table)
            uploaded.append(upload(sandbox, f"table_{index}.npy", (tmp_path / "table.npy").read_bytes()))
        began = time.monotonic()
        jobs = run(sandbox, uploaded, 0, JOBS)
        while active(sandbox, CHEATS) and len(jobs) < JOBS + MORE_AT_MOST:
            jobs |= run(sandbox, uploaded, len(jobs), MORE)
        seconds = time.monotonic() - began
        receipts = {job: sandbox.call("GET", f"/job/{job}/receipt") for job in jobs}
        results = {job: sandbox.call("GET", f"/job/{job}/result") for job in jobs}
        workers = {name: sandbox.call("GET", f"/worker/{name}/status") for name in [*HONEST, *CHEATS, "local"]}
    wealth = {name: worker["balance"] + worker["stake"] for name, worker in workers.items()}
    attempts = [attempt for receipt in receipts.values() for attempt in receipt["attempts"]]
    report(tmp_path, attempts, wealth, len(jobs), seconds)

    assert {receipt["status"] for receipt in receipts.values()} == {"verified"}
    for job, (kind, data) in jobs.items():
        table = tables[data]
        assert is_right(kind, table, receipts[job]["seed"], results[job]), (kind, job)
    for attempt in attempts:
        paid = [each["code"] for each in attempt["transfers"]]
        if attempt["worker"] in CHEATS:
            assert attempt["state"] != "accepted" and "capture" not in paid, attempt
        else:
            assert attempt["state"] != "rejected" and "slash" not in paid, attempt
    for name in HONEST:
        assert workers[name]["is_active"] and wealth[name] >= GIVEN
    for name in CHEATS:
        assert not workers[name]["is_active"] and wealth[name] < GIVEN, (name, workers[name])


def report(folder: Path, attempts: list[dict[str, Any]], wealth: dict[str, float], jobs: int, seconds: float) -> None:
    """What happened, in figures."""
    ways = {}
    for name in CHEATS:
        for line in (folder / name / "cheats.jsonl").read_text().splitlines():
            cheat = json.loads(line)
            ways[cheat["assignment"]] = f"{cheat['model']}: {cheat['way']}"
    outcomes = Counter((ways[a["assignment"]], a["state"]) for a in attempts if a["assignment"] in ways)
    print(f"\n{jobs} jobs verified in {seconds:.1f} s, {len(attempts)} attempts")
    print("states:", dict(Counter((a["worker"].partition("_")[0], a["state"]) for a in attempts)))
    for (way, state), count in sorted(outcomes.items()):
        print(f"  {way:<45} {state:<12} {count}")
    checks = sum(a["verdict"]["seconds"] for a in attempts if a["verdict"])
    print(f"seconds of checks {checks:.2f}, of fits {sum(a['answer']['seconds'] for a in attempts if a['answer']):.2f}")
    print("wallet and stake:", {name: round(value, 2) for name, value in wealth.items()})
