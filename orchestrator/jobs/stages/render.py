"""The render stage of a job: the frames of a turntable, then its videos, thumbnails and contact sheet.

Each frame is cached by content as soon as it is rendered, so that no frame is rendered twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from orchestrator.domain.assets import Asset, StoredFile
from orchestrator.domain.render import RenderOptions, VideoFormat
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.jobs.stage import JobInput, Stage, StageRun
from orchestrator.jobs.stages.export import fetch_mesh
from orchestrator.jobs.step import Cached, Step, digest
from orchestrator.stages import intake
from orchestrator.stages.export.export import to_glb
from orchestrator.stages.render.turntable import FRAME, WoodTexture, frame_size, join_frames, render_frames
from orchestrator.stages.render.wood_texture import wood_texture

log = structlog.get_logger()

REVISION = 3
"""Part of the cache keys of this stage. Increment it when the stage changes its output."""
TEXTURE_MAPS = ("albedo", "roughness", "height", "wood_mask")
"""Files of a stain job that replace the material of a mesh."""
VIDEO_MEDIA_TYPES = {VideoFormat.MP4: "video/mp4", VideoFormat.WEBM: "video/webm", VideoFormat.GIF: "image/gif"}


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
    sources = [source.sha256, *(asset.sha256 for asset in texture.values())]
    keys = _frame_keys(step, options, source, texture)
    cached = {number: step.lookup(key, Cached[None]) for number, key in enumerate(keys)}
    frames = {number: value.files["frame"] for number, value in cached.items() if value is not None}
    missing = [number for number, value in cached.items() if value is None]
    width, height = frame_size(options, step.quality)

    def keep(number: int, picture: Path) -> None:
        frame: Cached[None] = Cached({"frame": step.store(picture, "image/png", width, height)}, None)
        frames[number] = step.cached(keys[number], sources, Cached[None], lambda: frame).files["frame"]
        log.info("frame_rendered", job=step.job.id, frame=number)
        if number == 0:
            step.show(step.publish("frames/" + FRAME % number, frames[number], "frame"))

    def report(fraction: float, _: str) -> None:
        done, rendered = options.frames - len(missing), fraction * len(missing)
        number = min(done + round(rendered) + 1, options.frames)
        step.progress((done + rendered) / options.frames, f"frame {number} of {options.frames}")

    if missing:
        settings = step.dependencies.settings
        tools: dict[str, Any] = {"limits": step.limits, "progress": step.progress, "blender": settings.blender}
        render_frames(
            to_glb(fetch_mesh(step, source), step.folder / "source", **tools),
            missing,
            options,
            step.quality,
            step.folder,
            keep,
            texture=_wood_texture(step, options, texture),
            processes=settings.render_processes,
            executable=settings.blender,
            limits=step.limits,
            progress=report,
        )
    return [frames[number] for number in range(options.frames)]


def join_turntable(step: Step, options: RenderOptions, frames: list[StoredFile]) -> RenderResult:
    """Encode the videos, thumbnails and contact sheet, and publish them."""
    for number, frame in enumerate(frames):
        step.fetch(frame.sha256, step.folder / (FRAME % number))
    ffmpeg = step.dependencies.settings.ffmpeg
    turntable = join_frames(
        step.folder, options, step.quality, executable=ffmpeg, limits=step.limits, progress=step.progress
    )
    width, height = frames[0].width, frames[0].height

    def publish(path: Path, media_type: str, kind: str, *size: int) -> str:
        return step.publish(path.name, step.store(path, media_type, *size), kind)

    videos = {
        format.value: publish(path, VIDEO_MEDIA_TYPES[format], "video", width, height)
        for format, path in turntable.videos.items()
    }
    contact_sheet = publish(turntable.contact_sheet, "image/jpeg", "preview")
    step.show(contact_sheet)
    thumbnails = tuple(publish(path, "image/webp", "preview") for path in turntable.thumbnails)
    kept = frames if options.keep_frames else []
    kept_ids = tuple(step.publish("frames/" + FRAME % number, frame, "frame") for number, frame in enumerate(kept))
    return RenderResult(width, height, contact_sheet, thumbnails, kept_ids, **videos)


def check_options(options: RenderOptions, job: JobInput) -> RenderOptions:
    """Check that the texture set exists."""
    if options.texture_id:
        maps = job.dependencies.records.group(job.tenant, options.texture_id, "texture")
        if not any(asset.name.startswith("photo-0/albedo.") for asset in maps):
            raise NotFound("texture", options.texture_id)
    return options


def _frame_keys(step: Step, options: RenderOptions, mesh: Asset, texture: Mapping[str, Asset]) -> list[str]:
    """One cache key per frame. It excludes the options that do not change the frames."""
    unused: dict[str, Any] = {
        "formats": (VideoFormat.MP4,),
        "keep_frames": False,
        "seconds": 1.0,
        "model_id": "",
        "texture_id": "",
    }
    maps = {name: asset.sha256 for name, asset in texture.items()}
    key = ("frame", REVISION, mesh.sha256, maps, replace(options, **unused), step.quality)
    return [digest(*key, number) for number in range(options.frames)]


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


RENDER = Stage("render", RenderOptions, RenderResult, 0.37, run_render, takes_mesh=True, check=check_options)
