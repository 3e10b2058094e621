"""The commands of the 3D stages: ``heartwood reconstruct | render | export | inspect | run``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.arguments import (
    DepthM,
    HeightM,
    Model,
    Out,
    Photos,
    Preview,
    Server,
    Token,
    WidthM,
    one_of,
    quality,
    read_file,
    read_settings,
    upload,
    words,
)
from orchestrator.cli.results_3d import facts_table, save_export, save_model, save_pipeline, save_turntable
from orchestrator.cli.session import connect
from orchestrator.cli.terminal import clear_errors, console, follow
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2,
    export_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)
from orchestrator.service import configure_logs
from orchestrator.stages.export.inspect import inspect as inspect_model
from orchestrator.stages.intake import check_model_file

MODES = words(reconstruct_pb2.ReconstructMode, "RECONSTRUCT_MODE_")
ENGINES = words(reconstruct_pb2.PhotogrammetryEngine, "PHOTOGRAMMETRY_ENGINE_")
PROVIDERS = words(reconstruct_pb2.SingleImageProvider, "SINGLE_IMAGE_PROVIDER_")
BACKGROUNDS = words(render_pb2.Background, "BACKGROUND_")
VIDEOS = words(render_pb2.VideoFormat, "VIDEO_FORMAT_")
FORMATS = words(export_pb2.ModelFormat, "MODEL_FORMAT_")
TARGETS = words(export_pb2.ExportTarget, "EXPORT_TARGET_")
TEXTURES = words(export_pb2.TextureCodec, "TEXTURE_CODEC_")
MESHES = words(export_pb2.MeshCodec, "MESH_CODEC_")

ModeName = Annotated[str, typer.Option(help=f"{', '.join(MODES)}; auto takes photogrammetry from 8 photos on.")]
Frames = Annotated[int, typer.Option(help="Frames of the turn: 12, 24, 36 or 72.")]
Resolution = Annotated[str, typer.Option(help="Width and height in pixels.", metavar="WIDTHxHEIGHT")]
Formats = Annotated[str, typer.Option(help=f"Any of {', '.join(FORMATS)}, with commas.")]
TargetName = Annotated[str, typer.Option(help=f"Whose budget to keep: {', '.join(TARGETS)}.")]


def reconstruct(
    photos: Photos,
    out: Out = Path("output"),
    mode: ModeName = "auto",
    engine: Annotated[str, typer.Option(help="colmap or meshroom.")] = "colmap",
    provider: Annotated[str, typer.Option(help="local or trellis, for a model from one photo.")] = "local",
    ordered: Annotated[bool, typer.Option("--ordered", help="Each photo was taken beside the one before.")] = False,
    width_m: WidthM = 0.0,
    height_m: HeightM = 0.0,
    depth_m: DepthM = 0.0,
    texture: Annotated[int, typer.Option(help="Pixels a side: 512, 1024, 2048 or 4096.")] = 2048,
    triangles: Annotated[int, typer.Option(help="At most so many.")] = 200_000,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Make a 3D model from photos: GLB, USDZ and FBX, and a report on the capture."""
    with clear_errors():
        options = reconstruct_pb2.ReconstructOptions(
            mode=one_of("--mode", mode, MODES),
            engine=one_of("--engine", engine, ENGINES),
            provider=one_of("--provider", provider, PROVIDERS),
            ordered=ordered,
            dimensions=_dimensions(width_m, height_m, depth_m),
            texture_size=texture,
            max_triangles=triangles,
        )
        with connect(read_settings(), server, token) as client:
            job = client.reconstruct(upload(client, photos), options, quality=quality(preview))
            job = follow(client, job.id, "reconstruct")
            table = save_model(client, job.reconstruct, out)
        console.print(table)
        console.print(f"[green]done[/] {out}")


def render(
    model: Model,
    out: Out = Path("output"),
    frames: Frames = 36,
    resolution: Resolution = "1920x1080",
    background: Annotated[str, typer.Option(help="studio, or transparent.")] = "studio",
    formats: Annotated[str, typer.Option(help="Any of mp4, webm, gif, with commas.")] = "mp4,webm,gif",
    keep_frames: Annotated[bool, typer.Option("--keep-frames", help="Also the frames, as PNG.")] = False,
    elevation: Annotated[float, typer.Option(help="How much the camera looks down, degrees.")] = 15.0,
    seconds: Annotated[float, typer.Option(help="Length of one turn.")] = 6.0,
    stain: Annotated[str, typer.Option(help="A texture id of a stain job, in place of the model's wood.")] = "",
    stain_width_m: Annotated[float, typer.Option(help="How wide the stained photo is in truth, metres.")] = 0.6,
    material: Annotated[
        list[str] | None, typer.Option(help="A material of the model to stain; may be repeated. Default: the largest.")
    ] = None,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Show a 3D model from all sides: MP4, WebM, GIF, thumbnails and a contact sheet."""
    with clear_errors():
        options = _render_options(frames, resolution)
        options.background = one_of("--background", background, BACKGROUNDS)
        options.formats.extend(one_of("--formats", name, VIDEOS) for name in _split(formats))
        options.keep_frames, options.elevation_deg, options.seconds = keep_frames, elevation, seconds
        if stain:
            options.texture.CopyFrom(
                render_pb2.WoodTexture(texture_id=stain, width_m=stain_width_m, materials=material or [])
            )
        with connect(read_settings(), server, token) as client:
            model_id = upload(client, [model], asset_pb2.ASSET_KIND_MODEL)
            job = follow(client, client.render(model_id, options, quality=quality(preview)).id, "render")
            made = save_turntable(client, job.render, out)
        console.print(made)
        console.print(f"[green]done[/] {out}")


def export(
    model: Model,
    out: Out = Path("output"),
    formats: Formats = "glb,usdz,fbx",
    target: TargetName = "web",
    textures: Annotated[str, typer.Option(help=f"{', '.join(TEXTURES)}; default: what the target wants.")] = "",
    meshes: Annotated[str, typer.Option(help=f"{', '.join(MESHES)}; default: what the target wants.")] = "",
    levels: Annotated[int, typer.Option(help="Levels of detail of the GLB, 1 to 4.")] = 1,
    width_m: WidthM = 0.0,
    height_m: HeightM = 0.0,
    depth_m: DepthM = 0.0,
    server: Server = "",
    token: Token = "",
) -> None:
    """Write a 3D model in other formats, made small enough for where it is shown, and checked."""
    with clear_errors():
        options = _export_options(formats, target, levels)
        options.dimensions.CopyFrom(_dimensions(width_m, height_m, depth_m))
        if textures:
            options.texture_codec = one_of("--textures", textures, TEXTURES)
        if meshes:
            options.mesh_codec = one_of("--meshes", meshes, MESHES)
        with connect(read_settings(), server, token) as client:
            model_id = upload(client, [model], asset_pb2.ASSET_KIND_MODEL)
            job = follow(client, client.export(model_id, options).id, "export")
            table = save_export(client, job.export, out)
        console.print(table)
        console.print(f"[green]done[/] {out}")


def inspect(model: Model) -> None:
    """Say what a model file holds: size, triangles, draw calls, textures, materials, dimensions, budgets it meets."""
    with clear_errors(), tempfile.TemporaryDirectory(prefix="heartwood-") as scratch:
        data = read_file(model)
        info = check_model_file(data, model.name, str(model))
        source = Path(scratch) / f"source.{'zip' if info.archive else info.format.value}"
        source.write_bytes(data)
        settings = read_settings()
        configure_logs(settings.log_level)
        facts = inspect_model(source, Path(scratch) / "work", blender=settings.blender)
        console.print(facts_table(facts, model.name))


def run(
    photos: Photos,
    out: Out = Path("output"),
    stain: Annotated[str, typer.Option(help="A named stain; `heartwood stains` lists them.")] = "",
    color: Annotated[str, typer.Option(help="The wood's new mean colour, '#RRGGBB'.")] = "",
    mode: ModeName = "auto",
    width_m: WidthM = 0.0,
    height_m: HeightM = 0.0,
    depth_m: DepthM = 0.0,
    frames: Frames = 36,
    resolution: Resolution = "1920x1080",
    formats: Formats = "glb,usdz,fbx",
    target: TargetName = "web",
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """The main job: photos in; masks, stained maps, a 3D model, its turntable and its files out."""
    with clear_errors():
        if stain and color:
            raise InvalidInput("--color", "give either --color '#RRGGBB' or --stain NAME")
        options = pipeline_options(stain, color, mode, frames, resolution, formats, target)
        options.reconstruct.dimensions.CopyFrom(_dimensions(width_m, height_m, depth_m))
        with connect(read_settings(), server, token) as client:
            job = client.run(upload(client, photos), options, quality=quality(preview))
            job = follow(client, job.id, "run")
            for table in save_pipeline(client, job, out):
                console.print(table)
        console.print(f"[green]done[/] {out}")


def pipeline_options(
    stain: str, color: str, mode: str, frames: int, resolution: str, formats: str, target: str
) -> pipeline_pb2.PipelineOptions:
    """All stages; without a stain or a colour the wood stays as it is, and the maps are made all the same."""
    wood = stain_pb2.StainOptions(stain=stain) if stain else stain_pb2.StainOptions(color=color or "#808080")
    if not stain and not color:
        wood.strength = 0.0
    return pipeline_pb2.PipelineOptions(
        segment=segment_pb2.SegmentOptions(),
        stain=wood,
        reconstruct=reconstruct_pb2.ReconstructOptions(mode=one_of("--mode", mode, MODES)),
        render=_render_options(frames, resolution),
        export=_export_options(formats, target, 1),
    )


def _render_options(frames: int, resolution: str) -> render_pb2.RenderOptions:
    width, _, height = resolution.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidInput("--resolution", f"{resolution!r} is not WIDTHxHEIGHT, such as 1920x1080")
    return render_pb2.RenderOptions(frames=frames, width=int(width), height=int(height))


def _export_options(formats: str, target: str, levels: int) -> export_pb2.ExportOptions:
    return export_pb2.ExportOptions(
        formats=[one_of("--formats", name, FORMATS) for name in _split(formats)],
        target=one_of("--target", target, TARGETS),
        levels=levels,
    )


def _dimensions(width_m: float, height_m: float, depth_m: float) -> reconstruct_pb2.Dimensions:
    return reconstruct_pb2.Dimensions(width_m=width_m, height_m=height_m, depth_m=depth_m)


def _split(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",") if word.strip()]


COMMANDS = (run, reconstruct, render, export, inspect)
"""In the order that the help shows them."""
