"""Finds the links, pipes, sockets and devices in a folder, which a program may leave for whoever reads its results."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def special_files(folder: Path) -> set[Path]:
    """Return everything in ``folder`` that is neither a folder nor a file with a single name. Follows no link."""
    found = set()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            status = path.lstat()
            is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            if not (is_plain or stat.S_ISDIR(status.st_mode)):
                found.add(path)
    return found


def remove_new_special_files(folder: Path, known: set[Path]) -> list[str]:
    """Remove the special files in ``folder`` that are not ``known``, and return their names."""
    found = sorted(special_files(folder) - known)
    for path in found:
        path.unlink()
    return [path.name for path in found]
