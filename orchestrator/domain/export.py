"""Options of the export stage, and the mesh file formats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.checks import check_range
from orchestrator.domain.dimensions import UNKNOWN_DIMENSIONS, Dimensions
from orchestrator.errors import InvalidInput


class MeshFormat(str, Enum):
    """A 3D file format."""

    GLB = "glb"
    GLTF = "gltf"  # as a zip with its resources beside it
    FBX = "fbx"
    OBJ = "obj"  # as a zip with its MTL and textures
    STL = "stl"
    PLY = "ply"
    USDZ = "usdz"


MEDIA_TYPES = {
    MeshFormat.GLB: "model/gltf-binary",
    MeshFormat.GLTF: "model/gltf+json",
    MeshFormat.OBJ: "model/obj",
    MeshFormat.STL: "model/stl",
    MeshFormat.PLY: "model/ply",
    MeshFormat.FBX: "model/fbx",
    MeshFormat.USDZ: "model/vnd.usdz+zip",
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
    formats: tuple[MeshFormat, ...] = (MeshFormat.GLB, MeshFormat.USDZ, MeshFormat.FBX)
    target: Target = Target.WEB
    texture_codec: TextureCodec = TextureCodec.AUTO
    mesh_codec: MeshCodec = MeshCodec.AUTO
    levels: int = 1  # levels of detail of the GLB, each with a quarter of the triangles of the one before
    dimensions: Dimensions = UNKNOWN_DIMENSIONS  # one sets the scale; all three must agree with the model's shape

    def __post_init__(self) -> None:
        if not self.formats:
            raise InvalidInput("export.formats", "none is given; allowed are " + ", ".join(f.value for f in MeshFormat))
        check_range("export.levels", self.levels, 1, 4)
        self.dimensions.check("export.dimensions")
