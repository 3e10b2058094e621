"""The work of one job on a 3D model: made from photos, rendered frame by frame, written for other programs.

A turntable's frames are kept one by one as they come, by content: whatever ends a render, none is rendered twice.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import structlog

from orchestrator.domain.assets import Asset
from orchestrator.domain.export import MEDIA_TYPES, ZIP, ExportOptions, MeshFormat, Target
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import ReconstructOptions
from orchestrator.domain.render import RenderOptions
from orchestrator.errors import InvalidInput, NotFound
from orchestrator.jobs.spec import Kind, digest, options_to_json
from orchestrator.jobs.step import Step
from orchestrator.stages import analysis, intake
from orchestrator.stages.export.export import ExportResult, export, to_glb
from orchestrator.stages.reconstruct.reconstruct import ReconstructPrograms, reconstruct, resolved_mode
from orchestrator.stages.render.turntable import FRAME, WoodTexture, frame_size, join_frames, render_frames
from orchestrator.stages.render.wood_texture import wood_texture

log = structlog.get_logger()

REVISION = 2
"""Part of every key under which results are kept: raise it when a stage makes other files than before."""

GLB = MEDIA_TYPES[MeshFormat.GLB]
EXTRAS = {
    ".mp4": ("video/mp4", "video"),
    ".png": ("image/png", "preview"),
    ".jpg": ("image/jpeg", "preview"),
    ".json": ("application/json", "document"),
    ".txt": ("text/plain", "document"),
}
"""Suffix → media type and asset kind of what a reconstruction leaves beside its model; logs are kept by the step."""
PREVIEW_SIZE, PREVIEW_VIEW = (1280, 960), 2
"""A preview has half of it; frame 2 of 36 shows the front and a side."""
TEXTURE_MAPS = ("albedo", "roughness", "height", "wood_mask")
BESIDE_MODEL = (MeshFormat.USDZ, MeshFormat.FBX)
"""What a reconstruct job gives beside the GLB, as the gateway expects."""


# ---- reconstruct


def build_model(step: Step, photos: list[dict[str, Any]], stained: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Make the model of the job's photos, in the colours of their stained pictures; its files become assets.

    Args:
        photos: what the segment step gave of each photo.
        stained: what the stain step gave of each, where the job stains.
    """
    options: ReconstructOptions = step.options(Kind.RECONSTRUCT)
    assets = [_asset(step, photo["photo"]) for photo in photos]
    masks = [_asset(step, photo["files"]["foreground"]) for photo in photos]
    shown = [_asset(step, photo["files"]["preview"]) for photo in stained] if stained else assets
    sources = [asset.sha256 for asset in assets]

    def make() -> dict[str, Any]:
        inputs = step.folder / "inputs"
        inputs.mkdir(exist_ok=True)
        pictures, cuts, looks = [], [], []
        for index, (asset, mask, look) in enumerate(zip(assets, masks, shown, strict=True)):
            step.progress(0.0, f"reading photo {index + 1} of {len(assets)}")
            original, size = step.parts.blobs.get(step.tenant, asset.sha256), (mask.width, mask.height)
            photo = intake.read_photo(original).srgb
            pictures.append(intake.write_photo(photo, original, inputs / f"photo-{index:03d}.jpg", size))
            cuts.append(step.fetch(mask.sha256, inputs / f"mask-{index:03d}.png"))
            if look is not asset:
                stained_photo = intake.read_map(step.parts.blobs.get(step.tenant, look.sha256))
                looks.append(intake.write_photo(stained_photo, original, inputs / f"look-{index:03d}.jpg", size))
        programs = ReconstructPrograms(step.parts.settings.meshroom, step.parts.trellis)
        made = reconstruct(
            pictures, cuts, looks, _maps(step, photos[0]), options, step.quality, step.folder / "model",
            programs=programs, limits=step.limits, progress=step.progress,
        )  # fmt: skip
        files = {"model.glb": step.store(made.glb, GLB)}
        files["model-preview.png"] = _preview(step, made.glb)
        for path in made.extras:
            if path.suffix in EXTRAS:
                files[path.name] = step.store(path, EXTRAS[path.suffix][0])
        report = made.report
        facts = {
            "mode": resolved_mode(options.mode, len(photos)).value,
            "used": list(report.photos_used),
            "points": report.points,
            "error_px": report.mean_reprojection_error_px,
            "coverage_deg": report.coverage_deg,
            "advice": list(report.advice),
            "vertices": made.vertices,
            "triangles": made.triangles,
            "dimensions": [made.dimensions.width_m, made.dimensions.height_m, made.dimensions.depth_m],
        }
        return {"blobs": [stored["sha256"] for stored in files.values()], "files": files, "facts": facts}

    look = [asset.sha256 for asset in shown]
    mask_hashes = [mask.sha256 for mask in masks]
    analysis_of_first = photos[0]["analysis"]  # other versions of the models, another model from one photo
    key = digest(
        "model", REVISION, sources, look, mask_hashes, analysis_of_first, options_to_json(options), step.quality
    )
    value = step.kept(key, sources, make)
    files, versions = {}, photos[0]["models"]
    for name, stored in value["files"].items():
        kind = "model" if name == "model.glb" else EXTRAS[Path(name).suffix][1]
        files[name] = step.publish(name, stored, kind, versions)
    step.show(files["model-preview.png"])
    return {**value["facts"], "photos": [photo["photo"] for photo in photos], "files": files, "models": versions}


def convert_model(step: Step, model: dict[str, Any]) -> dict[str, str]:
    """Write the model for what cannot read GLB; return the assets by name."""
    glb = _asset(step, model["files"]["model.glb"])

    def make() -> dict[str, Any]:
        source = step.fetch(glb.sha256, step.folder / "model.glb")
        options = ExportOptions(formats=BESIDE_MODEL, target=Target.ORIGINAL)
        made = _exported(step, source, options)
        files = {f"model.{format.value}": _stored(step, format, path) for format, path in made.files.items()}
        return {"blobs": [stored["sha256"] for stored in files.values()], "files": files}

    value = step.kept(digest("convert", REVISION, glb.sha256), [glb.sha256], make)
    return {name: step.publish(name, stored, "model", model["models"]) for name, stored in value["files"].items()}


def _preview(step: Step, glb: Path) -> dict[str, Any]:
    """A picture of the model in the studio."""
    options = RenderOptions(width=PREVIEW_SIZE[0], height=PREVIEW_SIZE[1])
    made: list[dict[str, Any]] = []
    size = frame_size(options, Quality.PREVIEW)

    def keep(number: int, picture: Path) -> None:
        del number
        made.append(step.store(picture, "image/png", *size))

    render_frames(
        glb, [PREVIEW_VIEW], options, Quality.PREVIEW, step.folder / "preview", keep,
        executable=step.parts.settings.blender, limits=step.limits, progress=lambda *_: step.progress(1.0, "preview"),
    )  # fmt: skip
    return made[0]


def _maps(step: Step, photo: dict[str, Any]) -> MaterialMaps:
    return analysis.unpack(step.parts.blobs.get(step.tenant, photo["analysis"]))


# ---- render


def render_model(step: Step, model_id: str) -> list[dict[str, Any]]:
    """Render the frames that are not kept yet; return all of them, in their order, as stored files."""
    options: RenderOptions = step.options(Kind.RENDER)
    model = _asset(step, model_id)
    texture_of = _texture_assets(step, options)
    sources = [model.sha256, *(asset.sha256 for asset in texture_of.values())]
    look = {name: asset.sha256 for name, asset in texture_of.items()}
    about = options_to_json(options) | {"formats": [], "keep_frames": False, "seconds": 0, "model_id": ""}
    about["texture_id"] = ""
    keys = [
        digest("frame", REVISION, model.sha256, look, about, step.quality, number) for number in range(options.frames)
    ]
    kept = {number: step.parts.records.cached(step.tenant, key) for number, key in enumerate(keys)}
    missing = [number for number, value in kept.items() if value is None]
    width, height = frame_size(options, step.quality)

    def made(number: int, picture: Path) -> None:
        stored = step.store(picture, "image/png", width, height)
        kept[number] = {"blobs": [stored["sha256"]], "frame": stored}
        step.parts.records.keep(step.tenant, keys[number], sources, kept[number] or {})
        log.info("frame_rendered", job=step.job["id"], frame=number)
        if number == 0:
            step.show(step.publish("frames/" + FRAME % number, stored, "frame"))

    if missing:
        source = _source(step, model)
        settings = step.parts.settings
        render_frames(
            source, missing, options, step.quality, step.folder, made, texture=_texture(step, options, texture_of),
            processes=settings.render_processes, executable=settings.blender, limits=step.limits,
            progress=_rest(step, len(missing), options.frames),
        )  # fmt: skip
    return [value["frame"] for value in kept.values() if value is not None]


def join_turntable(step: Step, frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Videos, thumbnails and contact sheet of the frames; they become assets."""
    options: RenderOptions = step.options(Kind.RENDER)
    folder = step.folder
    for number, stored in enumerate(frames):
        step.fetch(stored["sha256"], folder / (FRAME % number))
    settings = step.parts.settings
    made = join_frames(
        folder, options, step.quality, executable=settings.ffmpeg, limits=step.limits, progress=step.progress
    )
    files: dict[str, str] = {}
    for format, path in made.videos.items():
        kind = "image/gif" if format.value == "gif" else f"video/{format.value}"
        files[format.value] = step.publish(path.name, step.store(path, kind, *_size(frames)), "video")
    sheet = step.store(made.contact_sheet, "image/jpeg")
    files["contact_sheet"] = step.publish("turntable.jpg", sheet, "preview")
    thumbnails = [step.publish(path.name, step.store(path, "image/webp"), "preview") for path in made.thumbnails]
    shown = list(enumerate(frames)) if options.keep_frames else []
    stills = [step.publish("frames/" + FRAME % number, stored, "frame") for number, stored in shown]
    step.show(files["contact_sheet"])
    width, height = _size(frames)
    return {"files": files, "thumbnails": thumbnails, "frames": stills, "width": width, "height": height}


def _size(frames: list[dict[str, Any]]) -> tuple[int, int]:
    return frames[0]["width"], frames[0]["height"]


def _rest(step: Step, missing: int, count: int) -> Any:
    """Progress over all frames, of which only the missing ones are rendered now."""
    there = count - missing

    def progress(fraction: float, message: str) -> None:
        del message
        done = there + round(fraction * missing)
        step.progress((there + fraction * missing) / count, f"frame {min(done + 1, count)} of {count}")

    return progress


def _texture_assets(step: Step, options: RenderOptions) -> dict[str, Asset]:
    """The maps of the stained set, by name; none where the model keeps its materials."""
    if not options.texture_id:
        return {}
    found = {}
    for kind in ("texture", "mask"):
        for asset in step.parts.records.group(step.tenant, options.texture_id, kind):
            folder, _, name = asset.name.partition("/")
            if folder == "photo-0" and name.partition(".")[0] in TEXTURE_MAPS:
                found[name.partition(".")[0]] = asset
    if set(found) != set(TEXTURE_MAPS):
        raise InvalidInput("render.texture.texture_id", f"{options.texture_id!r} is not there any more")
    return found


def _texture(step: Step, options: RenderOptions, assets: dict[str, Asset]) -> WoodTexture | None:
    if not assets:
        return None
    maps = {name: intake.read_map(step.parts.blobs.get(step.tenant, asset.sha256)) for name, asset in assets.items()}
    return wood_texture(maps, options.texture_width_m, options.texture_materials, step.folder)


# ---- export


def export_model(step: Step, model_id: str) -> dict[str, Any]:
    """Write the files of the model that the job asks for; they become assets."""
    options: ExportOptions = step.options(Kind.EXPORT)
    model = _asset(step, model_id)

    def make() -> dict[str, Any]:
        made = _exported(step, step.fetch(model.sha256, step.folder / _file_name(model)), options)
        files = {format.value: _stored(step, format, path) for format, path in made.files.items()}
        levels = [step.store(path, GLB) for path in made.levels]
        report = step.store(made.report, "application/json")
        stored = [*files.values(), *levels, report]
        facts = made.facts.to_json()
        return {
            "blobs": [one["sha256"] for one in stored],
            "files": files,
            "levels": levels,
            "report": report,
            "facts": facts,
        }

    about = options_to_json(options) | {"model_id": ""}
    value = step.kept(digest("export", REVISION, model.sha256, about), [model.sha256], make)
    name = options.target.value
    suffixes = {"gltf": "gltf.zip", "obj": "obj.zip"}
    files = {
        format: step.publish(f"{name}.{suffixes.get(format, format)}", stored, "model")
        for format, stored in value["files"].items()
    }
    levels = [
        step.publish(f"{name}-lod{number}.glb", stored, "model") for number, stored in enumerate(value["levels"], 1)
    ]
    report = step.publish(f"{name}-report.json", value["report"], "document")
    return {"files": files, "levels": levels, "report": report, "facts": value["facts"]}


def _exported(step: Step, source: Path, options: ExportOptions) -> ExportResult:
    return export(
        source, options, step.folder / "files", blender=step.parts.settings.blender, limits=step.limits,
        progress=step.progress,
    )  # fmt: skip


def _stored(step: Step, format: MeshFormat, path: Path) -> dict[str, Any]:
    return step.store(path, ZIP if path.suffix == ".zip" else MEDIA_TYPES[format])


def _source(step: Step, model: Asset) -> Path:
    """The model as a GLB that Blender reads: it knows neither meshopt nor KTX2."""
    path = step.fetch(model.sha256, step.folder / _file_name(model))
    return to_glb(
        path, step.folder / "source", blender=step.parts.settings.blender, limits=step.limits, progress=step.progress
    )


def _file_name(model: Asset) -> str:
    """A name that says the format, and nothing else of what the caller called the file."""
    return f"source{PurePosixPath(model.name).suffix}"


def _asset(step: Step, id: str) -> Asset:
    asset = step.parts.records.asset(step.tenant, id)
    if asset is None:
        raise NotFound("file", id)
    return asset
