"""Child processes that share one fate: started in order, logged to a file each, ended together."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

EXEC_CHILD = Path(__file__).with_name("exec_child.py")
WORTH_SHOWING = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^[A-Za-z_.]*(Error|Exception)\b")
LOG_LIMIT_BYTES = 20 * 1024**2

Show = Callable[[str, str], None]  # (name of the process, line)


@dataclass
class Child:
    """One running process, and the thread that copies its output to its log."""

    name: str
    process: subprocess.Popen[str]
    reader: threading.Thread
    log: Path

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class ProcessGroup:
    """The children of this process.

    `show` is given each line that a person should see: warnings and errors, or everything if `verbose`.
    `start` is to be called from a thread that lives as long as the children should: on Linux the kernel ends them
    with it.
    """

    logs: Path
    show: Show
    verbose: bool = False
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], *, folder: Path) -> Child:
        """Start `command` and go on; its output goes to ``<logs>/<name>.log``."""
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(EXEC_CHILD), str(os.getpid()), *command],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C goes to the whole foreground group; out of it, children are ended by us, in order.
            start_new_session=True,
        )
        reader = threading.Thread(target=self._copy, args=(name, process, log), name=f"log-{name}", daemon=True)
        reader.start()
        child = Child(name, process, reader, log)
        self.children.append(child)
        return child

    def _copy(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdout is not None
        with log.open("a", buffering=1) as file:
            for line in process.stdout:
                file.write(line)
                if self.verbose or WORTH_SHOWING.search(line):
                    self.show(name, line.rstrip())

    def ended(self) -> Child | None:
        """A child that is no longer running, if there is one."""
        return next((child for child in self.children if child.process.poll() is not None), None)

    def stop(self, grace_seconds: float = 8.0) -> None:
        """End every child: all but the first at once, then the first, on which they lean (it is Redis).

        Who does not go within the grace is killed.
        """
        for some in (self.children[1:], self.children[:1]):
            for child in some:
                if child.process.poll() is None:
                    child.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + grace_seconds
            for child in some:
                try:
                    child.process.wait(timeout=max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    child.process.kill()
                    child.process.wait()
                child.reader.join(timeout=2.0)
        self.children.clear()
