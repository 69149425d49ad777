"""The migrations make what the models say, whatever order Python's sets have today."""

import os
import subprocess
import sys

import pytest

from tests.sandbox.running import ROOT


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_no_migration_is_missing(hash_seed, tmp_path):
    given = {**os.environ, "PYTHONHASHSEED": hash_seed, "DATABASE_URL": f"sqlite:///{tmp_path / 'none.sqlite3'}"}
    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
        cwd=ROOT, env=given, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
