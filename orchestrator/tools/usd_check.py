"""What USD and ARKit say of a USDZ. Only ever imported by ``usd_child``, in its own process."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pxr import Usd, UsdGeom, UsdShade, UsdValidation  # type: ignore[import-untyped]

ALLOWED_PRIMS = {"Xform", "Scope", "Mesh", "Material", "Shader", ""}
ALLOWED_FILES = {".usdc", ".png", ".jpg"}


def check(usdz: Path) -> list[str]:
    """What is wrong with the package: all validators that USD has, and what ARKit asks for beyond them."""
    stage = Usd.Stage.Open(str(usdz))
    registry = UsdValidation.ValidationRegistry()
    context = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators())
    found = [
        f"{one.GetIdentifier()}: {one.GetMessage()}".replace(str(usdz), usdz.name) for one in context.Validate(stage)
    ]
    with zipfile.ZipFile(usdz) as package:
        files = package.namelist()
    if not files or not files[0].endswith(".usdc"):
        found.append("ARKitRootLayer: the first file of the package is no binary layer")
    found += [f"ARKitFileExtension: {one}" for one in files if Path(one).suffix.lower() not in ALLOWED_FILES]
    if UsdGeom.GetStageUpAxis(stage) != UsdGeom.Tokens.y:
        found.append("ARKitUpAxis: +Y must be up")
    for prim in stage.Traverse():
        if prim.GetTypeName() not in ALLOWED_PRIMS:
            found.append(f"ARKitPrimType: {prim.GetPath()} is a {prim.GetTypeName()}")
        if prim.IsA(UsdShade.Shader):
            found += check_shader(UsdShade.Shader(prim))
        binding = prim.GetRelationship("material:binding")
        if binding and not all(stage.GetPrimAtPath(one).IsValid() for one in binding.GetTargets()):
            found.append(f"ARKitMaterialBinding: {prim.GetPath()} has a material that is not there")
    return found


def check_shader(shader: UsdShade.Shader) -> list[str]:
    path = shader.GetPath()
    found = []
    if shader.GetImplementationSource() != UsdShade.Tokens.id or not str(shader.GetShaderId()).startswith("Usd"):
        found.append(f"ARKitShader: {path} is no shader of USD's preview")
    for one in shader.GetInputs():
        sources, invalid = one.GetConnectedSources()
        if invalid or len(sources) > 1:
            found.append(f"ARKitShader: {path} has an input {one.GetBaseName()} without one valid source")
    return found


def bounds(usdz: Path) -> list[list[float]]:
    stage = Usd.Stage.Open(str(usdz))
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_])
    box = cache.ComputeWorldBound(stage.GetDefaultPrim()).ComputeAlignedRange()
    scale = UsdGeom.GetStageMetersPerUnit(stage)
    return [[float(one) * scale for one in box.GetMin()], [float(one) * scale for one in box.GetMax()]]
