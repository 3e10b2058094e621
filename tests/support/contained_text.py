"""Searches files of all formats for a text."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

from pxr import Sdf


def contains_text(file: Path, text: str) -> bool:
    """Return whether a file contains ``text`` in UTF-8 or UTF-16. Reads zip archives and USD layers."""
    return _contains(file.read_bytes(), text)


def _contains(data: bytes, text: str) -> bool:
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(_contains(archive.read(name), text) or text in name for name in archive.namelist())
    if data.startswith(b"PXR-USDC"):
        with tempfile.NamedTemporaryFile(suffix=".usdc") as layer:
            layer.write(data)
            layer.flush()
            return text in Sdf.Layer.FindOrOpen(layer.name).ExportToString()
    return any(text.encode(encoding) in data for encoding in ("utf-8", "utf-16-le"))
