"""Ends a program when the process that started it dies, at whatever moment."""

from __future__ import annotations

import shutil

RUN_IF_PARENT_LIVES = ("sh", "-c", 'dd iflag=nonblock count=1 2>/dev/null && exit 1; exec "$@" </dev/null', "sh")
"""A command prefix that runs the rest of the command, with an empty input, if its parent lives.

Standard input must be a pipe of which only the parent holds the other end, so that it is at its end when the parent is
dead. It follows ``die_with_parent``, which has no effect if the parent died before.
"""


def die_with_parent() -> list[str]:
    """Return a command prefix with which the kernel kills the program when its parent dies.

    Empty on a system without ``setpriv``.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
