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
WORTH_SHOWING = re.compile(r"(?<!%)\b(WARNING|ERROR|CRITICAL)\b|\bINFO marketplace\b")  # %: a banner names its level
LOG_LIMIT_BYTES = 20 * 1024**2

Show = Callable[[str, str], None]  # (name of the process, line)


@dataclass
class Child:
    """One running process. `ready` is set when its output has matched `ready_when`."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    ready_when: re.Pattern[str] | None
    quiet: bool
    ready: threading.Event = field(default_factory=threading.Event)
    reader: threading.Thread | None = None

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log, once it has ended."""
        if self.reader is not None:
            self.reader.join(timeout=2.0)
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class ProcessGroup:
    """The children of this process.

    `show` is given each line that a person should see: warnings, errors and news of the marketplace, or everything if
    `verbose`. `start` is to be called from a thread that lives as long as the children should: on Linux the kernel
    ends them with it.
    """

    logs: Path
    show: Show
    verbose: bool = False
    children: list[Child] = field(default_factory=list)
    _ending: bool = False  # what processes say when others are gone is news to nobody

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path,
        ready_when: str | None = None,
        quiet: bool = False,
    ) -> Child:
        """Start `command` and go on; its output goes to ``<logs>/<name>.log``, if `quiet` there alone."""
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        pattern = re.compile(ready_when) if ready_when else None
        child = Child(name, process, self.logs / f"{name}.log", pattern, quiet)
        child.reader = threading.Thread(target=self._copy, args=(child,), name=f"log-{name}", daemon=True)
        child.reader.start()
        self.children.append(child)
        return child

    def _copy(self, child: Child) -> None:
        """Copy the output of `child` to its log, which starts anew beside an older one when it is too long."""
        assert child.process.stdout is not None
        file, shown = child.log.open("a", buffering=1), ""
        try:
            for line in child.process.stdout:
                if file.tell() > LOG_LIMIT_BYTES:
                    file.close()
                    child.log.replace(child.log.with_suffix(".log.1"))
                    file = child.log.open("a", buffering=1)
                file.write(line)
                if child.ready_when and child.ready_when.search(line):
                    child.ready.set()
                wanted = self.verbose or (not child.quiet and line != shown and WORTH_SHOWING.search(line))
                if wanted and not self._ending:
                    shown = line  # the same complaint again and again is said once
                    self.show(child.name, line.rstrip())
        finally:
            file.close()

    def ended(self) -> Child | None:
        """A child that is no longer running, if there is one."""
        return next((child for child in self.children if child.process.poll() is not None), None)

    def stop(self, grace_seconds: float = 8.0) -> None:
        """End every child: all but the first at once, then the first, on which they lean (it is Redis).

        Who does not go within the grace is killed.
        """
        self._ending = True
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
                if child.reader is not None:
                    child.reader.join(timeout=2.0)
        self.children.clear()
