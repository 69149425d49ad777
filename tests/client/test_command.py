"""The command `computenet` as a person types it and as a program calls it, against a running sandbox."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from computenet_client import Network
from tests.sandbox.running import ROOT, Sandbox, free_port

pytestmark = pytest.mark.processes
FLATS = """price,city,area,rooms
245000,Bonn,70,2
290000,Bonn,90,2
297500,Mainz,85,3
375000,Mainz,120,3
352500,Trier,105,4
410000,Trier,130,4
155000,Bonn,30,2
"""
ON_FLATS = ("flats.csv", "--model", "linear", "--target", "price", "--columns", "area,rooms")


class Shell:
    """A folder and a home in which the command is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "flats.csv").write_text(FLATS)
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / "config")}

    def run(self, *arguments: str, given: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "computenet_client", *arguments], cwd=self.folder, env=self.environment,
            input=given, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)


@pytest.fixture
def shell(tmp_path: Path, network: Network) -> Shell:
    found = Shell(tmp_path)
    found.run("login", network.url, "--client", "alice")
    return found


def test_from_login_to_prediction(shell: Shell, tmp_path: Path) -> None:
    assert "could take it" in shell.run("quote", *ON_FLATS).stdout
    shown = shell.run("submit", *ON_FLATS, "--reward", "20", "--watch", "-o", "model.npz").stdout
    assert "verified" in shown and "coefficients" in shown
    newest = shell.json("jobs", "-n", "1")[0]["job_id"]
    assert newest in shell.run("jobs").stdout
    assert shell.json("job", newest)["status"] == "verified"
    with np.load(tmp_path / "model.npz") as arrays:
        b = arrays["coefficients"]
    assert shell.json("result", newest)["coefficients"] == b.tolist()
    assert "Wrote out.npz" in shell.run("result", newest, "-o", "out.npz").stdout
    (tmp_path / "new.csv").write_text("rooms,area\n2,70\n4,130\n")
    header, *rows = shell.run("predict", newest, "new.csv").stdout.splitlines()
    intercept = shell.json("result", newest)["intercept"]
    assert header == "prediction"
    np.testing.assert_allclose([float(row) for row in rows], [[70, 2], [130, 4]] @ b + intercept)
    receipt = shell.run("receipt", newest, "--data", "flats.csv").stdout
    assert "20 were paid" in receipt and "The data are those that the job names." in receipt
    assert "on other data" in shell.run("receipt", newest, "--data", "model.npz", code=6).stderr
    shell.run("predict", newest, "new.csv", "-o", "predicted.csv")
    assert (tmp_path / "predicted.csv").read_text().splitlines() == [header, *rows]


def test_money_and_workers(shell: Shell, network: Network) -> None:
    before = shell.json("balance")["balance"]
    name = f"worker_{free_port()}"
    added = shell.run("worker", "add", name, "--gpu", "RTX 4090", "--tflops", "82.6", "--stake", "150").stdout
    assert "COMPUTENET_KEY=" in added and "celery -A workers worker" in added
    assert name in shell.run("workers").stdout
    assert name in [worker["worker_id"] for worker in shell.json("workers")]
    shell.run("transfer", name, "5", given="n\n", code=1)
    assert shell.json("balance")["balance"] == before
    shell.run("transfer", name, "5", "--yes")
    assert shell.json("balance")["balance"] == before - 5
    assert network.worker(name)["balance"] == 105


def test_a_program_gets_json_on_both_ends_and_an_exit_code(shell: Shell) -> None:
    job = shell.json("submit", *ON_FLATS, "--reward", "1", "--watch")
    assert job["status"] == "verified" and len(job["result"]["coefficients"]) == 2
    failed = shell.run("cancel", job["job_id"], "--json", code=3)
    assert failed.stdout == ""
    assert json.loads(failed.stderr) == {"success": False, "error": "A job that is verified cannot become cancelled."}


def test_the_exit_code_says_what_kind_of_thing_went_wrong(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "flat.csv").write_text("kind,area\n1,70\n1,90\n1,95\n")
    logistic = ("submit", "flat.csv", "--model", "logistic", "--target", "kind", "--reward", "1", "--watch")
    assert "different values" in shell.run(*logistic, code=1).stderr
    assert (
        "NAME=VALUE" in shell.run("submit", "flats.csv", "--model", "kmeans", "--reward", "1", "-p", "k", code=2).stderr
    )
    assert (
        'Column "city" is text and cannot be used; give --missing to use it as a category, or name the columns to use '
        "in --columns." in shell.run("submit", "flats.csv", "--model", "kmeans", "--reward", "1", code=3).stderr
    )
    shell.environment |= {"COMPUTENET_URL": f"http://127.0.0.1:{free_port()}", "COMPUTENET_CLIENT": "alice"}
    assert "is the network up?" in shell.run("balance", code=4).stderr


def test_parameters_are_numbers_where_they_read_as_such(shell: Shell) -> None:
    job = shell.json(
        "submit", "flats.csv", "--model", "kmeans", "--columns", "2,3", "--reward", "1",
        "-p", "k=2", "-p", "tol=1e-3", "--watch",
    )  # fmt: skip
    assert (job["params"]["k"], job["params"]["tol"]) == (2, 0.001)
    assert len(job["result"]["centroids"]) == 2
    assert "k must be" in shell.run("submit", *ON_FLATS[:1], "--model", "kmeans", "--columns", "area", "--reward", "1",
                                    "-p", "k=two", code=3).stderr  # fmt: skip


def test_logging_in_registers_only_where_that_is_asked_for(sandbox: Sandbox, tmp_path: Path) -> None:
    shell, name = Shell(tmp_path), f"newcomer_{free_port()}"
    assert "add --register" in shell.run("login", sandbox.address, "--client", name, code=3).stderr
    assert not (tmp_path / "config").exists()
    assert "Run `computenet login ADDRESS`" in shell.run("workers", code=3).stderr
    assert shell.json("login", sandbox.address, "--client", name, "--register")["balance"] == 1000


def test_a_key_is_read_from_standard_input_and_never_shown(sandbox: Sandbox, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    done = shell.run("login", sandbox.address, "--client", "alice", "--key-stdin", given="cnk_wrong\n", code=5)
    assert "cnk_wrong" not in done.stdout + done.stderr
    assert not (tmp_path / "config").exists()


def test_gaps_and_categories_are_said_on_the_command_line(shell: Shell, tmp_path: Path) -> None:
    lines = [f"{70 + 3 * i if i != 4 else ''},{('Bonn', 'Mainz')[i % 2]},{9 * i + 5 * (i % 2)}" for i in range(20)]
    (tmp_path / "gaps.csv").write_text("\n".join(["area,city,price", *lines]) + "\n")
    asked = ("gaps.csv", "--model", "ridge", "--columns", "area,city", "--missing", "mean", "--standardise")
    assert "20 × 2" in shell.run("quote", *asked).stdout
    job = shell.json("submit", *asked, "--reward", "1", "--watch")
    assert job["recipe"]["standardise"] and job["result"]["features"] == ["area", "city=Mainz"]
    (tmp_path / "rows.csv").write_text("city,area\nMainz,\nBonn,70\n")
    header, *told = shell.run("predict", job["job_id"], "rows.csv").stdout.splitlines()
    assert header == "prediction" and len(told) == 2
    shell.run("predict", job["job_id"], "rows.csv", "-o", "told.csv")
    assert [float(line) for line in (tmp_path / "told.csv").read_text().splitlines()[1:]] == [float(t) for t in told]
    shell.run("result", job["job_id"], "-o", "mine.csv")
    assert (tmp_path / "mine.csv").read_text().startswith("area,city,price,prediction\n70,Bonn,0,")
    (tmp_path / "rows.csv").write_text("city,area\nTrier,80\n")
    assert "a level that the model was not fitted on" in shell.run("predict", job["job_id"], "rows.csv", code=3).stderr
