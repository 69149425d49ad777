"""The client alone: it needs nothing of the coordinator's or a GPU host's side, and comes as a wheel of its own."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.sandbox.running import ROOT

# Runs first in a process: whatever is named cannot be imported there.
BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is not to be had here")
sys.meta_path.insert(0, Block())
"""
OURS = {"django", "rest_framework", "channels", "celery", "kombu", "redis", "marketplace", "workers", "computenet"}
IMPORT_ALL = """
import computenet_client, importlib, pkgutil
for found in pkgutil.walk_packages(computenet_client.__path__, "computenet_client."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
        print(found.name)
"""


def python(code: str, folder: Path, blocked: set[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", BLOCK.format(blocked=blocked) + code]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=60)


def test_every_module_imports_where_django_celery_and_the_network_are_not_installed() -> None:
    done = python(IMPORT_ALL, ROOT, OURS | {"pandas", "polars"})
    assert done.returncode == 0, done.stderr
    assert {"computenet_client.network", "computenet_client.estimators.files"} <= set(done.stdout.split())


def test_only_the_estimators_need_scikit_learn() -> None:
    code = "import computenet_client.cli, computenet_client.job\nimport computenet_client.estimators"
    done = python(code, ROOT, OURS | {"sklearn"})
    assert done.returncode == 1
    assert "pip install 'computenet-client[estimators]'" in done.stderr.splitlines()[-1]
    assert python("import computenet_client.cli, computenet_client.tables", ROOT, OURS | {"sklearn"}).returncode == 0


@pytest.mark.processes
def test_the_wheel_holds_the_package_alone_and_works_without_the_repository(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="Building the wheel offline needs setuptools.")
    source = tmp_path / "computenet_client"  # a copy: building writes beside the sources
    shutil.copytree(
        ROOT / "computenet_client", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    )
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", str(source)]
    built = subprocess.run([*command, "-w", str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("computenet_client-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
        [entry_points] = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert "computenet = computenet_client.cli:main" in entry_points
    assert "computenet_client/py.typed" in names
    modules = {
        str(path.relative_to(ROOT)) for path in (ROOT / "computenet_client").rglob("*.py") if "build" not in path.parts
    }
    assert {name for name in names if name.endswith(".py")} == modules
    done = python(IMPORT_ALL, tmp_path / "installed", OURS)
    assert done.returncode == 0, done.stderr
