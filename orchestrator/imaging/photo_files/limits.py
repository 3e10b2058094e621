"""Limits of photos. They are checked on the header, before any pixel is decoded."""

from __future__ import annotations

from orchestrator.errors import InvalidInput

MAX_BYTES = 50 << 20
"""Largest photo file."""
MAX_PIXELS = 100_000_000
MIN_SIDE = 32
"""Shortest side in pixels. The filters and models need at least this much context."""
MAX_SIDE = 32_767
"""Longest side in pixels. OpenCV's filters store coordinates in 16 bits."""


def check_pixels(width: int, height: int, field: str) -> None:
    """Raise InvalidInput if a photo has too many pixels."""
    if width * height > MAX_PIXELS:
        raise InvalidInput(field, f"{width}×{height} pixels are too many; at most {MAX_PIXELS} are allowed")


def check_size(width: int, height: int, field: str) -> None:
    """Raise InvalidInput if a photo has too many pixels, or a side that is too short or too long."""
    check_pixels(width, height, field)
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        rule = f"each side must have {MIN_SIDE} to {MAX_SIDE} pixels"
        raise InvalidInput(field, f"{width}×{height} pixels are not allowed; {rule}")
