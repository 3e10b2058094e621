"""Walks and removes folders in which an external program may have made any folders: deeply nested or unreadable ones.

The functions of the standard library walk recursively, and skip what they cannot read.
"""

from __future__ import annotations

import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.errors import ToolFailed

MAX_RELATIVE_PATH = 2000
"""Maximum length of the path of a folder, below the folder of the program, in bytes. Linux accepts paths of 4095 bytes
in calls, but a program can make longer ones step by step. Not tuned."""


def entries_in(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below ``folder``, while a program may change it. Follows no link.

    Raises ToolFailed if the path of a folder is longer than MAX_RELATIVE_PATH.
    """
    longest = len(os.fsencode(folder)) + MAX_RELATIVE_PATH
    waiting = [str(folder)]
    while waiting:
        path = waiting.pop()
        if len(os.fsencode(path)) > longest:
            raise ToolFailed(f"a program made a folder with a path of more than {MAX_RELATIVE_PATH} bytes")
        for entry in _entries(path):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            yield entry


def remove_untrusted(folder: Path) -> None:
    """Remove a folder with everything below it, as far as the system permits it. It need not exist."""
    waiting = [str(folder)]
    while waiting:
        path = waiting.pop()
        for entry in _entries(path):
            with suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)  # noqa: PTH108 - the entry has no Path
                elif path == str(folder):
                    waiting.append(entry.path)
                else:  # moved up, so that no path becomes longer
                    moved = str(folder / uuid.uuid4().hex)
                    _allow_owner(entry.path)
                    os.rename(entry.path, moved)  # noqa: PTH104 - like this
                    waiting.append(moved)
        if path != str(folder):
            with suppress(OSError):
                os.rmdir(path)  # noqa: PTH106 - like this
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Yield a new temporary folder for an external program, which is removed at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        remove_untrusted(folder)


def _entries(path: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing if it was removed meanwhile."""
    with suppress(OSError):
        _allow_owner(path)
        with os.scandir(path) as entries:
            return list(entries)
    return []


def _allow_owner(path: str) -> None:
    """Let the owner of a folder read and change it. Follows no link."""
    opened = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if (mode := os.fstat(opened).st_mode) & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(f"/proc/self/fd/{opened}", stat.S_IMODE(mode) | stat.S_IRWXU)  # noqa: PTH101 - no path
    finally:
        os.close(opened)
