"""``heartwood export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.arguments import (
    DEFAULT_OUT,
    DepthM,
    HeightM,
    MeshFile,
    Out,
    Server,
    Token,
    WidthM,
    choice,
    choices,
    enum_values,
    read_settings,
)
from orchestrator.cli.downloads import download, file_name
from orchestrator.cli.session import connect, follow, upload
from orchestrator.cli.terminal import facts_table, file_size, print_results
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, export_pb2, reconstruct_pb2

FOLDER = "export"
FORMATS = enum_values(export_pb2.ModelFormat)
TARGETS = enum_values(export_pb2.ExportTarget)
TEXTURE_CODECS = enum_values(export_pb2.TextureCodec)
MESH_CODECS = enum_values(export_pb2.MeshCodec)
TARGET_NAMES = {number: name for name, number in TARGETS.items()}

Formats = Annotated[str, typer.Option("--formats", help=f"Comma-separated file formats: {', '.join(FORMATS)}.")]
TargetName = Annotated[str, typer.Option("--target", help=f"Size budget of the files: {', '.join(TARGETS)}.")]


def export(
    model: MeshFile,
    out: Out = DEFAULT_OUT,
    formats: Formats = "glb,usdz,fbx",
    target: TargetName = "web",
    textures: Annotated[
        str,
        typer.Option(
            help=f"Texture compression: {', '.join(TEXTURE_CODECS)}. Default: by the target.", show_default=False
        ),
    ] = "",
    meshes: Annotated[
        str,
        typer.Option(help=f"Mesh compression: {', '.join(MESH_CODECS)}. Default: by the target.", show_default=False),
    ] = "",
    levels: Annotated[int, typer.Option(help="Levels of detail of the GLB, 1 to 4.")] = 1,
    width_m: WidthM = 0.0,
    height_m: HeightM = 0.0,
    depth_m: DepthM = 0.0,
    server: Server = "",
    token: Token = "",
) -> None:
    """Convert a 3D model to other file formats.

    Reduces the model to the size budget of --target, and validates the files.
    """
    options = export_pb2.ExportOptions(
        formats=choices("--formats", formats, FORMATS),
        target=choice("--target", target, TARGETS),
        levels=levels,
        dimensions=reconstruct_pb2.Dimensions(width_m=width_m, height_m=height_m, depth_m=depth_m),
    )
    if textures:
        options.texture_codec = choice("--textures", textures, TEXTURE_CODECS)
    if meshes:
        options.mesh_codec = choice("--meshes", meshes, MESH_CODECS)
    with connect(read_settings(), server, token) as client:
        model_id = upload(client, [model], asset_pb2.ASSET_KIND_MODEL)
        job = client.export(model_id, options)
        result = follow(client, job.id, "export").export
        save(client, result, out)
    print_results(table(result), out)


def save(client: Heartwood, result: export_pb2.ExportResult, folder: Path) -> None:
    """Download the exported files and the report."""
    download(client, _files(result), folder)


def table(result: export_pb2.ExportResult) -> Table:
    """Return the files with their sizes, and facts about the GLB."""
    facts = facts_table("export", TARGET_NAMES[result.target])
    for asset in _files(result):
        facts.add_row(file_name(asset), file_size(asset.size_bytes))
    if result.facts.triangles:
        facts.add_row("triangles", f"{result.facts.triangles:,} in {result.facts.draw_calls} draw calls")
        met = sorted(TARGET_NAMES[target] for target in result.facts.meets)
        facts.add_row("meets the budgets of", ", ".join(met) or "none")
    return facts


def _files(result: export_pb2.ExportResult) -> list[asset_pb2.Asset]:
    assets = (*(exported.file for exported in result.files), *result.levels, result.report)
    return [asset for asset in assets if asset.id]
