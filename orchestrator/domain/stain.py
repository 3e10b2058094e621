"""Options of the stain stage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.checks import Violations
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.made_of import MadeOf
from orchestrator.domain.srgb_color import SrgbColor


class Region(str, Enum):
    """The area in which wood is stained."""

    AUTO = "auto"  # PIECE if the photo shows a piece that contains most of the wood, else PICTURE
    PIECE = "piece"
    PICTURE = "picture"  # the whole photo


MIN_COATS = 0.1
MAX_COATS = 10.0


FOREGROUND_MASK = "foreground"
"""The name of the mask of the whole piece in a segment result."""
WOOD_MASK = "wood"
"""The name of the mask of the wood in a segment result."""


@dataclass(frozen=True)
class EditedMask:
    """A mask that replaces one of a segment job."""

    photo: int  # index of the photo in the upload
    part: str  # the instance of a component, such as leg-2; FOREGROUND_MASK or WOOD_MASK
    mask_asset_id: str


@dataclass(frozen=True)
class StainOptions:
    """How to stain an upload."""

    target: SrgbColor
    stain_name: str = ""  # the stain of the catalogue that has this colour, if any
    preserve_grain: float = 1.0  # 0 hides the grain, 1 keeps its full contrast
    strength: float = 1.0  # 0 leaves the wood unchanged, 1 reaches the target
    coats: float = 1.0  # relative film thickness, in [MIN_COATS, MAX_COATS]
    region: Region = Region.AUTO
    mask_asset_id: str = ""  # an uploaded image, white in the areas to stain; if empty, the models find the wood
    format: ImageFormat = ImageFormat.PNG
    made_of: MadeOf = ()  # what the caller knows about the materials
    parts: tuple[str, ...] = ()  # names or instances of the parts to stain; empty: all
    segment_job_id: str = ""  # a job whose parts and masks to use; empty: those of the pipeline or of the models
    masks: tuple[EditedMask, ...] = ()  # masks of that job that the caller edited

    def __post_init__(self) -> None:
        with Violations() as violations:
            violations.check_range("stain.preserve_grain", self.preserve_grain, 0.0, 1.0)
            violations.check_range("stain.strength", self.strength, 0.0, 1.0)
            violations.check_range("stain.coats", self.coats, MIN_COATS, MAX_COATS)
