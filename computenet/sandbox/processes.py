"""Child processes: started in order, logged to a file each, started again where one ends by itself, ended together."""

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
    """One program and the process that runs it now.

    `ready` is set when its output has matched `ready_when`. `ends` are the times (monotonic, seconds) at which it was
    found to have ended by itself.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[str]
    log: Path
    ready_when: re.Pattern[str] | None
    quiet: bool
    ready: threading.Event = field(default_factory=threading.Event)
    reader: threading.Thread | None = None
    ends: list[float] = field(default_factory=list)

    def how_it_ended(self) -> str:
        """How the process ended, once it has: "killed by SIGKILL", "with status 3"."""
        status = self.process.returncode
        if status >= 0:
            return f"with status {status}"
        named = {number.value: number.name for number in signal.Signals}
        return f"killed by {named.get(-status, f'signal {-status}')}"

    def ended_often(self, times: int, within_seconds: float) -> bool:
        """Count one more end, now; True where there were so many within the time."""
        now = time.monotonic()
        self.ends = [end for end in self.ends if now - end < within_seconds] + [now]
        return len(self.ends) >= times

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log, once it has ended."""
        if self.reader is not None:
            self.reader.join(timeout=2.0)
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class ProcessGroup:
    """The children of this process.

    `show` is given each line that a person should see: warnings, errors and news of the marketplace, or everything if
    `verbose`. `start` and `start_again` are to be called from a thread that lives as long as the children should: on
    Linux the kernel ends them with it.
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
        pattern = re.compile(ready_when) if ready_when else None
        kept = dict(environment)
        process = _spawn(command, kept, folder)
        child = Child(name, tuple(command), kept, folder, process, self.logs / f"{name}.log", pattern, quiet)
        self._read(child)
        self.children.append(child)
        return child

    def start_again(self, child: Child) -> None:
        """Start what has ended as it was started: the same command, environment, folder and log."""
        child.ready.clear()
        child.process = _spawn(child.command, child.environment, child.folder)
        self._read(child)

    def _read(self, child: Child) -> None:
        child.reader = threading.Thread(target=self._copy, args=(child,), name=f"log-{child.name}", daemon=True)
        child.reader.start()

    def _copy(self, child: Child) -> None:
        """Copy the output of `child` to its log, which starts anew beside an older one when it is too long."""
        output = child.process.stdout
        assert output is not None
        file, shown = child.log.open("a", buffering=1), ""
        try:
            for line in output:
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
            output.close()

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


def _spawn(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
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
