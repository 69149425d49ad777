"""The README's commands, run as they stand against a live sandbox; only the port is another."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from computenet.sandbox.embedded_redis import free_port
from tests.sandbox.running import ROOT, Sandbox, running, wait_until

pytestmark = [
    pytest.mark.docs,
    pytest.mark.skipif(not shutil.which("curl"), reason="The README's commands need curl (Debian: apt install curl)."),
]
README = (ROOT / "README.md").read_text()
BLOCKS = dict(re.findall(r"<!-- run: ([\w-]+) -->\n```bash\n(.*?)```", README, re.DOTALL))
# What a block without a mark begins with, and where it is run instead: each takes minutes, or a machine of its own.
ELSEWHERE = {
    "make demo ": "tests/sandbox/test_demo.py",
    "make run": "tests/sandbox/running.py",  # `manage.py sandbox`, which is all of it once .venv is there
    "export COMPUTENET_URL=": "tests/house/test_wheels.py",  # the wheels, where nothing else is installed
    "python3 -m venv client ": "tests/house/test_wheels.py",
    "pip install ./computenet_client": "tests/house/test_wheels.py",
    "sudo install -d ": "tests/house/test_compose.py",  # who the containers are is held against the images there
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("home"), free_port()) as started:
        yield started


def run(block: str, sandbox: Sandbox, folder: Path) -> list[dict[str, Any]]:
    """Run a block of the README in `folder` and answer every JSON object that it printed."""
    commands = BLOCKS[block].replace("localhost:5000", f"127.0.0.1:{sandbox.port}")
    done = subprocess.run(["sh", "-e"], input=commands, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        answer, end = decoder.raw_decode(text)
        found.append(answer)
        text = text[end:].strip()
    return found


def test_the_flow_from_registration_to_payment(sandbox: Sandbox, tmp_path: Path) -> None:
    answers = run("flow", sandbox, tmp_path)
    assert [answer.get("success") for answer in answers] == [True, True, True, True, None]
    job_id = answers[2]["job_id"]
    wait_until(lambda: sandbox.call("GET", f"/job/{job_id}/status")["status"] == "verified", seconds=5.0)
    [worker] = run("paid", sandbox, tmp_path)
    assert worker["jobs_completed"] == 1
    assert worker["balance"] == 150


def test_a_job_on_ones_own_data(sandbox: Sandbox, tmp_path: Path) -> None:
    dataset, client, status, result = run("own-data", sandbox, tmp_path)
    assert dataset["columns"] == ["price", "city", "area", "rooms"] and dataset["rows"] == 9
    assert client["success"] is True
    assert status["status"] == "verified"
    with (tmp_path / "flats.csv").open() as file:
        rows = list(csv.DictReader(file))
    features = np.array([[1.0, float(row["area"]), float(row["rooms"])] for row in rows])
    exact, *_ = np.linalg.lstsq(features, np.array([float(row["price"]) for row in rows]), rcond=None)
    for answer in (status["result"], result):
        np.testing.assert_allclose([answer["intercept"], *answer["coefficients"]], exact, rtol=1e-6)


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md", "docs/first-hour.md", "docs/client.md"])
def test_every_block_of_commands_is_run_here_or_elsewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    unmarked = [
        block for mark, block in re.findall(r"(<!-- run: .*? -->\n)?```bash\n(.*?)```", text, re.DOTALL) if not mark
    ]
    for block in unmarked:
        [where] = [place for begins, place in ELSEWHERE.items() if block.startswith(begins)]
        assert (ROOT / where).is_file()


def test_the_readme_names_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", re.sub(r"[^`]*(`[^`]*`|```.*?```)", r"\1 ", README, flags=re.DOTALL)))
    assert named and named <= targets


def test_every_link_to_a_file_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / target).exists(), target
