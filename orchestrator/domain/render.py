"""Options of the render stage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.checks import Violations
from orchestrator.domain.dimensions import MAX_SIZE_M, MIN_SIZE_M

FRAME_COUNTS = (12, 24, 36, 72)
MIN_SIDE_PX = 64
MAX_SIDE_PX = 4096


class Background(str, Enum):
    """The surroundings of the piece in a turntable."""

    STUDIO = "studio"  # a light backdrop with a soft shadow
    TRANSPARENT = "transparent"  # only the shadow, in formats that have an alpha channel


class VideoFormat(str, Enum):
    """The file format of a turntable video."""

    MP4 = "mp4"
    WEBM = "webm"
    GIF = "gif"


@dataclass(frozen=True)
class RenderOptions:
    """Options for the turntable of a 3D model."""

    model_id: str = ""  # an uploaded 3D model or the result of a reconstruct job; empty in a pipeline
    frames: int = 36
    width: int = 1920
    height: int = 1080
    background: Background = Background.STUDIO
    formats: tuple[VideoFormat, ...] = tuple(VideoFormat)
    keep_frames: bool = False  # return the frames as PNG files
    elevation_deg: float = 15.0  # angle at which the camera looks down on the piece
    seconds: float = 6.0  # duration of one turn
    texture_id: str = ""  # a texture set of a stain job; it replaces the wood of the 3D model
    texture_width_m: float = 0.6  # physical width of the stained photo
    texture_materials: tuple[str, ...] = ()  # materials of the 3D model to replace; empty: the one of largest area

    def __post_init__(self) -> None:
        with Violations() as violations:
            rule = f"{self.frames} is not allowed; allowed are {FRAME_COUNTS}"
            violations.check(self.frames in FRAME_COUNTS, "render.frames", rule)
            for name in ("width", "height"):
                side = getattr(self, name)
                violations.check_range(f"render.{name}", side, MIN_SIDE_PX, MAX_SIDE_PX)
                violations.check(side % 2 == 0, f"render.{name}", f"{side} is odd; H.264 requires even sides")
            has_output = bool(self.formats) or self.keep_frames
            rule = "there is no output; name at least one format or set keep_frames"
            violations.check(has_output, "render.formats", rule)
            violations.check_range("render.elevation_deg", self.elevation_deg, -30.0, 80.0)
            violations.check_range("render.seconds", self.seconds, 0.5, 60.0)
            violations.check_range("render.texture.width_m", self.texture_width_m, MIN_SIZE_M, MAX_SIZE_M)
