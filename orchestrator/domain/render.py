"""Options of the render stage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.checks import within
from orchestrator.domain.dimensions import MAX_SIZE_M, MIN_SIZE_M
from orchestrator.errors import InvalidInput

FRAME_COUNTS = (12, 24, 36, 72)

MIN_SIDE_PX, MAX_SIDE_PX = 64, 4096


class Background(str, Enum):
    """What a turntable stands before."""

    STUDIO = "studio"  # a light backdrop with a soft shadow
    TRANSPARENT = "transparent"  # nothing but the shadow, where the format has alpha


class VideoFormat(str, Enum):
    """What the frames are joined to."""

    MP4 = "mp4"
    WEBM = "webm"
    GIF = "gif"


@dataclass(frozen=True)
class RenderOptions:
    """How to render the turntable of a model."""

    model_id: str = ""  # an uploaded model, or what a reconstruct job made; empty in a pipeline
    frames: int = 36
    width: int = 1920
    height: int = 1080
    background: Background = Background.STUDIO
    formats: tuple[VideoFormat, ...] = tuple(VideoFormat)
    keep_frames: bool = False  # give the frames back as PNG
    elevation_deg: float = 15.0  # the camera looks down on the piece by this much
    seconds: float = 6.0  # length of one turn
    texture_id: str = ""  # a stain job's texture set that replaces the model's wood
    texture_width_m: float = 0.6  # how wide the stained photo is in truth
    texture_materials: tuple[str, ...] = ()  # the model's materials to replace; none takes the largest

    def __post_init__(self) -> None:
        if self.frames not in FRAME_COUNTS:
            raise InvalidInput("render.frames", f"{self.frames} is not allowed; allowed are {FRAME_COUNTS}")
        for name in ("width", "height"):
            side = getattr(self, name)
            within(f"render.{name}", side, MIN_SIDE_PX, MAX_SIDE_PX)
            if side % 2:
                raise InvalidInput(f"render.{name}", f"{side} is odd; H.264 needs even sides")
        if not self.formats and not self.keep_frames:
            raise InvalidInput("render.formats", "nothing to make; name a format or set keep_frames")
        within("render.elevation_deg", self.elevation_deg, -30.0, 80.0)
        within("render.seconds", self.seconds, 0.5, 60.0)
        within("render.texture.width_m", self.texture_width_m, MIN_SIZE_M, MAX_SIZE_M)
