"""`manage.py sandbox`: start the network, say where it is, and end it on Ctrl-C or SIGTERM."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from computenet.sandbox.errors import SandboxError
from computenet.sandbox.home import Home
from computenet.sandbox.stack import ROOT, Prepared, Stack

DEFAULT_PORT = 5000


def chosen_port(environment: Mapping[str, str], default: int = DEFAULT_PORT) -> int:
    """`PORT` of the environment.

    Raises:
        SandboxError: it is no port.
    """
    text = environment.get("PORT", "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise SandboxError(f'PORT must be a number from 1 to 65535, not "{text}".')
    return int(text)


def chosen_home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("COMPUTENET_HOME", "").strip() or ROOT / ".computenet")


def say(text: str = "") -> None:
    print(text, flush=True)


def show_line(process: str, line: str) -> None:
    print(f"[{process}] {line}", file=sys.stderr, flush=True)


def ending_tidily(body: Callable[[], int]) -> int:
    """Run `body` with SIGTERM and SIGHUP taken like Ctrl-C, and answer an exit status.

    `body` ends its children in a `finally`. A person who presses Ctrl-C wanted the end, so that is a success.
    """

    def interrupt(number: int, frame: object) -> None:
        # Once is enough: a second signal must not break off the tidying.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)
    try:
        return body()
    except KeyboardInterrupt:
        return 0
    except SandboxError as error:
        print(error, file=sys.stderr, flush=True)
        return 1


def run() -> int:
    """Start the sandbox as the environment says and stay until it is ended; answers the exit status."""
    return ending_tidily(_run)


def _run() -> int:
    port = chosen_port(os.environ)
    home = Home(chosen_home(os.environ))
    try:
        stack = Stack(home, port, show_line, verbose=os.environ.get("VERBOSE", "") not in ("", "0"))
        try:
            say("Starting the network …")
            prepared = stack.start(with_host_key=True)
            stack.wait_for(stack.start_host("local", prepared.host_key, slots=2))
            say(greeting(stack, prepared))
            while True:
                stack.mend()
                time.sleep(0.3)
        finally:
            if stack.processes.children:
                say("\nEnding …")
                stack.stop()
                say("All processes have ended.")
    finally:
        home.release()


def greeting(stack: Stack, prepared: Prepared) -> str:
    password = f"password {prepared.admin_password}" if prepared.admin_password else "the password that you chose"
    return f"""
  The network is up.

    Pages and API   {stack.address}/
    API reference   {stack.address}/docs/
    Admin           {stack.address}/admin/   user admin, {password}
    GPU host        "local", on this machine; it computes for every worker that you register by hand
    Data and logs   {stack.home.path}

  This is the sandbox: no log-in, and tokens for the asking, so it listens on this machine only.
  Ctrl-C ends it; what it knows is kept.
"""
