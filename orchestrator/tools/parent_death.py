"""Command prefixes that end a program when the process that started it dies, even while it starts."""

from __future__ import annotations

import shutil

RUN_IF_PARENT_LIVES = ("sh", "-c", 'dd iflag=nonblock count=1 2>/dev/null && exit 1; exec "$@" </dev/null', "sh")
"""A command prefix that runs the rest of the command only if the process that started it is alive.

Standard input must be a pipe whose write end only that process holds: the pipe is at its end if the process is dead.
The program gets an empty standard input. Place this prefix after ``die_with_parent``, which has no effect if the parent
is dead already.
"""


def die_with_parent(signal_name: str = "KILL") -> list[str]:
    """Return a command prefix with which the kernel sends a signal to the program when its parent dies.

    The prefix is empty on a system without ``setpriv``.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []
