"""Options of the stain stage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.checks import check_range
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.srgb_color import SrgbColor


class Region(str, Enum):
    """Where wood is stained."""

    AUTO = "auto"  # the piece where one stands out and holds most of the wood, else the picture
    PIECE = "piece"
    PICTURE = "picture"


MIN_COATS, MAX_COATS = 0.1, 10.0


@dataclass(frozen=True)
class StainOptions:
    """How to stain an upload. ``preserve_grain`` and ``strength`` in [0, 1], ``coats`` in [0.1, 10]."""

    target: SrgbColor
    stain_name: str = ""
    preserve_grain: float = 1.0  # 0 paints over the grain, 1 keeps its full contrast
    strength: float = 1.0  # 0 leaves the wood as it is, 1 reaches the target
    coats: float = 1.0  # film thickness, relative
    region: Region = Region.AUTO
    mask_asset_id: str = ""  # an uploaded grey picture, white where to stain; "" finds the wood itself
    format: ImageFormat = ImageFormat.PNG

    def __post_init__(self) -> None:
        check_range("stain.preserve_grain", self.preserve_grain, 0.0, 1.0)
        check_range("stain.strength", self.strength, 0.0, 1.0)
        check_range("stain.coats", self.coats, MIN_COATS, MAX_COATS)
