"""The render stage of a job: the frames of a turntable, then its videos, thumbnails and contact sheet.

Each frame is cached by content as soon as it is rendered, so that no frame is rendered twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from orchestrator.domain.assets import Asset, StoredFile
from orchestrator.domain.progress import Progress
from orchestrator.domain.render import RenderOptions, VideoFormat
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.jobs.documents import from_json, to_json
from orchestrator.jobs.mesh_input import fetch_glb
from orchestrator.jobs.stage import JobInput, Stage, StageInput, StageRun
from orchestrator.jobs.step import Cached, Step, digest
from orchestrator.stages import intake
from orchestrator.stages.render.turntable import FRAME, WoodTexture, frame_size, join_frames, render_frames
from orchestrator.stages.render.wood_texture import wood_texture

log = structlog.get_logger()

REVISION = 3
"""Part of the cache keys of this stage. Increment it when the stage changes its output."""
TEXTURE_MAPS = ("albedo", "roughness", "height", "wood_mask")
"""Files of a stain job that replace the material of a mesh."""
VIDEO_MEDIA_TYPES = {
    VideoFormat.MP4: "video/mp4",
    VideoFormat.WEBM: "video/webm",
    VideoFormat.GIF: "image/gif",
}


@dataclass(frozen=True)
class RenderResult:
    """The result of the render stage. Files are asset ids; empty if absent."""

    width: int
    height: int
    contact_sheet: str
    thumbnails: tuple[str, ...]
    frames: tuple[str, ...] = ()
    mp4: str = ""
    webm: str = ""
    gif: str = ""


def run_render(run: StageRun[RenderOptions]) -> RenderResult:
    """Render the frames of the turntable, then encode them."""
    frames = run.within(0.0, 0.95).step("render", render_turntable, run.options, run.mesh)
    return run.within(0.95, 1.0).step("join", join_turntable, run.options, frames)


def render_turntable(step: Step, options: RenderOptions, mesh: str) -> list[StoredFile]:
    """Render the frames that are not cached yet; return all frames in order."""
    source = step.asset(mesh)
    texture = _texture_assets(step, options)
    keys = _frame_keys(step, options, source, texture)
    frames = {number: file for number, key in enumerate(keys) if (file := _cached_frame(step, key)) is not None}
    missing = [number for number in range(options.frames) if number not in frames]
    if not missing:
        return [frames[number] for number in range(options.frames)]
    sources = [source.sha256, *(asset.sha256 for asset in texture.values())]
    width, height = frame_size(options, step.quality)

    def keep(number: int, picture: Path) -> None:
        file = step.store(picture, "image/png", width, height)
        frames[number] = step.cached(keys[number], sources, Cached[None], lambda: Cached({"frame": file}, None)).files[
            "frame"
        ]
        log.info("frame_rendered", job=step.job.id, frame=number)
        if number == 0:
            step.show(step.publish("frames/" + FRAME % number, file, "frame"))

    settings = step.dependencies.settings
    render_frames(
        fetch_glb(step, source),
        missing,
        options,
        step.quality,
        step.folder,
        keep,
        texture=_wood_texture(step, options, texture),
        processes=settings.render_processes,
        executable=settings.blender,
        limits=step.limits,
        progress=_progress_of_all(step, len(missing), options.frames),
    )
    return [frames[number] for number in range(options.frames)]


def join_turntable(step: Step, options: RenderOptions, frames: list[StoredFile]) -> RenderResult:
    """Encode the videos, thumbnails and contact sheet, and publish them."""
    for number, frame in enumerate(frames):
        step.fetch(frame.sha256, step.folder / (FRAME % number))
    turntable = join_frames(
        step.folder,
        options,
        step.quality,
        executable=step.dependencies.settings.ffmpeg,
        limits=step.limits,
        progress=step.progress,
    )
    width, height = frames[0].width, frames[0].height
    videos = {
        format.value: step.publish(path.name, step.store(path, VIDEO_MEDIA_TYPES[format], width, height), "video")
        for format, path in turntable.videos.items()
    }
    contact_sheet = step.publish("turntable.jpg", step.store(turntable.contact_sheet, "image/jpeg"), "preview")
    step.show(contact_sheet)
    kept_frames = frames if options.keep_frames else []
    return RenderResult(
        width=width,
        height=height,
        contact_sheet=contact_sheet,
        thumbnails=tuple(
            step.publish(path.name, step.store(path, "image/webp"), "preview") for path in turntable.thumbnails
        ),
        frames=tuple(
            step.publish("frames/" + FRAME % number, frame, "frame") for number, frame in enumerate(kept_frames)
        ),
        **videos,
    )


def check_options(options: RenderOptions, job: JobInput) -> RenderOptions:
    """Check that the texture set exists."""
    if options.texture_id:
        maps = job.dependencies.records.group(job.tenant, options.texture_id, "texture")
        if not any(asset.name.startswith("photo-0/albedo.") for asset in maps):
            raise NotFound("texture", options.texture_id)
    return options


def _frame_keys(step: Step, options: RenderOptions, mesh: Asset, texture: Mapping[str, Asset]) -> list[str]:
    """One cache key per frame. It excludes the options that do not change the frames."""
    look = {name: asset.sha256 for name, asset in texture.items()}
    relevant = to_json(
        replace(options, formats=(VideoFormat.MP4,), keep_frames=False, seconds=1.0, model_id="", texture_id="")
    )
    return [
        digest("frame", REVISION, mesh.sha256, look, relevant, step.quality, number) for number in range(options.frames)
    ]


def _cached_frame(step: Step, key: str) -> StoredFile | None:
    document = step.dependencies.records.cached(step.tenant, key)
    return from_json(Cached[None], document).files["frame"] if document is not None else None


def _progress_of_all(step: Step, missing: int, count: int) -> Progress:
    """Progress over all frames, of which only the missing ones are rendered."""
    cached = count - missing

    def progress(fraction: float, _: str) -> None:
        rendered = cached + round(fraction * missing)
        step.progress((cached + fraction * missing) / count, f"frame {min(rendered + 1, count)} of {count}")

    return progress


def _texture_assets(step: Step, options: RenderOptions) -> dict[str, Asset]:
    """The maps of the texture set by name; empty if the mesh keeps its materials."""
    if not options.texture_id:
        return {}
    maps = {}
    for kind in ("texture", "mask"):
        for asset in step.dependencies.records.group(step.tenant, options.texture_id, kind):
            folder, _, file_name = asset.name.partition("/")
            name = file_name.partition(".")[0]
            if folder == "photo-0" and name in TEXTURE_MAPS:
                maps[name] = asset
    if set(maps) != set(TEXTURE_MAPS):
        raise InvalidInput("render.texture.texture_id", f"files of the texture set {options.texture_id!r} were deleted")
    return maps


def _wood_texture(step: Step, options: RenderOptions, assets: Mapping[str, Asset]) -> WoodTexture | None:
    if not assets:
        return None
    maps = {name: intake.read_map(step.read(asset.sha256)) for name, asset in assets.items()}
    return wood_texture(maps, options.texture_width_m, options.texture_materials, step.folder)


RENDER = Stage(
    name="render",
    options=RenderOptions,
    result=RenderResult,
    input=StageInput.MESH,
    weight=0.37,
    uses_models=False,
    run=run_render,
    check=check_options,
)
