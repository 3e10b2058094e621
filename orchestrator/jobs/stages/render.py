"""The render stage of a job: the frames of a turntable, then its videos, thumbnails and contact sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
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
from orchestrator.stages.render.turntable import FRAME, frame_size, join_frames, render_frames
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
    frames = run.step("render", render_turntable, run.options, run.mesh, span=(0.0, 0.95))
    return run.step("join", join_turntable, run.options, frames, span=(0.95, 1.0))


def render_turntable(step: Step, options: RenderOptions, mesh: str) -> list[StoredFile]:
    """Render the frames that are not cached yet. Each is cached as soon as it is done. Return all frames in order."""
    source = step.asset(mesh)
    texture = _texture_assets(step, options)
    sources = [source.sha256, *(asset.sha256 for asset in texture.values())]
    keys = _frame_keys(step, options, source, texture)
    cached = {number: step.lookup(key, Cached[None]) for number, key in enumerate(keys)}
    frames = {number: value.files["frame"] for number, value in cached.items() if value is not None}
    missing = [number for number in range(options.frames) if number not in frames]
    width, height = frame_size(options, step.job.quality)

    def keep(number: int, picture: Path) -> None:
        frame: Cached[None] = Cached({"frame": step.store(picture, "image/png", width, height)}, None)
        frames[number] = step.cached(keys[number], sources, Cached[None], lambda: frame).files["frame"]
        log.info("frame_rendered", job=step.job.id, frame=number)
        if number == 0:
            step.add_preview(step.publish("frames/" + FRAME % number, frames[number], "frame"))

    def report(fraction: float, _: str) -> None:
        done, rendered = options.frames - len(missing), fraction * len(missing)
        number = min(done + round(rendered) + 1, options.frames)
        step.progress((done + rendered) / options.frames, f"frame {number} of {options.frames}")

    if missing:
        blender, processes = step.dependencies.settings.blender, step.dependencies.settings.render_processes
        mesh_file, folder = fetch_mesh(step, source), step.folder
        glb = to_glb(mesh_file, folder / "source", blender=blender, limits=step.limits, progress=step.progress)
        maps = {name: intake.read_map(step.read(asset.sha256)) for name, asset in texture.items()}
        wood = wood_texture(maps, options.texture_width_m, options.texture_materials, folder) if maps else None
        tools: dict[str, Any] = {"processes": processes, "executable": blender, "limits": step.limits}
        render_frames(glb, missing, options, step.job.quality, folder, keep, texture=wood, progress=report, **tools)
    return [frames[number] for number in range(options.frames)]


def join_turntable(step: Step, options: RenderOptions, frames: list[StoredFile]) -> RenderResult:
    """Encode the videos, thumbnails and contact sheet, and publish them."""
    for number, frame in enumerate(frames):
        step.fetch(frame.sha256, step.folder / (FRAME % number))
    ffmpeg, limits = step.dependencies.settings.ffmpeg, step.limits
    turntable = join_frames(
        step.folder, options, step.job.quality, executable=ffmpeg, limits=limits, progress=step.progress
    )
    width, height = frames[0].width, frames[0].height

    def publish(path: Path, media_type: str, kind: str, *size: int) -> str:
        return step.publish(path.name, step.store(path, media_type, *size), kind)

    videos = {
        format.value: publish(path, VIDEO_MEDIA_TYPES[format], "video", width, height)
        for format, path in turntable.videos.items()
    }
    contact_sheet = publish(turntable.contact_sheet, "image/jpeg", "preview")
    step.add_preview(contact_sheet)
    thumbnails = tuple(publish(path, "image/webp", "preview") for path in turntable.thumbnails)
    kept = frames if options.keep_frames else []
    kept_ids = tuple(step.publish("frames/" + FRAME % number, frame, "frame") for number, frame in enumerate(kept))
    return RenderResult(width, height, contact_sheet, thumbnails, kept_ids, **videos)


def check_options(options: RenderOptions, job: JobInput) -> RenderOptions:
    """Check that the texture set exists."""
    if options.texture_id:
        maps = job.dependencies.records.group(job.tenant, options.texture_id, "texture")
        if "albedo" not in _maps_of_first_photo(maps):
            raise NotFound("texture", options.texture_id)
    return options


def _frame_keys(step: Step, options: RenderOptions, mesh: Asset, texture: Mapping[str, Asset]) -> list[str]:
    """One cache key per frame. Options that do not change the frames have fixed values in the keys."""
    formats = (VideoFormat.MP4,)
    options = replace(options, formats=formats, keep_frames=False, seconds=1.0, model_id="", texture_id="")
    maps = {name: asset.sha256 for name, asset in texture.items()}
    key = ("frame", REVISION, mesh.sha256, maps, options, step.job.quality)
    return [digest(*key, number) for number in range(options.frames)]


def _texture_assets(step: Step, options: RenderOptions) -> dict[str, Asset]:
    """The maps of the texture set by name; empty if the mesh keeps its materials."""
    if not options.texture_id:
        return {}
    group = step.dependencies.records.group
    assets = [asset for kind in ("texture", "mask") for asset in group(step.job.tenant, options.texture_id, kind)]
    maps = _maps_of_first_photo(assets)
    if not all(name in maps for name in TEXTURE_MAPS):
        problem = f"files of the texture set {options.texture_id!r} were deleted"
        raise InvalidInput("render.texture.texture_id", f"{problem}; create it again with a stain job")
    return {name: maps[name] for name in TEXTURE_MAPS}


def _maps_of_first_photo(assets: Sequence[Asset]) -> dict[str, Asset]:
    """The assets of a texture set that belong to its first photo, by the name of the map. ``assets`` is in order."""
    paths = [(PurePosixPath(asset.name), asset) for asset in assets]
    return {path.stem: asset for path, asset in paths if path.parent == paths[0][0].parent}


RENDER = Stage("render", RenderOptions, RenderResult, weight=0.37, run=run_render, takes_mesh=True, check=check_options)
