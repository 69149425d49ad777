"""The worker's and the client's wheels: built from a clean checkout, installed where nothing else is, and used.

The empty environments get what each wheel says it depends on, from this environment's own copies, and nothing more:
no registry is asked.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from computenet.sandbox.embedded_redis import free_port
from tests.sandbox.running import ROOT, running, wait_until

pytestmark = pytest.mark.processes
PACKAGES = {
    "workers": ("django", "rest_framework", "channels", "marketplace", "computenet", "computenet_client"),
    "computenet_client": ("django", "celery", "redis", "marketplace", "workers", "computenet"),
}
JOB = """
import sys
import numpy as np
from computenet_client import Network
network = Network(sys.argv[1], client="buyer")
network.register()
X = np.random.default_rng(0).normal(size=(200, 3))
job = network.submit("linear", X, X @ [1.0, 2.0, 3.0] + 4.0, reward=5)
job.wait(60)
assert np.allclose(job.result()["coefficients"], [1, 2, 3], atol=1e-6)
print(job.receipt()["checked_here"] and "verified")
"""
NONE_OF = """
import importlib.util
for name in {names!r}:
    assert importlib.util.find_spec(name) is None, name
"""


def wheel(package: str, folder: Path) -> Path:
    """Build one package's wheel from the files that a clean checkout has."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", package], cwd=ROOT, capture_output=True, text=True, check=True
    )
    source = folder / "checkout"
    for name in listed.stdout.split():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run(
        [*command, str(source / package), "-w", str(folder)], capture_output=True, text=True, timeout=120
    )
    assert built.returncode == 0, built.stderr
    [found] = folder.glob("*.whl")
    return found


def needed(requirements: list[str], extra: str = "") -> set[str]:
    """The names of all that these requirements want, with what those want in turn."""
    found: set[str] = set()
    waiting = [(Requirement(each), extra) for each in requirements]
    while waiting:
        requirement, wanted = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        own = metadata.requires(name) or []
        for extra in ["", *requirement.extras] if name not in found else requirement.extras:
            waiting += [(Requirement(each), extra) for each in own]
        found.add(name)
    return found


def installed(built: Path, folder: Path) -> Path:
    """A Python of an environment that holds `built`, and what it depends on."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = next((folder / "lib").glob("python*/site-packages"))
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*command, str(built)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    [own] = metadata.distributions(path=[str(site)])
    for name in needed(own.requires or []):
        for file in metadata.files(name) or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (site / top).exists():
                (site / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    return python


@pytest.mark.skipif(not shutil.which("git"), reason="A clean checkout is told by git.")
def test_both_wheels_install_where_nothing_else_is_and_do_a_job_between_them(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="Building wheels offline needs setuptools.")
    pythons = {name: installed(wheel(name, tmp_path / name), tmp_path / name / "environment") for name in PACKAGES}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("COMPUTENET_", "PYTHON"))}
    for name, absent in PACKAGES.items():
        subprocess.run([pythons[name], "-c", NONE_OF.format(names=absent)], cwd="/", env=plain, check=True)
    with running(tmp_path / "home", free_port()) as sandbox:
        stated = {"worker_id": "wheel", "gpu_type": "CPU", "compute_capacity": 0.1, "stake_amount": 150}
        key = sandbox.call("POST", "/worker/register", stated)["enrolment_key"]
        settings = {"COMPUTENET_URL": sandbox.address, "COMPUTENET_KEY": key, "COMPUTENET_DEVICE": "cpu"}
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [pythons["workers"], "-m", "celery", "-A", "workers", "worker", "-l", "info"], cwd="/",
                env={**plain, **settings, "COMPUTENET_WORKER_HOME": str(tmp_path / "worker")},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_until(lambda: " ready." in (tmp_path / "worker.log").read_text(), seconds=60.0)
            done = subprocess.run(
                [pythons["computenet_client"], "-c", JOB, sandbox.address], cwd="/", env=plain, capture_output=True,
                text=True, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "verified" in done.stdout
            assert "Assignment " in (tmp_path / "worker.log").read_text()  # this worker computed it, no stand-in
            assert sandbox.call("GET", "/worker/wheel/status")["jobs_completed"] == 1
        finally:
            worker.terminate()
            assert worker.wait(30) == 0
