"""USD's side of ``usd``: writes a base GLB as a USDZ for ARKit. Run as ``usd_writer.py JOB.json``.

The package has one binary layer, first, with +Y up and metres; ``UsdPreviewSurface`` materials; and PNG and JPEG
textures. Afterwards the package is opened again and validated. The job's ``result`` gets errors, notes and bounds.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pxr import (  # type: ignore[import-untyped]
    Gf,
    Sdf,
    Usd,
    UsdGeom,
    UsdShade,
    UsdUtils,
    Vt,
)

from orchestrator.tools.base_glb import BaseGlb, Json, Primitive, read_base_glb
from orchestrator.tools.usd_validation import bounds, validate

WRAP_MODES = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
REPEAT = 10497
"""glTF's default wrap mode."""
ROOT = "/Model"
MIN_GLASS_OPACITY = 0.15
"""Opacity of fully transmissive glass, which UsdPreviewSurface cannot express. Not tuned."""
IMAGE_MODES = ("RGB", "RGBA", "L")
JPEG_QUALITY = 92
TYPES = Sdf.ValueTypeNames


@dataclass(frozen=True)
class UvSource:
    """Where a texture takes its UVs from: a UV set, and the JSON of a KHR_texture_transform."""

    uv_set: int
    transform: str


@dataclass
class UsdWriter:
    """The USD stage that is being written, and the textures beside it."""

    stage: Usd.Stage
    base: BaseGlb
    folder: Path
    max_texture_px: int
    notes: list[str] = field(default_factory=list)
    textures: dict[tuple[int, float], str] = field(default_factory=dict)  # (image, normal strength) → file name
    primvars: dict[int, dict[str, UvSource]] = field(default_factory=dict)  # material → UVs that its textures use


def main(job: dict[str, Any]) -> None:
    target, folder = Path(job["target"]), Path(job["folder"])
    folder.mkdir(exist_ok=True)
    print("PROGRESS 0.1 reading the 3D model", flush=True)
    stage = new_stage(folder / "model.usdc")
    writer = UsdWriter(stage, read_base_glb(Path(job["source"])), folder, job["max_texture_px"])
    materials = [write_material(writer, number) for number in range(len(writer.base.document.get("materials", [])))]
    print("PROGRESS 0.4 writing USD", flush=True)
    names: set[str] = set()
    for primitive in writer.base.primitives:
        write_mesh(writer, primitive, unique_name(primitive.name, names), materials)
    writer.stage.GetRootLayer().Save()
    del writer.stage, stage
    print("PROGRESS 0.7 packing USDZ", flush=True)
    target.unlink(missing_ok=True)
    if not UsdUtils.CreateNewARKitUsdzPackage(Sdf.AssetPath(str(folder / "model.usdc")), str(target)):
        raise RuntimeError("USD could not write the USDZ package")
    print("PROGRESS 0.8 checking USDZ", flush=True)
    result = {"errors": validate(target), "notes": sorted(set(writer.notes)), "bounds": bounds(target)}
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


def new_stage(path: Path) -> Usd.Stage:
    path.unlink(missing_ok=True)
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdGeom.Xform.Define(stage, ROOT)
    Usd.ModelAPI(root).SetKind("component")
    stage.SetDefaultPrim(root.GetPrim())
    UsdGeom.Scope.Define(stage, f"{ROOT}/Materials")
    UsdGeom.Scope.Define(stage, f"{ROOT}/Geometry")
    return stage


def unique_name(name: str, used: set[str]) -> str:
    """Return a valid USD name that is not in ``used``, and add it."""
    valid = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "part"
    valid = valid if valid[0].isalpha() or valid[0] == "_" else f"_{valid}"
    unique, number = valid, 2
    while unique in used:
        unique, number = f"{valid}_{number}", number + 1
    used.add(unique)
    return unique


def write_mesh(writer: UsdWriter, primitive: Primitive, name: str, materials: list[UsdShade.Material]) -> None:
    mesh = UsdGeom.Mesh.Define(writer.stage, f"{ROOT}/Geometry/{name}")
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(primitive.positions))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(primitive.triangles), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(primitive.triangles.ravel())))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(primitive.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    low, high = primitive.positions.min(0), primitive.positions.max(0)
    mesh.CreateExtentAttr([Gf.Vec3f(*low.tolist()), Gf.Vec3f(*high.tolist())])
    api = UsdGeom.PrimvarsAPI(mesh)
    if primitive.material >= 0:
        material = writer.base.document["materials"][primitive.material]
        mesh.CreateDoubleSidedAttr(bool(material.get("doubleSided", False)))
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(materials[primitive.material])
        for primvar, source in writer.primvars[primitive.material].items():
            if source.uv_set in primitive.uvs:
                uvs = usd_uvs(primitive.uvs[source.uv_set], json.loads(source.transform))
                coordinates = api.CreatePrimvar(primvar, TYPES.TexCoord2fArray, UsdGeom.Tokens.vertex)
                coordinates.Set(Vt.Vec2fArray.FromNumpy(uvs))
    if primitive.colors is not None:
        colors = api.CreatePrimvar("displayColor", TYPES.Color3fArray, UsdGeom.Tokens.vertex)
        colors.Set(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(primitive.colors[:, :3])))


def usd_uvs(uvs: NDArray[np.float32], transform: Json) -> NDArray[np.float32]:
    """Apply a KHR_texture_transform, then move the origin to USD's, the bottom left corner.

    Args:
        uvs: [V, 2] with the origin in the top left corner.
    """
    angle, scale = transform.get("rotation", 0.0), np.array(transform.get("scale", [1.0, 1.0]))
    sine, cosine = math.sin(angle), math.cos(angle)
    offset = np.array(transform.get("offset", [0.0, 0.0]))
    moved = (uvs * scale) @ np.array([[cosine, -sine], [sine, cosine]]) + offset
    return np.ascontiguousarray(np.column_stack([moved[:, 0], 1.0 - moved[:, 1]]), np.float32)


def write_material(writer: UsdWriter, number: int) -> UsdShade.Material:
    described: Json = writer.base.document["materials"][number]
    writer.primvars[number] = {}
    used = {prim.GetName() for prim in writer.stage.GetPrimAtPath(f"{ROOT}/Materials").GetChildren()}
    path = f"{ROOT}/Materials/{unique_name(described.get('name', 'material'), used)}"
    material = UsdShade.Material.Define(writer.stage, path)
    shader = UsdShade.Shader.Define(writer.stage, f"{path}/Surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    material.CreateSurfaceOutput().ConnectToSource(shader.CreateOutput("surface", TYPES.Token))
    surface = PreviewSurface(writer, number, path, shader)
    surface.write_base_color(described)
    surface.write_roughness_and_metal(described.get("pbrMetallicRoughness", {}))
    surface.write_normal(described)
    surface.write_occlusion(described)
    surface.write_emission(described)
    surface.write_extensions(described.get("extensions", {}))
    return material


@dataclass(frozen=True)
class PreviewSurface:
    """Sets the inputs of the UsdPreviewSurface of one material."""

    writer: UsdWriter
    material: int  # index in the GLB
    path: str
    shader: UsdShade.Shader

    def write_base_color(self, described: Json) -> None:
        """Set ``diffuseColor``, and the opacity unless the material is opaque."""
        pbr = described.get("pbrMetallicRoughness", {})
        factor = pbr.get("baseColorFactor", [1.0, 1.0, 1.0, 1.0])
        info = pbr.get("baseColorTexture")
        mode = described.get("alphaMode", "OPAQUE")
        if info:
            texture = self.add_texture("BaseColor", info, scale=factor, is_color=True)
            self.connect("diffuseColor", TYPES.Color3f, texture, "rgb")
        elif self.has_vertex_colors():
            reader = self.add_primvar_reader("Color", "UsdPrimvarReader_float3", "displayColor", TYPES.Float3)
            color = self.shader.CreateInput("diffuseColor", TYPES.Color3f)
            color.ConnectToSource(reader.ConnectableAPI(), "result")
        else:
            self.set("diffuseColor", TYPES.Color3f, Gf.Vec3f(*factor[:3]))
        if mode == "OPAQUE":
            return
        if info and self.has_alpha(info):
            self.connect("opacity", TYPES.Float, texture, "a")
        else:
            self.set("opacity", TYPES.Float, float(factor[3]))
        if mode == "MASK":
            self.set("opacityThreshold", TYPES.Float, float(described.get("alphaCutoff", 0.5)))

    def write_roughness_and_metal(self, pbr: Json) -> None:
        roughness, metallic = float(pbr.get("roughnessFactor", 1.0)), float(pbr.get("metallicFactor", 1.0))
        if info := pbr.get("metallicRoughnessTexture"):
            texture = self.add_texture("RoughMetal", info, scale=[1.0, roughness, metallic, 1.0])
            self.connect("roughness", TYPES.Float, texture, "g")
            self.connect("metallic", TYPES.Float, texture, "b")
        else:
            self.set("roughness", TYPES.Float, roughness)
            self.set("metallic", TYPES.Float, metallic)

    def write_normal(self, described: Json) -> None:
        if info := described.get("normalTexture"):
            # Normals are stored as (n + 1) / 2. USD requires this scale and bias, so the strength changes the image.
            strength = float(info.get("scale", 1.0))
            scale, bias = [2.0, 2.0, 2.0, 1.0], [-1.0, -1.0, -1.0, 0.0]
            texture = self.add_texture("Normal", info, scale, bias, normal_strength=strength)
            self.connect("normal", TYPES.Normal3f, texture, "rgb")

    def write_occlusion(self, described: Json) -> None:
        if info := described.get("occlusionTexture"):
            strength = float(info.get("strength", 1.0))
            scale, bias = [*[strength] * 3, 1.0], [*[1 - strength] * 3, 0.0]
            self.connect("occlusion", TYPES.Float, self.add_texture("Occlusion", info, scale, bias), "r")

    def write_emission(self, described: Json) -> None:
        extension = described.get("extensions", {}).get("KHR_materials_emissive_strength", {})
        strength = extension.get("emissiveStrength", 1)
        factor = [float(value) * strength for value in described.get("emissiveFactor", [0.0, 0.0, 0.0])]
        if (info := described.get("emissiveTexture")) and any(factor):
            texture = self.add_texture("Emission", info, [*factor, 1.0], is_color=True)
            self.connect("emissiveColor", TYPES.Color3f, texture, "rgb")
        elif any(factor):
            self.set("emissiveColor", TYPES.Color3f, Gf.Vec3f(*factor))

    def write_extensions(self, extensions: Json) -> None:
        """Set clearcoat and index of refraction. Transmission becomes a low opacity, with a note."""
        coat = extensions.get("KHR_materials_clearcoat", {})
        if coat.get("clearcoatFactor"):
            self.set("clearcoat", TYPES.Float, float(coat["clearcoatFactor"]))
            self.set("clearcoatRoughness", TYPES.Float, float(coat.get("clearcoatRoughnessFactor", 0.0)))
        if "ior" in extensions.get("KHR_materials_ior", {}):
            self.set("ior", TYPES.Float, float(extensions["KHR_materials_ior"]["ior"]))
        transmission = float(extensions.get("KHR_materials_transmission", {}).get("transmissionFactor", 0.0))
        if transmission:
            self.set("opacity", TYPES.Float, max(MIN_GLASS_OPACITY, 1.0 - transmission))
            self.writer.notes.append("glass is a thin transparent surface in USDZ, which does not support transmission")

    def add_texture(
        self,
        name: str,
        info: Json,
        scale: list[float],
        bias: list[float] | None = None,
        *,
        is_color: bool = False,
        normal_strength: float = 1.0,
    ) -> UsdShade.Shader:
        """Add a node that returns scale × texture + bias."""
        document = self.writer.base.document
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        primvar = self.primvar(transform.get("texCoord", info.get("texCoord", 0)), transform)
        node = UsdShade.Shader.Define(self.writer.stage, f"{self.path}/{name}")
        node.CreateIdAttr("UsdUVTexture")
        file = self.write_texture(info["index"], normal_strength)
        node.CreateInput("file", TYPES.Asset).Set(Sdf.AssetPath(file))
        node.CreateInput("sourceColorSpace", TYPES.Token).Set("sRGB" if is_color else "raw")
        node.CreateInput("scale", TYPES.Float4).Set(Gf.Vec4f(*scale))
        if bias:
            node.CreateInput("bias", TYPES.Float4).Set(Gf.Vec4f(*bias))
        sampler = document["textures"][info["index"]].get("sampler")
        wraps = document["samplers"][sampler] if sampler is not None else {}
        for side in ("wrapS", "wrapT"):
            node.CreateInput(side, TYPES.Token).Set(WRAP_MODES.get(wraps.get(side, REPEAT), "repeat"))
        reader = self.add_primvar_reader(f"Reader_{primvar}", "UsdPrimvarReader_float2", primvar, TYPES.Float2)
        node.CreateInput("st", TYPES.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
        return node

    def primvar(self, uv_set: int, transform: Json) -> str:
        """Return the primvar of a UV set with this transform. The first one of a material is ``st``."""
        primvars = self.writer.primvars[self.material]
        source = UvSource(uv_set, json.dumps(transform, sort_keys=True))
        for name, known in primvars.items():
            if known == source:
                return name
        name = f"st{len(primvars)}" if primvars else "st"
        primvars[name] = source
        return name

    def add_primvar_reader(self, name: str, shader_id: str, primvar: str, result: Sdf.ValueTypeName) -> UsdShade.Shader:
        reader = UsdShade.Shader.Define(self.writer.stage, f"{self.path}/{name}")
        reader.CreateIdAttr(shader_id)
        reader.CreateInput("varname", TYPES.String).Set(primvar)
        reader.CreateOutput("result", result)
        return reader

    def connect(self, name: str, value_type: Sdf.ValueTypeName, node: UsdShade.Shader, channel: str) -> None:
        node.CreateOutput(channel, TYPES.Float3 if channel == "rgb" else TYPES.Float)
        self.shader.CreateInput(name, value_type).ConnectToSource(node.ConnectableAPI(), channel)

    def set(self, name: str, value_type: Sdf.ValueTypeName, value: Any) -> None:
        self.shader.CreateInput(name, value_type).Set(value)

    def has_vertex_colors(self) -> bool:
        primitives = self.writer.base.primitives
        return any(primitive.material == self.material and primitive.colors is not None for primitive in primitives)

    def has_alpha(self, info: Json) -> bool:
        data, _ = self.writer.base.image(info["index"])
        with Image.open(io.BytesIO(data)) as image:
            return "A" in image.getbands() or "transparency" in image.info

    def write_texture(self, texture: int, normal_strength: float) -> str:
        """Write the image of a texture beside the layer, once, and return its relative path."""
        writer = self.writer
        key = (writer.base.document["textures"][texture]["source"], normal_strength)
        if key not in writer.textures:
            data, extension = writer.base.image(texture)
            name = f"texture_{len(writer.textures)}.{extension}"
            image = usd_image(data, extension, writer.max_texture_px, normal_strength)
            (writer.folder / name).write_bytes(image)
            writer.textures[key] = name
        return f"./{writer.textures[key]}"


def usd_image(data: bytes, extension: str, max_side: int, normal_strength: float) -> bytes:
    """Return an encoded image of at most ``max_side`` pixels a side. ``normal_strength`` scales normals in X and Y."""
    with Image.open(io.BytesIO(data)) as source:
        if max(source.size) <= max_side and normal_strength == 1.0 and source.mode in IMAGE_MODES:
            return data
        fallback = "RGBA" if extension == "png" else "RGB"
        image = source.convert(source.mode if source.mode in IMAGE_MODES else fallback)
    if max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if normal_strength != 1.0:
        normals = np.asarray(image.convert("RGB"), np.float32) / 127.5 - 1.0
        normals[..., :2] *= normal_strength
        normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)
        image = Image.fromarray(np.round((normals + 1.0) * 127.5).astype(np.uint8))
    file = io.BytesIO()
    image.save(
        file, "JPEG" if extension == "jpg" else "PNG", **({"quality": JPEG_QUALITY} if extension == "jpg" else {})
    )
    return file.getvalue()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
