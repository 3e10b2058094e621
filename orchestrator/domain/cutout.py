"""Options of the cutout stage."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.checks import Violations
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.srgb_color import SrgbColor

MAX_MARGIN = 0.5
"""Largest margin, as a share of the longer side of the trimmed piece."""


@dataclass(frozen=True)
class CutoutOptions:
    """How to cut out the piece."""

    format: ImageFormat = ImageFormat.PNG
    trim: bool = True  # False keeps the frame of the photo
    background: SrgbColor | None = None  # None is transparent
    shadow: bool = True  # extract the contact shadow as a separate layer
    margin: float = 0.02  # space around the trimmed piece, as a share of its longer side

    def __post_init__(self) -> None:
        with Violations() as violations:
            violations.check_range("cutout.margin", self.margin, 0.0, MAX_MARGIN)
