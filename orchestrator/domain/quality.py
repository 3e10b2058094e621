"""The quality levels of a job."""

from __future__ import annotations

from enum import Enum


class Quality(str, Enum):
    """PREVIEW works on a photo of at most 1024 pixels; FINAL works at full resolution."""

    PREVIEW = "preview"
    FINAL = "final"
