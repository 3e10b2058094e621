"""Options and result types of the reconstruct stage. Lengths in metres, +Y up, right-handed, as in glTF."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from orchestrator.domain.checks import check_range
from orchestrator.domain.dimensions import UNKNOWN_DIMENSIONS, Dimensions
from orchestrator.errors import InvalidInput

TEXTURE_SIZES = (512, 1024, 2048, 4096)

AUTO_PHOTOS = 8

"""Fewer do not overlap all around a piece: 360° / 8 = 45°, more than SIFT matches across."""


class Mode(str, Enum):
    """How a model is made from photos."""

    AUTO = "auto"  # photogrammetry from AUTO_PHOTOS photos on, else single_image
    PHOTOGRAMMETRY = "photogrammetry"
    NERF = "nerf"
    SINGLE_IMAGE = "single_image"


class Engine(str, Enum):
    """Who does the photogrammetry."""

    COLMAP = "colmap"
    MESHROOM = "meshroom"


class Provider(str, Enum):
    """Who turns one photo into a model."""

    LOCAL = "local"
    TRELLIS = "trellis"  # a self-hosted server with the request of NVIDIA's TRELLIS NIM


@dataclass(frozen=True)
class ReconstructOptions:
    """How to make a 3D model from an upload."""

    mode: Mode = Mode.AUTO
    engine: Engine = Engine.COLMAP
    provider: Provider = Provider.LOCAL
    ordered: bool = False  # the photos were taken one beside the next, so that only neighbours are matched
    dimensions: Dimensions = UNKNOWN_DIMENSIONS  # the first that is known scales the model
    texture_size: int = 2048
    max_triangles: int = 200_000

    def __post_init__(self) -> None:
        self.dimensions.check("reconstruct.dimensions")
        if self.texture_size not in TEXTURE_SIZES:
            raise InvalidInput(
                "reconstruct.texture_size", f"{self.texture_size} is not allowed; allowed are {TEXTURE_SIZES}"
            )
        check_range("reconstruct.max_triangles", self.max_triangles, 1_000, 2_000_000)


@dataclass(frozen=True)
class CaptureReport:
    """How well the photos could be put together, in words that help to shoot again."""

    photos: int
    photos_used: tuple[int, ...]  # indices into the upload
    points: int = 0
    mean_reprojection_error_px: float = 0.0
    coverage_deg: float = 0.0  # of the full turn around the piece that photos look from
    advice: tuple[str, ...] = ()  # such as "too little overlap between photos 12 and 13"


@dataclass(frozen=True)
class PhotoCamera:
    """From where a photo shows the model: a pinhole in OpenCV axes (+X right, +Y down, +Z forward)."""

    matrix: tuple[tuple[float, ...], ...]  # [3, 3] intrinsics, px; the middle of the first pixel is (0.5, 0.5)
    world_to_camera: tuple[tuple[float, ...], ...]  # [4, 4] rigid, of the model's own frame
    size: tuple[int, int]  # width, height, px


@dataclass(frozen=True)
class ReconstructedMesh:
    """What a way of reconstruction made, as files in the folder that it was given.

    The mesh stands upright on +Y with its origin at the bottom centre, in metres where a dimension was given.
    """

    glb: Path
    report: CaptureReport
    vertices: int
    triangles: int
    dimensions: Dimensions
    preview: Path | None = None  # a picture of the model
    extras: tuple[Path, ...] = ()  # such as a fly-around video and the programs' logs
    camera: PhotoCamera | None = None  # of the single photo, as it was estimated
