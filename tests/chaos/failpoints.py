"""Run one of the network's programs so that it dies, once each, at every commit and publish point that it reaches.

    python -m tests.chaos.failpoints celery -A computenet worker …

`CHAOS_FAILPOINTS` names a folder. While ``armed`` lies in it, the process ends itself with SIGKILL right before and
right after each commit and each message, the first time that any process gets there; ``died`` lists the points. A
point is named by what happens and by the functions of the marketplace that led there. Without the variable the program
simply runs.
"""

import fcntl
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

from django.db.backends.base.base import BaseDatabaseWrapper  # noqa: E402  Django must be set up first
from django.db.backends.utils import CursorWrapper  # noqa: E402

from marketplace import dispatch  # noqa: E402

WRITES = ("INSERT", "UPDATE", "DELETE")
OURS = f"{os.sep}marketplace{os.sep}"


def led_here() -> str:
    """The marketplace's functions that led here, innermost first."""
    names: list[str] = []
    frame = sys._getframe(1)
    while frame is not None and len(names) < 3:
        if OURS in frame.f_code.co_filename:
            names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back  # type: ignore[assignment]
    return " < ".join(names)


def die_once(folder: Path, point: str) -> None:
    if not (folder / "armed").exists():
        return
    with (folder / "died").open("a+") as died:
        fcntl.flock(died, fcntl.LOCK_EX)
        died.seek(0)
        if point in died.read().splitlines():
            return
        died.write(point + "\n")
        died.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def around(folder: Path, kind: str, real: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if not counts(*arguments):
            return real(*arguments, **options)
        where = led_here()
        die_once(folder, f"before {kind}: {where}")
        answer = real(*arguments, **options)
        die_once(folder, f"after {kind}: {where}")
        return answer

    return wrapped


def install(folder: Path) -> None:
    BaseDatabaseWrapper.commit = around(folder, "commit", BaseDatabaseWrapper.commit, lambda *_: True)
    dispatch._send = around(folder, "publish", dispatch._send, lambda *_: True)

    def commits_by_itself(cursor: Any, sql: Any, *_: Any) -> bool:
        return not cursor.db.in_atomic_block and str(sql).lstrip().upper().startswith(WRITES)

    CursorWrapper.execute = around(folder, "statement", CursorWrapper.execute, commits_by_itself)


def main() -> None:
    if folder := os.environ.get("CHAOS_FAILPOINTS"):
        install(Path(folder))
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
