"""Run a command that ends when its parent does: ``python -I -S exec_child.py PARENT_PID COMMAND [ARGUMENT…]``.

On Linux the kernel is asked to kill this process when its parent is gone, even by SIGKILL; the request survives
`exec`. Elsewhere the command simply runs. A program of its own, because running Python between fork and exec in a
process with threads (`preexec_fn`) may deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it went before the kernel was asked
            sys.exit(1)
    os.execvp(command[0], command)


main()
