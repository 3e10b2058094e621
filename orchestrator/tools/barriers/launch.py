"""Executes a program behind barriers. ``launch_command`` returns the command line that runs ``main``."""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Mapping, Sequence

from orchestrator.tools.barriers.confine import confine

CODE_OF_FAILURE = 126  # as a shell's, for a program that cannot be executed
PACKAGES = os.path.realpath(f"{__file__}/../../../..")
CODE = f"import sys; sys.path.insert(0, {PACKAGES!r}); from orchestrator.tools.barriers.launch import main; main()"

Option = Sequence[str] | Sequence[int] | int | None


def launch_command(options: int) -> list[str]:
    """Return the prefix of a command that runs behind barriers.

    Python starts isolated and without site packages, which takes half of the usual time.

    Args:
        options: an inherited descriptor from ``options_file``.
    """
    return [sys.executable, "-I", "-S", "-c", CODE, str(options)]


def options_file(options: Mapping[str, Option]) -> int:
    """Return a descriptor of a file in memory with arguments of ``confine``, of any length. The caller closes it."""
    file = os.memfd_create("barriers")
    os.write(file, marshal.dumps(dict(options)))
    return file


def main() -> None:
    """Read the options, confine this process, and execute the command in the remaining arguments."""
    file, program = int(sys.argv[1]), sys.argv[2:]
    with os.fdopen(file, "rb") as options:
        options.seek(0)
        arguments = marshal.load(options)  # noqa: S302 - written by options_file
    try:
        confine(**arguments)
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        print(f"the program could not be started: {error.strerror}", flush=True)
        sys.exit(CODE_OF_FAILURE)
