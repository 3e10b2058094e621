"""``heartwood run``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from rich.table import Table

from orchestrator.cli import arguments, export, reconstruct, render, session
from orchestrator.cli.arguments import choice, choices
from orchestrator.cli.made_of import MadeOf, Parts, known_materials, part_names
from orchestrator.cli.terminal import console, print_saved
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import (
    export_pb2,
    job_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)

DEFAULT_STAGES = ("segment", "stain", "reconstruct", "render", "export")
STAGES = pipeline_pb2.PipelineOptions.DESCRIPTOR.fields_by_name
ADDITIONAL_STAGES = {name: name for name in STAGES if name not in DEFAULT_STAGES}
FOLDERS = {"reconstruct": "model", "render": "turntable"}
"""Result folders by stage. Every other stage has a folder with its own name."""
ALSO_HELP = f"Stage to run as well, with its defaults: {', '.join(ADDITIONAL_STAGES)}. Repeatable."
ANY_COLOR = "#808080"
"""Target colour of a stain with strength 0. The API requires a target, but the colour has no effect."""


def run(
    photos: arguments.Photos,
    out: arguments.Out = arguments.DEFAULT_OUT,
    stain: arguments.StainName = "",
    color: arguments.StainColor = "",
    made_of: MadeOf = None,
    parts: Parts = "",
    mode: reconstruct.ModeName = "auto",
    width_m: arguments.WidthM = 0.0,
    height_m: arguments.HeightM = 0.0,
    depth_m: arguments.DepthM = 0.0,
    frames: render.Frames = 36,
    resolution: render.Resolution = "1920x1080",
    formats: export.Formats = "glb,usdz,fbx",
    target: export.TargetName = "web",
    also: Annotated[list[str] | None, arguments.optional(help=ALSO_HELP)] = None,
    preview: arguments.Preview = False,
    server: arguments.Server = "",
    token: arguments.Token = "",
) -> None:
    """Make masks, stained photos, a 3D model, a turntable and export files in one job.

    Runs the stages segment, stain, reconstruct, render and export, and those that --also adds. Without --stain and
    --color the wood keeps its colour.
    """
    width, height = render.parse_resolution(resolution)
    dimensions = reconstruct_pb2.Dimensions(width_m=width_m, height_m=height_m, depth_m=depth_m)
    file_formats = choices("--formats", formats, export.FORMATS)
    export_target = choice("--target", target, export.TARGETS)
    reconstruct_mode = choice("--mode", mode, reconstruct.MODES)
    options = pipeline_pb2.PipelineOptions(
        segment=segment_pb2.SegmentOptions(made_of=known_materials(made_of)),
        stain=stain_options(stain, color),
        reconstruct=reconstruct_pb2.ReconstructOptions(mode=reconstruct_mode, dimensions=dimensions),
        render=render_pb2.RenderOptions(frames=frames, width=width, height=height),
        export=export_pb2.ExportOptions(formats=file_formats, target=export_target, levels=1),
    )
    options.stain.parts.extend(part_names(parts))
    additional_stages = [choice("--also", name, ADDITIONAL_STAGES) for name in also or ()]
    for stage in ("segment", *additional_stages):
        getattr(options, stage).SetInParent()  # requests the stage with its default options
    with session.connect(arguments.read_settings(), server, token) as client:
        for table in save(client, session.run_job(client, "run", photos, options, preview=preview), out):
            console.print(table)
    print_saved(out)


def save(client: Heartwood, job: job_pb2.Job, folder: Path) -> Iterator[Table]:
    """Download the files of every stage into the folder of the stage; yield the table of each stage."""
    for field, stage_result in job.pipeline.ListFields():
        stage_folder = folder / FOLDERS.get(field.name, field.name)
        session.save(client, stage_result, stage_folder)
        if field.name == "segment":
            session.write_job_file(job, stage_folder)
        yield session.stage_table(field.name, stage_result)


def stain_options(stain: str = "", color: str = "") -> stain_pb2.StainOptions:
    """Return the stain that the user named, or one that leaves the wood unchanged.

    Raises InvalidInput if both a name and a colour are given.
    """
    if stain and color:
        raise InvalidInput("--color", "give either --color '#RRGGBB' or --stain NAME, not both")
    if stain:
        return stain_pb2.StainOptions(stain=stain)
    return stain_pb2.StainOptions(color=color) if color else stain_pb2.StainOptions(color=ANY_COLOR, strength=0.0)
