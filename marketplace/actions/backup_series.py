"""A folder of backups, each in a folder named after the moment it was begun; the newest finished one is `latest`.

The moment is this machine's own: a name, and nothing that the network counts with.
"""

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from marketplace.actions import backup

NAME = "%Y-%m-%dT%H%M%SZ"
NAMED = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")  # whatever is named otherwise is somebody else's, and stays
LATEST = "latest"


def finished(folder: Path) -> list[Path]:
    """The finished backups in `folder`, oldest first."""
    return [each for each in _of_the_series(folder) if not (each / "unfinished").exists()]


def due_in_seconds(folder: Path, *, every_seconds: float, now: datetime) -> float:
    """How long until the next backup is due: 0 where there is none, or the newest is that old."""
    there = finished(folder)
    if not there:
        return 0.0
    age = (now - datetime.strptime(there[-1].name, NAME).replace(tzinfo=UTC)).total_seconds()
    return min(max(0.0, every_seconds - age), every_seconds)  # a clock that went back waits no longer than that


def make_next(folder: Path, *, keep: int, now: datetime) -> list[Path]:
    """Make a backup, and remove the oldest finished ones and what was broken off, so that `keep` are left.

    Returns:
        The files that were made.

    Raises:
        backup.Failed: those that were there are there still.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = finished(folder)
    for each in _of_the_series(folder):
        if each not in there:  # broken off; its space may be what the next one wants
            shutil.rmtree(each)
    target = folder / now.strftime(NAME)
    made = backup.make(target)
    _point_to(target)
    for each in finished(folder)[:-keep]:
        shutil.rmtree(each)
    return made


def _of_the_series(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if NAMED.fullmatch(each.name) and each.is_dir())


def _point_to(target: Path) -> None:
    """Let `latest` name `target`, at no moment nothing."""
    waiting = target.parent / f".{LATEST}"
    waiting.unlink(missing_ok=True)
    waiting.symlink_to(target.name)
    os.replace(waiting, target.parent / LATEST)
