"""The quality levels of a job."""

from __future__ import annotations

from enum import Enum


class Quality(str, Enum):
    """PREVIEW shrinks photos to a longer side of at most 1024 pixels; FINAL uses their full resolution."""

    PREVIEW = "preview"
    FINAL = "final"
