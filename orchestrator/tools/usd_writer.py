"""Writes a base GLB as a USDZ for ARKit, and validates it. Run by ``usd.write_usdz`` as ``usd_writer.py JOB.json``.

The first file of the package is its only layer, which is binary, in metres and with +Y up. Materials are
``UsdPreviewSurface``, textures PNG and JPEG. The job names the ``source`` GLB, the ``target`` USDZ, the scratch
``folder``, ``max_texture_px``, and the JSON file ``result``, which receives ``errors``, ``notes`` and ``bounds``.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
import zipfile
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, UsdUtils, UsdValidation, Vt  # type: ignore[import-untyped]

from orchestrator.tools.base_glb import BaseGlb, Json, Primitive, read_base_glb
from orchestrator.tools.child_process import report

ALLOWED_PRIM_TYPES = {"Xform", "Scope", "Mesh", "Material", "Shader", ""}
ALLOWED_EXTENSIONS = {".usdc", ".png", ".jpg"}
WRAP_MODES = {33071: "clamp", 33648: "mirror"}  # from glTF to USD; all other values are ``repeat``
ROOT = "/Model"
MIN_GLASS_OPACITY = 0.15  # of clear glass, because UsdPreviewSurface has no transmission; not tuned
IMAGE_MODES = ("RGB", "RGBA", "L")
JPEG_QUALITY = 92  # not tuned
TYPES = Sdf.ValueTypeNames
INPUT_TYPES = {"diffuseColor": TYPES.Color3f, "emissiveColor": TYPES.Color3f, "normal": TYPES.Normal3f}  # others: Float
UvSource: TypeAlias = tuple[int, str]  # a UV set, and the JSON of a KHR_texture_transform


@dataclass
class UsdWriter:
    """The USD stage that is being written, and what has been written for it so far."""

    stage: Usd.Stage
    base: BaseGlb
    folder: Path
    max_texture_px: int
    notes: list[str] = field(default_factory=list)
    textures: dict[tuple[int, float], str] = field(default_factory=dict)  # (image, normal strength) → file name
    primvars: dict[int, dict[UvSource, str]] = field(default_factory=dict)  # material → names of its UV primvars


def main(job: dict[str, Any]) -> None:
    target, folder = Path(job["target"]), Path(job["folder"])
    folder.mkdir(exist_ok=True)
    report(0.1, "reading the 3D model")
    base = read_base_glb(Path(job["source"]))
    writer = UsdWriter(new_stage(folder / "model.usdc"), base, folder, job["max_texture_px"])
    materials = [write_material(writer, number) for number in range(len(base.document.get("materials", [])))]
    report(0.4, "writing USD")
    for primitive in base.primitives:
        write_mesh(writer, primitive, materials)
    writer.stage.GetRootLayer().Save()
    del writer.stage  # closes the layer
    report(0.7, "packing USDZ")
    target.unlink(missing_ok=True)
    if not UsdUtils.CreateNewARKitUsdzPackage(Sdf.AssetPath(str(folder / "model.usdc")), str(target)):
        raise RuntimeError("USD could not write the USDZ package")
    report(0.8, "checking USDZ")
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


def unique_path(stage: Usd.Stage, scope: str, name: str) -> str:
    """Return an unused path in ``scope``. Its name is ``name`` as a valid USD identifier, with a number if needed."""
    valid = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "part"
    valid = valid if valid[0].isalpha() or valid[0] == "_" else f"_{valid}"
    path = f"{ROOT}/{scope}/{valid}"
    candidates = chain([path], (f"{path}_{number}" for number in count(2)))
    return next(candidate for candidate in candidates if not stage.GetPrimAtPath(candidate))


def write_mesh(writer: UsdWriter, primitive: Primitive, materials: list[UsdShade.Material]) -> None:
    mesh = UsdGeom.Mesh.Define(writer.stage, unique_path(writer.stage, "Geometry", primitive.name))
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
        for (uv_set, transform), primvar in writer.primvars[primitive.material].items():
            if uv_set in primitive.uvs:
                uvs = usd_uvs(primitive.uvs[uv_set], json.loads(transform))
                coordinates = api.CreatePrimvar(primvar, TYPES.TexCoord2fArray, UsdGeom.Tokens.vertex)
                coordinates.Set(Vt.Vec2fArray.FromNumpy(uvs))
    if primitive.colors is not None:
        colors = api.CreatePrimvar("displayColor", TYPES.Color3fArray, UsdGeom.Tokens.vertex)
        colors.Set(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(primitive.colors[:, :3])))


def usd_uvs(uvs: NDArray[np.float32], transform: Json) -> NDArray[np.float32]:
    """Apply a KHR_texture_transform, then move the origin to the bottom left corner, as in USD.

    Args:
        uvs: [V, 2] with the origin in the top left corner.
    """
    angle, scale = transform.get("rotation", 0.0), np.array(transform.get("scale", [1.0, 1.0]))
    sine, cosine = math.sin(angle), math.cos(angle)
    offset = np.array(transform.get("offset", [0.0, 0.0]))
    moved = (uvs * scale) @ np.array([[cosine, -sine], [sine, cosine]]) + offset
    return np.ascontiguousarray(np.column_stack([moved[:, 0], 1.0 - moved[:, 1]]), np.float32)


def write_material(writer: UsdWriter, number: int) -> UsdShade.Material:
    gltf_material: Json = writer.base.document["materials"][number]
    writer.primvars[number] = {}
    path = unique_path(writer.stage, "Materials", gltf_material.get("name", "material"))
    material = UsdShade.Material.Define(writer.stage, path)
    shader = UsdShade.Shader.Define(writer.stage, f"{path}/Surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    material.CreateSurfaceOutput().ConnectToSource(shader.CreateOutput("surface", TYPES.Token))
    surface = PreviewSurface(writer, number, path, shader)
    surface.write_base_color(gltf_material)
    surface.write_roughness_and_metal(gltf_material.get("pbrMetallicRoughness", {}))
    surface.write_normal_and_occlusion(gltf_material)
    surface.write_emission(gltf_material)
    surface.write_extensions(gltf_material.get("extensions", {}))
    return material


@dataclass(frozen=True)
class PreviewSurface:
    """Sets the inputs of the UsdPreviewSurface of one material."""

    writer: UsdWriter
    material: int  # index in the GLB
    path: str
    shader: UsdShade.Shader

    def write_base_color(self, gltf_material: Json) -> None:
        """Set ``diffuseColor``, and the opacity unless the material is opaque."""
        pbr = gltf_material.get("pbrMetallicRoughness", {})
        factor = pbr.get("baseColorFactor", [1.0, 1.0, 1.0, 1.0])
        info = pbr.get("baseColorTexture")
        mode = gltf_material.get("alphaMode", "OPAQUE")
        if info:
            texture = self.add_texture("BaseColor", info, scale=factor, is_color=True)
            self.connect("diffuseColor", texture, "rgb")
        elif self.has_vertex_colors():
            reader = self.add_primvar_reader("Color", "UsdPrimvarReader_float3", "displayColor", TYPES.Float3)
            self.connect("diffuseColor", reader, "result")
        else:
            self.set("diffuseColor", Gf.Vec3f(*factor[:3]))
        if mode == "OPAQUE":
            return
        if info and self.has_alpha(info):
            self.connect("opacity", texture, "a")
        else:
            self.set("opacity", float(factor[3]))
        if mode == "MASK":
            self.set("opacityThreshold", float(gltf_material.get("alphaCutoff", 0.5)))

    def write_roughness_and_metal(self, pbr: Json) -> None:
        roughness, metallic = float(pbr.get("roughnessFactor", 1.0)), float(pbr.get("metallicFactor", 1.0))
        if info := pbr.get("metallicRoughnessTexture"):
            texture = self.add_texture("RoughMetal", info, scale=[1.0, roughness, metallic, 1.0])
            self.connect("roughness", texture, "g")
            self.connect("metallic", texture, "b")
        else:
            self.set("roughness", roughness)
            self.set("metallic", metallic)

    def write_normal_and_occlusion(self, gltf_material: Json) -> None:
        if info := gltf_material.get("normalTexture"):
            # Normals are stored as (n + 1) / 2. USD requires this scale and bias; write_texture applies the strength.
            texture = self.add_texture("Normal", info, [2.0, 2.0, 2.0, 1.0], [-1.0, -1.0, -1.0, 0.0])
            self.connect("normal", texture, "rgb")
        if info := gltf_material.get("occlusionTexture"):
            strength = float(info.get("strength", 1.0))
            scale, bias = [*[strength] * 3, 1.0], [*[1 - strength] * 3, 0.0]
            self.connect("occlusion", self.add_texture("Occlusion", info, scale, bias), "r")

    def write_emission(self, gltf_material: Json) -> None:
        extension = gltf_material.get("extensions", {}).get("KHR_materials_emissive_strength", {})
        strength = extension.get("emissiveStrength", 1)
        factor = [float(value) * strength for value in gltf_material.get("emissiveFactor", [0.0, 0.0, 0.0])]
        if (info := gltf_material.get("emissiveTexture")) and any(factor):
            texture = self.add_texture("Emission", info, [*factor, 1.0], is_color=True)
            self.connect("emissiveColor", texture, "rgb")
        elif any(factor):
            self.set("emissiveColor", Gf.Vec3f(*factor))

    def write_extensions(self, extensions: Json) -> None:
        """Set clearcoat and index of refraction. Transmission becomes a low opacity, with a note."""
        coat = extensions.get("KHR_materials_clearcoat", {})
        if coat.get("clearcoatFactor"):
            self.set("clearcoat", float(coat["clearcoatFactor"]))
            self.set("clearcoatRoughness", float(coat.get("clearcoatRoughnessFactor", 0.0)))
        if "ior" in extensions.get("KHR_materials_ior", {}):
            self.set("ior", float(extensions["KHR_materials_ior"]["ior"]))
        transmission = float(extensions.get("KHR_materials_transmission", {}).get("transmissionFactor", 0.0))
        if transmission:
            self.set("opacity", max(MIN_GLASS_OPACITY, 1.0 - transmission))
            self.writer.notes.append("glass is a thin transparent surface in USDZ, which does not support transmission")

    def add_texture(
        self, name: str, info: Json, scale: list[float], bias: list[float] | None = None, *, is_color: bool = False
    ) -> UsdShade.Shader:
        """Add a node that returns scale × texture + bias."""
        document = self.writer.base.document
        texture = document["textures"][info["index"]]
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        primvar = self.primvar(transform.get("texCoord", info.get("texCoord", 0)), transform)
        node = UsdShade.Shader.Define(self.writer.stage, f"{self.path}/{name}")
        node.CreateIdAttr("UsdUVTexture")
        node.CreateInput("file", TYPES.Asset).Set(Sdf.AssetPath(self.write_texture(info)))
        node.CreateInput("sourceColorSpace", TYPES.Token).Set("sRGB" if is_color else "raw")
        node.CreateInput("scale", TYPES.Float4).Set(Gf.Vec4f(*scale))
        if bias:
            node.CreateInput("bias", TYPES.Float4).Set(Gf.Vec4f(*bias))
        sampler = document["samplers"][texture["sampler"]] if "sampler" in texture else {}
        for side in ("wrapS", "wrapT"):
            node.CreateInput(side, TYPES.Token).Set(WRAP_MODES.get(sampler.get(side, 0), "repeat"))
        reader = self.add_primvar_reader(f"Reader_{primvar}", "UsdPrimvarReader_float2", primvar, TYPES.Float2)
        node.CreateInput("st", TYPES.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
        return node

    def primvar(self, uv_set: int, transform: Json) -> str:
        """Return the name of the primvar for a UV set with this transform. A material's first primvar is ``st``."""
        primvars = self.writer.primvars[self.material]
        source = (uv_set, json.dumps(transform, sort_keys=True))
        return primvars.setdefault(source, f"st{len(primvars)}" if primvars else "st")

    def add_primvar_reader(self, name: str, shader_id: str, primvar: str, result: Sdf.ValueTypeName) -> UsdShade.Shader:
        reader = UsdShade.Shader.Define(self.writer.stage, f"{self.path}/{name}")
        reader.CreateIdAttr(shader_id)
        reader.CreateInput("varname", TYPES.String).Set(primvar)
        reader.CreateOutput("result", result)
        return reader

    def connect(self, name: str, node: UsdShade.Shader, channel: str) -> None:
        node.CreateOutput(channel, TYPES.Float3 if channel in ("rgb", "result") else TYPES.Float)
        self.input(name).ConnectToSource(node.ConnectableAPI(), channel)

    def set(self, name: str, value: Any) -> None:
        self.input(name).Set(value)

    def input(self, name: str) -> UsdShade.Input:
        return self.shader.CreateInput(name, INPUT_TYPES.get(name, TYPES.Float))

    def has_vertex_colors(self) -> bool:
        primitives = self.writer.base.primitives
        return any(primitive.material == self.material and primitive.colors is not None for primitive in primitives)

    def has_alpha(self, info: Json) -> bool:
        data, _ = self.writer.base.image(info["index"])
        with Image.open(io.BytesIO(data)) as image:
            return "A" in image.getbands() or "transparency" in image.info

    def write_texture(self, info: Json) -> str:
        """Write the image of a texture beside the layer, once, and return its relative path."""
        writer = self.writer
        normal_strength = float(info.get("scale", 1.0))  # only normal textures have one
        key = (writer.base.document["textures"][info["index"]]["source"], normal_strength)
        if key not in writer.textures:
            data, extension = writer.base.image(info["index"])
            name = f"texture_{len(writer.textures)}.{extension}"
            (writer.folder / name).write_bytes(usd_image(data, extension, writer.max_texture_px, normal_strength))
            writer.textures[key] = name
        return f"./{writer.textures[key]}"


def usd_image(data: bytes, extension: str, max_side: int, normal_strength: float) -> bytes:
    """Encode an image with at most ``max_side`` pixels per side. ``normal_strength`` scales normals in X and Y."""
    with Image.open(io.BytesIO(data)) as source:
        if max(source.size) <= max_side and normal_strength == 1.0 and source.mode in IMAGE_MODES:
            return data
        fallback = "RGBA" if extension == "png" else "RGB"
        image = source.convert(source.mode if source.mode in IMAGE_MODES else fallback)
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)  # never enlarges
    if normal_strength != 1.0:
        normals = np.asarray(image.convert("RGB"), np.float32) / 127.5 - 1.0
        normals[..., :2] *= normal_strength
        normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)
        image = Image.fromarray(np.round((normals + 1.0) * 127.5).astype(np.uint8))
    file = io.BytesIO()
    image.save(file, "JPEG" if extension == "jpg" else "PNG", quality=JPEG_QUALITY)
    return file.getvalue()


def validate(usdz: Path) -> list[str]:
    """Return violations of USD's rules, and of ARKit's rules, which USD's validators no longer check."""
    stage = Usd.Stage.Open(str(usdz))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    violations = [
        f"{error.GetIdentifier()}: {error.GetMessage()}".replace(str(usdz), usdz.name)
        for error in UsdValidation.ValidationContext(validators).Validate(stage)
    ]
    with zipfile.ZipFile(usdz) as package:
        files = package.namelist()
    if not files or not files[0].endswith(".usdc"):
        violations.append("ARKitRootLayer: the first file of the package is not a binary layer")
    violations += [
        f"ARKitFileExtension: {name}" for name in files if Path(name).suffix.lower() not in ALLOWED_EXTENSIONS
    ]
    if UsdGeom.GetStageUpAxis(stage) != UsdGeom.Tokens.y:
        violations.append("ARKitUpAxis: +Y must be up")
    for prim in stage.Traverse():
        if prim.GetTypeName() not in ALLOWED_PRIM_TYPES:
            violations.append(f"ARKitPrimType: {prim.GetPath()} is a {prim.GetTypeName()}")
        if prim.IsA(UsdShade.Shader):
            violations += validate_shader(UsdShade.Shader(prim))
        binding = prim.GetRelationship("material:binding")
        if binding and not all(stage.GetPrimAtPath(target).IsValid() for target in binding.GetTargets()):
            violations.append(f"ARKitMaterialBinding: {prim.GetPath()} refers to a material that does not exist")
    return violations


def validate_shader(shader: UsdShade.Shader) -> list[str]:
    """Return violations of ARKit's rules for shaders."""
    path = shader.GetPath()
    violations = []
    if shader.GetImplementationSource() != UsdShade.Tokens.id or not str(shader.GetShaderId()).startswith("Usd"):
        violations.append(f"ARKitShader: {path} is not a shader of USD's preview surface")
    for shader_input in shader.GetInputs():
        sources, invalid = shader_input.GetConnectedSources()
        if invalid or len(sources) > 1:
            name = shader_input.GetBaseName()
            violations.append(f"ARKitShader: input {name} of {path} has an invalid source or more than one source")
    return violations


def bounds(usdz: Path) -> list[list[float]]:
    """Return the minimum and the maximum corner of the bounding box in metres."""
    stage = Usd.Stage.Open(str(usdz))
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_])
    box = cache.ComputeWorldBound(stage.GetDefaultPrim()).ComputeAlignedRange()
    scale = UsdGeom.GetStageMetersPerUnit(stage)
    return [[float(value) * scale for value in corner] for corner in (box.GetMin(), box.GetMax())]


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
