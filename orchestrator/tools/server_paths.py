"""Removes the folders of this machine from texts that leave it: messages, logs and reports."""

from __future__ import annotations

import re
from pathlib import Path

PATH = re.compile(r"(?<![\w.])/(?:[^\s/'\":]+/)+([^\s/'\":]*)")
"""An absolute path. The group is the file name in it."""
MIN_PARTS = 3
"""Minimum number of parts, with the root, of a folder that is removed by its name: /tmp alone names nothing."""


def remove_folders(text: str, folder: Path) -> str:
    """Reduce absolute paths in ``text`` to names. Paths below ``folder`` and its parents may contain spaces."""
    return PATH.sub(r"\1", remove_folder(text, folder))


def remove_folder(text: str, folder: Path) -> str:
    """Remove ``folder`` and its parents from ``text``. Other paths, such as JSON pointers, remain."""
    for parent in (folder, *folder.parents):
        if len(parent.parts) >= MIN_PARTS:
            text = text.replace(f"{parent}/", "")
    return text
