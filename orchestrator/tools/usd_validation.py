"""Validates a USDZ by the rules of USD and of ARKit. Imported only by ``usd_writer``, in its own process."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pxr import Usd, UsdGeom, UsdShade, UsdValidation  # type: ignore[import-untyped]

ALLOWED_PRIM_TYPES = {"Xform", "Scope", "Mesh", "Material", "Shader", ""}
ALLOWED_EXTENSIONS = {".usdc", ".png", ".jpg"}


def validate(usdz: Path) -> list[str]:
    """Return all violations: those that USD's validators find, and those of ARKit's rules, which USD no longer has."""
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
            violations.append(f"ARKitShader: {path} has an input {shader_input.GetBaseName()} without one valid source")
    return violations


def bounds(usdz: Path) -> list[list[float]]:
    """Return the minimum and the maximum corner of the bounding box in metres."""
    stage = Usd.Stage.Open(str(usdz))
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_])
    box = cache.ComputeWorldBound(stage.GetDefaultPrim()).ComputeAlignedRange()
    scale = UsdGeom.GetStageMetersPerUnit(stage)
    return [[float(value) * scale for value in corner] for corner in (box.GetMin(), box.GetMax())]
