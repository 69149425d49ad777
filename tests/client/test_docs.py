"""The blocks of docs/client.md, run as they stand against a sandbox; only the port and the client are others."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from computenet_client.cli import main
from computenet_client.cli.shared import EXIT_CODES
from tests.sandbox.running import ROOT, Sandbox, free_port

PAGE = (ROOT / "docs" / "client.md").read_text()
BLOCKS = re.findall(r"<!-- run: (\w+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)


TABLES = re.findall(r"<!-- run: (\w+) -->\n```\w+\n(.*?)```", (ROOT / "docs" / "tables.md").read_text(), re.DOTALL)
TUTORIAL = re.findall(r"<!-- run: (\w+) -->\n```\w+\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), re.DOTALL)


def blocks(kind: str, sandbox: Sandbox) -> str:
    found = "\n".join(text for named, text in BLOCKS + TABLES + TUTORIAL if named == kind)
    assert found
    mine = f"docs_{free_port()}"
    return (
        found.replace("localhost:5000", f"127.0.0.1:{sandbox.port}")
        .replace('client="me"', f'client="{mine}"')
        .replace("--client me", f"--client {mine}")
    )


@pytest.mark.processes
def test_the_python_of_the_page_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    code = blocks("python", sandbox) + "\nassert centres.shape == (4, 3)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def in_a_shell(commands: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "bin" / "computenet"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m computenet_client "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(tmp_path / "c"),
    }
    done = subprocess.run(
        ["sh", "-e"], input=commands, cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.processes
def test_the_commands_of_the_page_run(sandbox: Sandbox, tmp_path: Path) -> None:
    done = in_a_shell(blocks("shell", sandbox), tmp_path)
    prediction = done.stdout.split("prediction\n")[1].splitlines()[0]
    assert 300_000 < float(prediction) < 360_000
    assert "20 were paid" in done.stdout and "has 980.000000 tokens" in done.stdout


@pytest.mark.processes
def test_the_tutorial_runs_to_its_end(sandbox: Sandbox, tmp_path: Path) -> None:
    done = in_a_shell(blocks("tutorial", sandbox), tmp_path)
    assert (tmp_path / "groups.npz").stat().st_size > 0
    assert "980" in done.stdout and "group" in done.stdout.lower().split("has 980")[0]


def test_the_page_lists_every_command_and_exit_code() -> None:
    listed = re.search(r"lists the commands: (.*?)\. Models", PAGE, re.DOTALL)
    assert listed
    assert {name.split()[0] for name in re.findall(r"`([\w ]+)`", listed[1])} == set(main.commands)
    assert {int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)} == {0, 2, *(c for _, c in EXIT_CODES)}
