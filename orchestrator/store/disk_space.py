"""Free disk space, and the errors of a full disk."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import DiskFull

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, the quota of the user is used up, or the limit of the process (RLIMIT_FSIZE) is reached."""
FULL_TEXT = re.compile(rf"os error ({'|'.join(map(str, FULL))})\b|disk is full|No space left on device")
"""In the errors of obstore, which have no code, of SQLite and of PostgreSQL."""


@dataclass(frozen=True)
class DiskSpace:
    """The disks on which the service stores files."""

    folders: Collection[Path]
    min_free_bytes: int  # 0: do not check

    def check(self, size_bytes: int = 0) -> None:
        """Raise DiskFull if less than the minimum would be free after ``size_bytes`` more have been stored."""
        if not self.min_free_bytes:
            return
        free = min(shutil.disk_usage(folder).free for folder in self.folders)
        if free - size_bytes < self.min_free_bytes:
            problem = (
                f"the service has {free >> 20} MiB of free disk space and keeps {self.min_free_bytes >> 20} MiB free"
            )
            raise DiskFull(f"{problem}; try again later, or ask the operator to free some", free_mib=free >> 20)


def is_disk_full(error: object) -> bool:
    """Return whether an error of a write means that the disk is full."""
    return (isinstance(error, OSError) and error.errno in FULL) or bool(FULL_TEXT.search(str(error)))
