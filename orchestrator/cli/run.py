"""``heartwood run``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.arguments import (
    DEFAULT_OUT,
    DepthM,
    HeightM,
    Out,
    Photos,
    Preview,
    Server,
    StainColor,
    StainName,
    Token,
    WidthM,
    choice,
    choices,
    read_settings,
)
from orchestrator.cli.commands import COMMANDS
from orchestrator.cli.export import FORMATS, TARGETS, Formats, TargetName
from orchestrator.cli.reconstruct import MODES, ModeName
from orchestrator.cli.render import Frames, Resolution, parse_resolution
from orchestrator.cli.session import connect, follow, quality, upload
from orchestrator.cli.terminal import console, print_saved
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import (
    export_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)

DEFAULT_STAGES = ("segment", "stain", "reconstruct", "render", "export")
ADDITIONAL_STAGES = tuple(
    field.name for field in pipeline_pb2.PipelineOptions.DESCRIPTOR.fields if field.name not in DEFAULT_STAGES
)
ANY_COLOR = "#808080"
"""The target of a stain of strength 0, which has no effect."""


def run(
    photos: Photos,
    out: Out = DEFAULT_OUT,
    stain: StainName = "",
    color: StainColor = "",
    mode: ModeName = "auto",
    width_m: WidthM = 0.0,
    height_m: HeightM = 0.0,
    depth_m: DepthM = 0.0,
    frames: Frames = 36,
    resolution: Resolution = "1920x1080",
    formats: Formats = "glb,usdz,fbx",
    target: TargetName = "web",
    also: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Stage to run as well, with its defaults: {', '.join(ADDITIONAL_STAGES)}. Repeatable.",
            show_default=False,
        ),
    ] = None,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Make masks, stain, 3D model, turntable and files in one job.

    Runs the stages segment, stain, reconstruct, render and export, and those that --also adds. Without --stain and
    --color the wood keeps its colour.
    """
    options = pipeline_pb2.PipelineOptions(
        segment=segment_pb2.SegmentOptions(),
        stain=stain_options(stain, color),
        reconstruct=reconstruct_pb2.ReconstructOptions(
            mode=choice("--mode", mode, MODES),
            dimensions=reconstruct_pb2.Dimensions(width_m=width_m, height_m=height_m, depth_m=depth_m),
        ),
        render=render_options(frames, resolution),
        export=export_pb2.ExportOptions(
            formats=choices("--formats", formats, FORMATS), target=choice("--target", target, TARGETS), levels=1
        ),
    )
    add_stages(options, also or ())
    with connect(read_settings(), server, token) as client:
        job = client.run(upload(client, photos), options, quality=quality(preview))
        result = follow(client, job.id, "run").pipeline
        for table in save(client, result, out):
            console.print(table)
    print_saved(out)


def save(client: Heartwood, result: pipeline_pb2.PipelineResult, folder: Path) -> Iterator[Table]:
    """Download the files of every stage into the folder of the stage; yield the table of each stage."""
    for field, stage_result in result.ListFields():
        stage = COMMANDS[field.name].module()
        stage.save(client, stage_result, folder / stage.FOLDER)
        yield stage.table(stage_result)


def stain_options(stain: str, color: str) -> stain_pb2.StainOptions:
    """Return the stain that the user named, or one that leaves the wood unchanged.

    Raises:
        InvalidInput: both a name and a colour are given.
    """
    if stain and color:
        raise InvalidInput("--color", "give either --color '#RRGGBB' or --stain NAME, not both")
    if stain:
        return stain_pb2.StainOptions(stain=stain)
    if color:
        return stain_pb2.StainOptions(color=color)
    return stain_pb2.StainOptions(color=ANY_COLOR, strength=0.0)


def render_options(frames: int, resolution: str) -> render_pb2.RenderOptions:
    """Return the options of the turntable."""
    width, height = parse_resolution(resolution)
    return render_pb2.RenderOptions(frames=frames, width=width, height=height)


def add_stages(options: pipeline_pb2.PipelineOptions, names: Sequence[str]) -> None:
    """Set default options for more stages.

    Raises:
        InvalidInput: a name is not one of ``ADDITIONAL_STAGES``.
    """
    for name in names:
        field = choice("--also", name, {stage: stage for stage in ADDITIONAL_STAGES})
        getattr(options, field).SetInParent()
