"""The options of the 3D stages. Lengths in metres, +Y up, right-handed, as in glTF."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from orchestrator.domain import within
from orchestrator.errors import InvalidInput

TEXTURE_SIZES = (512, 1024, 2048, 4096)
FRAME_COUNTS = (12, 24, 36, 72)
MIN_SIDE_PX, MAX_SIDE_PX = 64, 4096
MIN_SIZE_M, MAX_SIZE_M = 0.01, 20.0
AUTO_PHOTOS = 8
"""Fewer do not overlap all around a piece: 360° / 8 = 45°, more than SIFT matches across."""


@dataclass(frozen=True)
class Dimensions:
    """The true size of the piece along X, Y (up) and Z; 0 where it is not known."""

    width_m: float = 0.0
    height_m: float = 0.0
    depth_m: float = 0.0

    def check(self, field: str) -> None:
        """Refuse sizes that no furniture has.

        Raises:
            InvalidInput: one is neither 0 nor within 1 cm and 20 m.
        """
        for name in ("width_m", "height_m", "depth_m"):
            value = getattr(self, name)
            if value != 0.0:
                within(f"{field}.{name}", value, MIN_SIZE_M, MAX_SIZE_M)


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
    dimensions: Dimensions = Dimensions()  # the first that is known scales the model
    texture_size: int = 2048
    max_triangles: int = 200_000

    def __post_init__(self) -> None:
        self.dimensions.check("reconstruct.dimensions")
        if self.texture_size not in TEXTURE_SIZES:
            raise InvalidInput(
                "reconstruct.texture_size", f"{self.texture_size} is not allowed; allowed are {TEXTURE_SIZES}"
            )
        within("reconstruct.max_triangles", self.max_triangles, 1_000, 2_000_000)


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


class Format3D(str, Enum):
    """A 3D file format."""

    GLB = "glb"
    GLTF = "gltf"  # as a zip with its resources beside it
    FBX = "fbx"
    OBJ = "obj"  # as a zip with its MTL and textures
    STL = "stl"
    PLY = "ply"
    USDZ = "usdz"


MEDIA_TYPES = {
    Format3D.GLB: "model/gltf-binary",
    Format3D.GLTF: "model/gltf+json",
    Format3D.OBJ: "model/obj",
    Format3D.STL: "model/stl",
    Format3D.PLY: "model/ply",
    Format3D.FBX: "model/fbx",
    Format3D.USDZ: "model/vnd.usdz+zip",
}
"""IANA's names, and after their manner for PLY and FBX, which have none."""
ZIP = "application/zip"
"""The media type of a model that comes with other files: glTF with its resources, OBJ with its MTL and textures."""


class Target(str, Enum):
    """What the files are for; each but ORIGINAL has a budget."""

    ORIGINAL = "original"
    WEB = "web"
    DESKTOP = "desktop"
    PLANNER = "planner"
    BANNER = "banner"


class TextureCodec(str, Enum):
    """How textures are stored in GLB and glTF."""

    AUTO = "auto"  # WebP, or what the target wants
    ORIGINAL = "original"
    WEBP = "webp"
    KTX2 = "ktx2"


class MeshCodec(str, Enum):
    """How geometry is stored in GLB and glTF."""

    AUTO = "auto"  # meshopt for a target with a budget
    NONE = "none"
    MESHOPT = "meshopt"
    DRACO = "draco"


@dataclass(frozen=True)
class ExportOptions:
    """Which files to make of a model."""

    model_id: str = ""  # as in RenderOptions
    formats: tuple[Format3D, ...] = (Format3D.GLB, Format3D.USDZ, Format3D.FBX)
    target: Target = Target.WEB
    texture_codec: TextureCodec = TextureCodec.AUTO
    mesh_codec: MeshCodec = MeshCodec.AUTO
    levels: int = 1  # levels of detail of the GLB, each with a quarter of the triangles of the one before
    dimensions: Dimensions = Dimensions()  # one sets the scale; all three must agree with the model's shape

    def __post_init__(self) -> None:
        if not self.formats:
            raise InvalidInput("export.formats", "none is given; allowed are " + ", ".join(f.value for f in Format3D))
        within("export.levels", self.levels, 1, 4)
        self.dimensions.check("export.dimensions")


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
class ReconstructedModel:
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
