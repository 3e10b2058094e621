"""Options, settings and results of the reconstruct stage.

Lengths are in metres. Meshes use glTF's frame: right-handed, +Y up, the front towards +Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.domain.checks import Violations
from orchestrator.domain.dimensions import UNKNOWN_DIMENSIONS, Dimensions
from orchestrator.errors import InvalidInput

TEXTURE_SIZES = (512, 1024, 2048, 4096)
"""Allowed texture sizes: the side of the square texture in pixels."""

MIN_TRIANGLES = 1_000
MAX_TRIANGLES = 2_000_000

AUTO_PHOTOS = 8
"""Minimum number of photos for which ``Mode.AUTO`` selects photogrammetry. With fewer photos around a
piece, neighbours are more than 360° / 8 = 45° apart, which is too far to match SIFT features."""


class Mode(str, Enum):
    """The reconstruction method."""

    AUTO = "auto"  # photogrammetry for AUTO_PHOTOS photos or more, otherwise single_image
    PHOTOGRAMMETRY = "photogrammetry"
    NERF = "nerf"
    SINGLE_IMAGE = "single_image"


MIN_PHOTOS = {Mode.PHOTOGRAMMETRY: 3, Mode.NERF: 3, Mode.SINGLE_IMAGE: 1}
"""Minimum number of photos of each method. Structure from motion needs a third photo to verify the other two."""


def resolved_mode(mode: Mode, photos: int) -> Mode:
    """Return the method for ``mode`` and a number of photos. It differs from ``mode`` only for AUTO."""
    if mode is not Mode.AUTO:
        return mode
    return Mode.PHOTOGRAMMETRY if photos >= AUTO_PHOTOS else Mode.SINGLE_IMAGE


class Engine(str, Enum):
    """The program that does the photogrammetry."""

    COLMAP = "colmap"
    MESHROOM = "meshroom"


class Provider(str, Enum):
    """The program or server that makes a 3D model from a single photo."""

    LOCAL = "local"
    TRELLIS = "trellis"  # a self-hosted server with the HTTP API of NVIDIA's TRELLIS NIM


@dataclass(frozen=True)
class ReconstructOptions:
    """Options for the reconstruction of a 3D model from photos."""

    mode: Mode = Mode.AUTO
    engine: Engine = Engine.COLMAP
    provider: Provider = Provider.LOCAL
    ordered: bool = False  # consecutive photos overlap, which guides the choice of the pairs to match
    dimensions: Dimensions = UNKNOWN_DIMENSIONS  # the first known dimension sets the scale of the 3D model
    texture_size: int = 2048
    max_triangles: int = 200_000

    def __post_init__(self) -> None:
        with Violations() as violations:
            with violations.collect():
                self.dimensions.check("reconstruct.dimensions")
            rule = f"{self.texture_size} is not allowed; allowed are {TEXTURE_SIZES}"
            violations.check(self.texture_size in TEXTURE_SIZES, "reconstruct.texture_size", rule)
            violations.check_range("reconstruct.max_triangles", self.max_triangles, MIN_TRIANGLES, MAX_TRIANGLES)


@dataclass(frozen=True)
class TrellisSettings:
    """Address and limits of the image-to-3D server. ``repr`` omits ``api_key``, which must not appear in logs."""

    base_url: str  # http(s)://HOST[:PORT][/PATH], without /v1
    api_key: str = dataclass_field(default="", repr=False)
    timeout_s: float = 600.0  # for one request; the first request after a server start takes minutes
    waits_s: tuple[float, ...] = (1.0, 3.0, 9.0)  # delay before each retry if the server is busy (HTTP 503)
    max_answer_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.password:
            # The message does not repeat the URL, because it may contain a password.
            rule = "it must be http(s)://HOST[:PORT][/PATH] without a password"
            raise InvalidInput("trellis.base_url", f"the URL is not allowed; {rule}")


@dataclass(frozen=True)
class ReconstructPrograms:
    """Optional programs and servers that the operator has configured."""

    meshroom: str = ""  # the meshroom_batch executable; empty if Meshroom is not available
    trellis: TrellisSettings | None = None


NO_PROGRAMS = ReconstructPrograms()


@dataclass(frozen=True)
class CaptureReport:
    """Which photos were used, how well they fit together, and how to take better ones."""

    photos: int  # number of uploaded photos
    photos_used: tuple[int, ...]  # indices into the upload
    points: int = 0  # triangulated feature points
    mean_reprojection_error_px: float = 0.0
    coverage_deg: float = 0.0  # how much of the full turn around the piece the photos show
    advice: tuple[str, ...] = ()  # such as "too little overlap between photos 12 and 13"


@dataclass(frozen=True)
class PhotoCamera:
    """The pinhole camera of a photo, in OpenCV axes: +X right, +Y down, +Z forward."""

    intrinsics: tuple[tuple[float, ...], ...]  # [3, 3] px; the centre of the first pixel is (0.5, 0.5)
    world_to_camera: tuple[tuple[float, ...], ...]  # [4, 4] rigid, from the frame of the mesh
    size: tuple[int, int]  # width, height, px


@dataclass(frozen=True)
class ReconstructedMesh:
    """The result of a reconstruction, as files in the folder of the request.

    The mesh stands upright on the XZ plane with its bottom centre at the origin. Its unit is the metre if a dimension
    was given, otherwise the scale is arbitrary.
    """

    glb: Path
    report: CaptureReport
    vertices: int
    triangles: int
    dimensions: Dimensions
    preview: Path | None = None  # an image of the mesh
    extras: tuple[Path, ...] = ()  # further files, such as a fly-around video and log files
    camera: PhotoCamera | None = None  # the estimated camera of the photo (single_image only)
