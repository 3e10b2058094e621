"""Finds the links, pipes, sockets and devices in a folder, which a program may leave for whoever reads its results."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

from orchestrator.domain.untrusted_folder import entries_in


def special_files(folder: Path) -> set[Path]:
    """Return everything in ``folder`` that is neither a folder nor a file with a single name. Follows no link.

    Raises ToolFailed if the folders are nested too deeply.
    """
    found = set()
    for entry in entries_in(folder):
        with suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
            if not (is_plain or stat.S_ISDIR(status.st_mode)):
                found.add(Path(entry.path))
    return found


def remove_new_special_files(folder: Path, known: set[Path]) -> list[str]:
    """Remove the special files in ``folder`` that are not ``known``, and return their names.

    Raises ToolFailed if the folders are nested too deeply.
    """
    found = sorted(special_files(folder) - known)
    for path in found:
        path.unlink()
    return [path.name for path in found]
