"""File names that every file system accepts, from names that callers send."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

MAX_NAME = 120
"""Maximum length of the name of an uploaded file, in characters."""
MAX_PATH = 1000
"""Number of characters at the end of a path from which its name is taken. The time to compose Unicode characters is
quadratic in the number of marks on one letter: 16 s for 100,000 of them, during which no other thread runs."""
MAX_FOLDER_BYTES = 80
"""Maximum length of a folder name in UTF-8. eCryptfs limits names to 143 bytes, Windows paths to 260 characters."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names of devices in Windows, which no file may have."""
PUNCTUATION = " ()+-_"
"""Characters that are allowed besides letters, their marks, and digits."""


def file_name(text: str, default: str) -> str:
    """Return the last part of a path with safe characters only, cut to MAX_NAME characters, or ``default``."""
    name = PureWindowsPath(PurePosixPath(text[-MAX_PATH:]).name).name
    return _with_safe_characters(name, PUNCTUATION + ".")[:MAX_NAME].strip(" .") or default


def folder_names(names: Sequence[str], default: str = "photo") -> list[str]:
    """Return a folder name for each file name, without its suffix.

    The folder names differ from each other even on file systems that ignore case. Of equal names, the first stays as
    it is, and the others end in -2, -3 and so on. ``default`` replaces a name that has no safe characters.
    """
    folders: list[str] = []
    used: set[str] = set()
    for name in names:
        stem = folder_name(PurePosixPath(name[-MAX_PATH:]).stem, default)
        folder, number = stem, 1
        while folder.casefold() in used:
            number += 1
            suffix = f"-{number}"
            folder = _cut(stem, MAX_FOLDER_BYTES - len(suffix)) + suffix
        used.add(folder.casefold())
        folders.append(folder)
    return folders


def folder_name(text: str, default: str = "photo") -> str:
    """Return a safe folder name without dots, or ``default`` if the text contains nothing else than unsafe characters.

    The name of a folder without dots never equals that of a file with a suffix, ``.`` or ``..``.
    """
    name = _with_safe_characters(text[:MAX_PATH], PUNCTUATION)
    name = _cut(name, MAX_FOLDER_BYTES).strip(" _")
    return f"{name}_" if RESERVED.fullmatch(name) else name or default


def _cut(text: str, max_bytes: int) -> str:
    """Return the text without the characters that exceed ``max_bytes`` bytes in UTF-8."""
    return text.encode()[:max_bytes].decode(errors="ignore")


def _with_safe_characters(text: str, punctuation: str) -> str:
    """Return the text in Unicode's form NFC, with ``_`` for all but letters, marks, digits and ``punctuation``."""
    normal = unicodedata.normalize("NFC", text)
    return "".join(c if c in punctuation or unicodedata.category(c)[0] in "LMN" else "_" for c in normal)
