"""``heartwood export``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli import arguments
from orchestrator.cli.session import add_files, connect, run_stage
from orchestrator.cli.terminal import facts_table
from orchestrator.protocol.heartwood.v1 import export_pb2, reconstruct_pb2

FORMATS = arguments.enum_values(export_pb2.ModelFormat)
TARGETS = arguments.enum_values(export_pb2.ExportTarget)
TEXTURE_CODECS = arguments.enum_values(export_pb2.TextureCodec)
MESH_CODECS = arguments.enum_values(export_pb2.MeshCodec)
TARGET_NAMES = {number: name for name, number in TARGETS.items()}
TEXTURES_HELP = f"Texture compression: {', '.join(TEXTURE_CODECS)}. Default: set by the target."
MESHES_HELP = f"Mesh compression: {', '.join(MESH_CODECS)}. Default: set by the target."

Formats = Annotated[str, typer.Option("--formats", help=f"Comma-separated file formats: {', '.join(FORMATS)}.")]
TargetName = Annotated[str, typer.Option("--target", help=f"Size budget of the files: {', '.join(TARGETS)}.")]


def export(
    model: arguments.MeshFile,
    out: arguments.Out = arguments.DEFAULT_OUT,
    formats: Formats = "glb,usdz,fbx",
    target: TargetName = "web",
    textures: Annotated[str, arguments.optional(help=TEXTURES_HELP)] = "",
    meshes: Annotated[str, arguments.optional(help=MESHES_HELP)] = "",
    levels: Annotated[int, typer.Option(help="Levels of detail of the GLB, 1 to 4.")] = 1,
    width_m: arguments.WidthM = 0.0,
    height_m: arguments.HeightM = 0.0,
    depth_m: arguments.DepthM = 0.0,
    server: arguments.Server = "",
    token: arguments.Token = "",
) -> None:
    """Convert a 3D model to other file formats.

    Reduces the model to the size budget of --target, and validates the files.
    """
    options = export_pb2.ExportOptions(
        formats=arguments.choices("--formats", formats, FORMATS),
        target=arguments.choice("--target", target, TARGETS),
        levels=levels,
        dimensions=reconstruct_pb2.Dimensions(width_m=width_m, height_m=height_m, depth_m=depth_m),
    )
    if textures:
        options.texture_codec = arguments.choice("--textures", textures, TEXTURE_CODECS)
    if meshes:
        options.mesh_codec = arguments.choice("--meshes", meshes, MESH_CODECS)
    with connect(arguments.read_settings(), server, token) as client:
        run_stage(client, "export", [model], options, out)


def table(result: export_pb2.ExportResult) -> Table:
    """Return the files with their sizes, and facts about the GLB."""
    facts = facts_table("export", TARGET_NAMES[result.target])
    add_files(facts, [*(exported.file for exported in result.files), *result.levels, result.report])
    if result.facts.triangles:
        facts.add_row("triangles", f"{result.facts.triangles:,} in {result.facts.draw_calls} draw calls")
        met = sorted(TARGET_NAMES[target] for target in result.facts.meets)
        facts.add_row("meets the budgets of", ", ".join(met) or "none")
    return facts
