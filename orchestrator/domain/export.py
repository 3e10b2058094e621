"""Options of the export stage, and the file formats of 3D models."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from orchestrator.domain.checks import Violations
from orchestrator.domain.dimensions import UNKNOWN_DIMENSIONS, Dimensions


class MeshFormat(str, Enum):
    """A 3D file format."""

    GLB = "glb"
    GLTF = "gltf"  # a zip with the .gltf, its buffers and its textures
    FBX = "fbx"
    OBJ = "obj"  # a zip with the OBJ, its MTL and its textures
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
"""Media types as registered with IANA. PLY and FBX are not registered; their media types follow the same pattern."""
ZIP = "application/zip"
"""The media type of a zip with a mesh file and the files that it refers to."""


class Target(str, Enum):
    """Where the files are shown. Each target except ORIGINAL has a size budget (``stages.export.budgets``)."""

    ORIGINAL = "original"
    WEB = "web"
    DESKTOP = "desktop"
    PLANNER = "planner"
    BANNER = "banner"


class TextureCodec(str, Enum):
    """The compression of textures in GLB and glTF."""

    AUTO = "auto"  # ORIGINAL for Target.ORIGINAL, else WEBP
    ORIGINAL = "original"
    WEBP = "webp"
    KTX2 = "ktx2"


class MeshCodec(str, Enum):
    """The compression of geometry in GLB and glTF."""

    AUTO = "auto"  # NONE for Target.ORIGINAL, else MESHOPT
    NONE = "none"
    MESHOPT = "meshopt"
    DRACO = "draco"


@dataclass(frozen=True)
class ExportOptions:
    """Options for the files of a 3D model."""

    model_id: str = ""  # an uploaded 3D model or the result of a reconstruct job; empty in a pipeline
    formats: tuple[MeshFormat, ...] = (MeshFormat.GLB, MeshFormat.USDZ, MeshFormat.FBX)
    target: Target = Target.WEB
    texture_codec: TextureCodec = TextureCodec.AUTO
    mesh_codec: MeshCodec = MeshCodec.AUTO
    levels: int = 1  # levels of detail of the GLB; each has at most a quarter of the triangles of the previous one
    dimensions: Dimensions = UNKNOWN_DIMENSIONS  # one dimension sets the scale; two or three must agree with the shape

    def __post_init__(self) -> None:
        names = ", ".join(format.value for format in MeshFormat)
        with Violations() as violations:
            violations.check(bool(self.formats), "export.formats", f"the list is empty; name at least one of {names}")
            violations.check_range("export.levels", self.levels, 1, 4)
            with violations.collect():
                self.dimensions.check("export.dimensions")
