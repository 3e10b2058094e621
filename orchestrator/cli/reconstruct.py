"""``heartwood reconstruct``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli import arguments
from orchestrator.cli.session import connect, run_stage
from orchestrator.cli.terminal import facts_table
from orchestrator.protocol.heartwood.v1 import reconstruct_pb2

MODES = arguments.enum_values(reconstruct_pb2.ReconstructMode)
ENGINES = arguments.enum_values(reconstruct_pb2.PhotogrammetryEngine)
PROVIDERS = arguments.enum_values(reconstruct_pb2.SingleImageProvider)
MODE_HELP = f"{', '.join(MODES)}. auto selects photogrammetry for 8 photos or more."
ORDERED_HELP = "The photos are in order around the piece. Only neighbours are matched."

ModeName = Annotated[str, typer.Option("--mode", help=MODE_HELP)]


def reconstruct(
    photos: arguments.Photos,
    out: arguments.Out = arguments.DEFAULT_OUT,
    mode: ModeName = "auto",
    engine: Annotated[str, typer.Option(help=f"Photogrammetry program: {', '.join(ENGINES)}.")] = "colmap",
    provider: Annotated[str, typer.Option(help=f"Method for single_image: {', '.join(PROVIDERS)}.")] = "local",
    ordered: Annotated[bool, typer.Option("--ordered", help=ORDERED_HELP)] = False,
    width_m: arguments.WidthM = 0.0,
    height_m: arguments.HeightM = 0.0,
    depth_m: arguments.DepthM = 0.0,
    texture: Annotated[int, typer.Option(help="Texture side in pixels: 512, 1024, 2048 or 4096.")] = 2048,
    triangles: Annotated[int, typer.Option(help="Maximum triangle count.")] = 200_000,
    preview: arguments.Preview = False,
    server: arguments.Server = "",
    token: arguments.Token = "",
) -> None:
    """Make a 3D model from photos.

    Saves the model as GLB, USDZ and FBX, and prints a report on the photos.
    """
    options = reconstruct_pb2.ReconstructOptions(
        mode=arguments.choice("--mode", mode, MODES),
        engine=arguments.choice("--engine", engine, ENGINES),
        provider=arguments.choice("--provider", provider, PROVIDERS),
        ordered=ordered,
        dimensions=reconstruct_pb2.Dimensions(width_m=width_m, height_m=height_m, depth_m=depth_m),
        texture_size=texture,
        max_triangles=triangles,
    )
    with connect(arguments.read_settings(), server, token) as client:
        run_stage(client, "reconstruct", photos, options, out, preview=preview)


def table(result: reconstruct_pb2.ReconstructResult) -> Table:
    """Return facts about the 3D model and the report on the photos."""
    facts = facts_table("model", result.model_id)
    size = result.dimensions
    report = result.report
    facts.add_row("triangles", f"{result.triangles:,}")
    facts.add_row("width, height, depth", f"{size.width_m:.3f} × {size.height_m:.3f} × {size.depth_m:.3f}")
    facts.add_row("photos used", f"{len(report.used_photo_asset_ids)} of {report.photos}")
    if report.points:
        facts.add_row("reprojection error", f"{report.mean_reprojection_error_px:.2f} px, {report.points:,} points")
        facts.add_row("coverage", f"{report.coverage_deg:.0f}° around the piece")
    for advice in report.advice:
        facts.add_row("advice", advice)
    return facts
