"""USD's side of ``usd``: a process of its own, ``usd_child.py JOB.json``; native code may crash.

Writes a base GLB as a USDZ that ARKit reads: one binary layer first, +Y up, metres, ``UsdPreviewSurface`` materials,
PNG and JPEG pictures; then opens it again and runs every check that USD has, and those that it had for ARKit by name.
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

from orchestrator.tools.base_glb import BaseModel, Json, Part, read_base
from orchestrator.tools.usd_check import bounds, check

WRAP = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
ROOT = "/Model"
MIN_GLASS_OPACITY = 0.15
"""UsdPreviewSurface knows no transmission; clear glass becomes this opaque."""


@dataclass
class Writer:
    """What is being written: the stage, and the pictures that stand beside it."""

    stage: Usd.Stage
    model: BaseModel
    folder: Path
    max_side: int
    notes: list[str] = field(default_factory=list)
    written: dict[tuple[int, float], str] = field(default_factory=dict)
    slots: dict[int, dict[str, tuple[int, str]]] = field(default_factory=dict)  # primvars of each material


def main(job: dict[str, Any]) -> None:
    target, folder = Path(job["target"]), Path(job["folder"])
    folder.mkdir(exist_ok=True)
    print("PROGRESS 0.1 reading the model", flush=True)
    writer = Writer(new_stage(folder / "model.usdc"), read_base(Path(job["source"])), folder, job["texture_px"])
    materials = [write_material(writer, number) for number in range(len(writer.model.document.get("materials", [])))]
    print("PROGRESS 0.4 writing USD", flush=True)
    taken: set[str] = set()
    for part in writer.model.parts:
        write_mesh(writer, part, unique(part.name, taken), materials)
    writer.stage.GetRootLayer().Save()
    del writer.stage
    print("PROGRESS 0.7 packing USDZ", flush=True)
    target.unlink(missing_ok=True)
    if not UsdUtils.CreateNewARKitUsdzPackage(Sdf.AssetPath(str(folder / "model.usdc")), str(target)):
        raise RuntimeError("USD could not pack the USDZ")
    print("PROGRESS 0.8 checking USDZ", flush=True)
    answer = {"errors": check(target), "notes": sorted(set(writer.notes)), "bounds": bounds(target)}
    Path(job["result"]).write_text(json.dumps(answer), encoding="utf-8")


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


def unique(name: str, taken: set[str]) -> str:
    """A name that USD allows and that is not taken."""
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "part"
    plain = plain if plain[0].isalpha() or plain[0] == "_" else f"_{plain}"
    one, number = plain, 2
    while one in taken:
        one, number = f"{plain}_{number}", number + 1
    taken.add(one)
    return one


def write_mesh(writer: Writer, part: Part, name: str, materials: list[UsdShade.Material]) -> None:
    mesh = UsdGeom.Mesh.Define(writer.stage, f"{ROOT}/Geometry/{name}")
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(part.positions))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(part.triangles), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(part.triangles.ravel())))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(part.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    low, high = part.positions.min(0), part.positions.max(0)
    mesh.CreateExtentAttr([Gf.Vec3f(*low.tolist()), Gf.Vec3f(*high.tolist())])
    primvars = UsdGeom.PrimvarsAPI(mesh)
    if part.material >= 0:
        described = writer.model.document["materials"][part.material]
        mesh.CreateDoubleSidedAttr(bool(described.get("doubleSided", False)))
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(materials[part.material])
        for primvar, (number, transform) in writer.slots[part.material].items():
            if number in part.uvs:
                uv = moved(part.uvs[number], json.loads(transform))
                one = primvars.CreatePrimvar(primvar, Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
                one.Set(Vt.Vec2fArray.FromNumpy(uv))
    if part.colors is not None:
        one = primvars.CreatePrimvar("displayColor", Sdf.ValueTypeNames.Color3fArray, UsdGeom.Tokens.vertex)
        one.Set(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(part.colors[:, :3])))


def moved(uv: NDArray[np.float32], transform: Json) -> NDArray[np.float32]:
    """The texture's own transform (KHR_texture_transform), then USD's origin, which is the bottom left corner."""
    angle, scale = transform.get("rotation", 0.0), np.array(transform.get("scale", [1.0, 1.0]))
    sine, cosine = math.sin(angle), math.cos(angle)
    turned = (uv * scale) @ np.array([[cosine, -sine], [sine, cosine]]) + np.array(transform.get("offset", [0.0, 0.0]))
    return np.ascontiguousarray(np.column_stack([turned[:, 0], 1.0 - turned[:, 1]]), np.float32)


def write_material(writer: Writer, number: int) -> UsdShade.Material:
    described: Json = writer.model.document["materials"][number]
    writer.slots[number] = {}
    taken = {one.GetName() for one in writer.stage.GetPrimAtPath(f"{ROOT}/Materials").GetChildren()}
    path = f"{ROOT}/Materials/{unique(described.get('name', 'material'), taken)}"
    material = UsdShade.Material.Define(writer.stage, path)
    shader = UsdShade.Shader.Define(writer.stage, f"{path}/Surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    material.CreateSurfaceOutput().ConnectToSource(shader.CreateOutput("surface", Sdf.ValueTypeNames.Token))
    put = Slots(writer, number, path, shader)
    put.base(described)
    put.rough_metal(described.get("pbrMetallicRoughness", {}))
    put.normal_occlusion_emission(described)
    put.extras(described.get("extensions", {}))
    return material


@dataclass(frozen=True)
class Slots:
    """Fills the inputs of one material's surface."""

    writer: Writer
    number: int
    path: str
    shader: UsdShade.Shader

    def base(self, described: Json) -> None:
        pbr = described.get("pbrMetallicRoughness", {})
        factor = pbr.get("baseColorFactor", [1.0, 1.0, 1.0, 1.0])
        info = pbr.get("baseColorTexture")
        mode = described.get("alphaMode", "OPAQUE")
        if info:
            node = self.picture("BaseColor", info, scale=factor, color=True)
            self.connect("diffuseColor", Sdf.ValueTypeNames.Color3f, node, "rgb")
        elif self.has_colors():
            reader = self.reader("Color", "UsdPrimvarReader_float3", "displayColor", Sdf.ValueTypeNames.Float3)
            made = self.shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
            made.ConnectToSource(reader.ConnectableAPI(), "result")
        else:
            self.set("diffuseColor", Sdf.ValueTypeNames.Color3f, Gf.Vec3f(*factor[:3]))
        if mode == "OPAQUE":
            return
        if info and self.has_alpha(info):
            self.connect("opacity", Sdf.ValueTypeNames.Float, node, "a")
        else:
            self.set("opacity", Sdf.ValueTypeNames.Float, float(factor[3]))
        if mode == "MASK":
            self.set("opacityThreshold", Sdf.ValueTypeNames.Float, float(described.get("alphaCutoff", 0.5)))

    def rough_metal(self, pbr: Json) -> None:
        rough, metal = float(pbr.get("roughnessFactor", 1.0)), float(pbr.get("metallicFactor", 1.0))
        info = pbr.get("metallicRoughnessTexture")
        if info:
            node = self.picture("RoughMetal", info, scale=[1.0, rough, metal, 1.0])
            self.connect("roughness", Sdf.ValueTypeNames.Float, node, "g")
            self.connect("metallic", Sdf.ValueTypeNames.Float, node, "b")
        else:
            self.set("roughness", Sdf.ValueTypeNames.Float, rough)
            self.set("metallic", Sdf.ValueTypeNames.Float, metal)

    def normal_occlusion_emission(self, described: Json) -> None:
        if info := described.get("normalTexture"):
            # Normals are stored as (n + 1) / 2; their strength is put into the picture, as USD wants just this scale.
            node = self.picture(
                "Normal", info, [2.0, 2.0, 2.0, 1.0], [-1.0, -1.0, -1.0, 0.0], strength=float(info.get("scale", 1.0))
            )
            self.connect("normal", Sdf.ValueTypeNames.Normal3f, node, "rgb")
        if info := described.get("occlusionTexture"):
            share = float(info.get("strength", 1.0))
            node = self.picture("Occlusion", info, [share, share, share, 1.0], [1 - share, 1 - share, 1 - share, 0.0])
            self.connect("occlusion", Sdf.ValueTypeNames.Float, node, "r")
        strength = described.get("extensions", {}).get("KHR_materials_emissive_strength", {}).get("emissiveStrength", 1)
        factor = [float(one) * strength for one in described.get("emissiveFactor", [0.0, 0.0, 0.0])]
        if (info := described.get("emissiveTexture")) and any(factor):
            node = self.picture("Emission", info, [*factor, 1.0], color=True)
            self.connect("emissiveColor", Sdf.ValueTypeNames.Color3f, node, "rgb")
        elif any(factor):
            self.set("emissiveColor", Sdf.ValueTypeNames.Color3f, Gf.Vec3f(*factor))

    def extras(self, extensions: Json) -> None:
        coat = extensions.get("KHR_materials_clearcoat", {})
        if coat.get("clearcoatFactor"):
            self.set("clearcoat", Sdf.ValueTypeNames.Float, float(coat["clearcoatFactor"]))
            roughness = float(coat.get("clearcoatRoughnessFactor", 0.0))
            self.set("clearcoatRoughness", Sdf.ValueTypeNames.Float, roughness)
        if "ior" in extensions.get("KHR_materials_ior", {}):
            self.set("ior", Sdf.ValueTypeNames.Float, float(extensions["KHR_materials_ior"]["ior"]))
        through = float(extensions.get("KHR_materials_transmission", {}).get("transmissionFactor", 0.0))
        if through:
            self.set("opacity", Sdf.ValueTypeNames.Float, max(MIN_GLASS_OPACITY, 1.0 - through))
            self.writer.notes.append("glass lets light through as a thin surface: USD's preview knows no transmission")

    def picture(
        self,
        name: str,
        info: Json,
        scale: list[float],
        bias: list[float] | None = None,
        *,
        color: bool = False,
        strength: float = 1.0,
    ) -> UsdShade.Shader:
        """A texture node: what it reads is scale × picture + bias."""
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        number = transform.get("texCoord", info.get("texCoord", 0))
        primvar = self.primvar(number, transform)
        node = UsdShade.Shader.Define(self.writer.stage, f"{self.path}/{name}")
        node.CreateIdAttr("UsdUVTexture")
        file = self.writer_file(info["index"], strength)
        node.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(Sdf.AssetPath(file))
        space = "sRGB" if color else "raw"
        node.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set(space)
        node.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(*scale))
        if bias:
            node.CreateInput("bias", Sdf.ValueTypeNames.Float4).Set(Gf.Vec4f(*bias))
        document = self.writer.model.document
        sampler = document["textures"][info["index"]].get("sampler")
        wraps = document["samplers"][sampler] if sampler is not None else {}
        for side, key in (("wrapS", "wrapS"), ("wrapT", "wrapT")):
            node.CreateInput(side, Sdf.ValueTypeNames.Token).Set(WRAP.get(wraps.get(key, 10497), "repeat"))
        reader = self.reader(f"Reader_{primvar}", "UsdPrimvarReader_float2", primvar, Sdf.ValueTypeNames.Float2)
        node.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
        return node

    def primvar(self, number: int, transform: Json) -> str:
        """The primvar that holds this UV set with this transform; ``st`` is the first."""
        known = self.writer.slots[self.number]
        wanted = (number, json.dumps(transform, sort_keys=True))
        for name, one in known.items():
            if one == wanted:
                return name
        name = f"st{len(known)}" if known else "st"
        known[name] = wanted
        return name

    def reader(self, name: str, kind: str, primvar: str, result: Sdf.ValueTypeName) -> UsdShade.Shader:
        made = UsdShade.Shader.Define(self.writer.stage, f"{self.path}/{name}")
        made.CreateIdAttr(kind)
        made.CreateInput("varname", Sdf.ValueTypeNames.String).Set(primvar)
        made.CreateOutput("result", result)
        return made

    def connect(self, name: str, kind: Sdf.ValueTypeName, node: UsdShade.Shader, channel: str) -> None:
        output = Sdf.ValueTypeNames.Float3 if channel == "rgb" else Sdf.ValueTypeNames.Float
        node.CreateOutput(channel, output)
        self.shader.CreateInput(name, kind).ConnectToSource(node.ConnectableAPI(), channel)

    def set(self, name: str, kind: Sdf.ValueTypeName, value: Any) -> None:
        self.shader.CreateInput(name, kind).Set(value)

    def has_colors(self) -> bool:
        return any(one.material == self.number and one.colors is not None for one in self.writer.model.parts)

    def has_alpha(self, info: Json) -> bool:
        data, _ = self.writer.model.picture(info["index"])
        with Image.open(io.BytesIO(data)) as picture:
            return "A" in picture.getbands() or "transparency" in picture.info

    def writer_file(self, texture: int, strength: float) -> str:
        """The picture as a file beside the layer, at most ``max_side`` long."""
        writer = self.writer
        key = (writer.model.document["textures"][texture]["source"], strength)
        if key not in writer.written:
            data, suffix = writer.model.picture(texture)
            name = f"texture_{len(writer.written)}.{suffix}"
            (writer.folder / name).write_bytes(fitting(data, suffix, writer.max_side, strength))
            writer.written[key] = name
        return f"./{writer.written[key]}"


def fitting(data: bytes, suffix: str, max_side: int, strength: float) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        if max(picture.size) <= max_side and strength == 1.0 and picture.mode in ("RGB", "RGBA", "L"):
            return data
        wanted = picture.mode if picture.mode in ("RGB", "RGBA", "L") else "RGBA" if suffix == "png" else "RGB"
        made = picture.convert(wanted)
    if max(made.size) > max_side:
        made.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    if strength != 1.0:
        normals = np.asarray(made.convert("RGB"), np.float32) / 127.5 - 1.0
        normals[..., :2] *= strength
        normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)
        made = Image.fromarray(np.round((normals + 1.0) * 127.5).astype(np.uint8))
    out = io.BytesIO()
    made.save(out, "JPEG" if suffix == "jpg" else "PNG", **({"quality": 92} if suffix == "jpg" else {}))
    return out.getvalue()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
