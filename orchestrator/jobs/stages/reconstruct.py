"""The reconstruct stage of a job: a textured mesh of the piece that the photos show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.domain.assets import Asset, StoredFile
from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import MEDIA_TYPES, ExportOptions, MeshFormat, Target
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import (
    MIN_PHOTOS,
    Mode,
    Provider,
    ReconstructOptions,
    ReconstructPrograms,
    resolved_mode,
)
from orchestrator.domain.render import RenderOptions
from orchestrator.domain.segment import SegmentOptions
from orchestrator.errors import InvalidInput
from orchestrator.jobs.assets import RECONSTRUCTED_MESH
from orchestrator.jobs.documents import copy_fields
from orchestrator.jobs.stage import JobInput, Stage, StageRun
from orchestrator.jobs.stages.export import write_formats
from orchestrator.jobs.stages.segment import SegmentResult
from orchestrator.jobs.stages.stain import StainResult
from orchestrator.jobs.step import Cached, Step, digest
from orchestrator.stages import analysis, intake
from orchestrator.stages.reconstruct.reconstruct import reconstruct
from orchestrator.stages.reconstruct.task import ReconstructTask
from orchestrator.stages.render.turntable import frame_size, render_frames

REVISION = 3
"""Part of the cache keys of this stage. Increment it when the stage changes its output."""
GLB = MEDIA_TYPES[MeshFormat.GLB]
EXTRAS = {
    ".mp4": ("video/mp4", "video"),
    ".png": ("image/png", "preview"),
    ".jpg": ("image/jpeg", "preview"),
    ".json": ("application/json", "document"),
    ".txt": ("text/plain", "document"),
}
"""Media type and asset kind, by suffix, of the files that a reconstruction makes besides the mesh and the logs."""
PREVIEW_SIZE = (1280, 960)
"""Width and height of the preview in pixels, which the quality PREVIEW halves. The preview always has this quality."""
PREVIEW_FRAME = 2
"""Frame 2 of 36 shows the front and one side."""
EXTRA_FORMATS = (MeshFormat.USDZ, MeshFormat.FBX)
"""Formats besides GLB that the gateway expects of every reconstruct job."""
MASKS_ONLY = SegmentOptions(detect_components=False, detect_wood=False)
"""A reconstruct job needs only the foreground masks."""


@dataclass(frozen=True)
class CaptureReport:
    """How well the photos could be combined."""

    photos: int
    used_photo_asset_ids: tuple[str, ...]
    points: int
    mean_reprojection_error_px: float
    coverage_deg: float
    advice: tuple[str, ...]


@dataclass(frozen=True)
class ReconstructResult:
    """The result of the reconstruct stage. Files are asset ids; empty in the cache."""

    mode: Mode
    report: CaptureReport
    vertices: int
    triangles: int
    dimensions: Dimensions
    model_versions: dict[str, str]
    glb: str = ""
    usdz: str = ""
    fbx: str = ""
    preview: str = ""
    extras: tuple[str, ...] = ()


def run_reconstruct(run: StageRun[ReconstructOptions]) -> ReconstructResult:
    """Build the mesh from the photos, or from their stained pictures, then write its files."""
    segmented, stained = run.results["segment"], run.results.get("stain")
    result = run.step("reconstruct", build_mesh, run.options, segmented, stained, span=(0.0, 0.9))
    return run.step("convert", convert_mesh, result, span=(0.9, 1.0))


def build_mesh(
    step: Step, options: ReconstructOptions, segmented: SegmentResult, stained: StainResult | None
) -> ReconstructResult:
    """Build the mesh of the piece, in the colours of the stained pictures if there are any, and publish its files."""
    colors = {photo.photo_asset_id: photo.preview for photo in stained.photos} if stained else None
    photos = [photo for photo in segmented.photos if colors is None or photo.photo_asset_id in colors]
    needed = MIN_PHOTOS[options.mode]
    if len(photos) < needed:
        rule = f"{options.mode.value} needs at least {needed} photos; {len(photos)} are left without those that failed"
        raise InvalidInput("reconstruct.mode", rule)
    originals = [step.asset(photo.photo_asset_id) for photo in photos]
    masks = [step.asset(photo.foreground) for photo in photos]
    colored = [step.asset(colors[photo.photo_asset_id]) for photo in photos] if colors else originals
    sources = [asset.sha256 for asset in originals]

    def make() -> Cached[ReconstructResult]:
        settings = step.dependencies.settings
        images, mask_files, color_photos = _write_inputs(step, originals, masks, colored)
        quality, folder = step.job.quality, step.folder / "model"
        maps = analysis.unpack(step.read(photos[0].analysis))
        programs = ReconstructPrograms(settings.meshroom, step.dependencies.trellis)
        task = ReconstructTask(
            images, mask_files, options, quality, folder, color_photos, maps, programs, step.limits, step.progress
        )
        mesh = reconstruct(task)
        files = {RECONSTRUCTED_MESH: step.store(mesh.glb, GLB), "model-preview.png": _render_preview(step, mesh.glb)}
        files |= {path.name: step.store(path, EXTRAS[path.suffix][0]) for path in mesh.extras if path.suffix in EXTRAS}
        used = tuple(photos[index].photo_asset_id for index in mesh.report.photos_used)
        report = copy_fields(CaptureReport, mesh.report, photos=len(photos), used_photo_asset_ids=used)
        mode, versions = resolved_mode(options.mode, len(photos)), photos[0].model_versions
        return Cached(files, ReconstructResult(mode, report, mesh.vertices, mesh.triangles, mesh.dimensions, versions))

    contents = (sources, [asset.sha256 for asset in colored], [mask.sha256 for mask in masks], photos[0].analysis)
    key = digest("model", REVISION, *contents, options, step.job.quality)
    cached = step.cached(key, sources, Cached[ReconstructResult], make)
    versions = cached.facts.model_versions
    files = {
        name: step.publish(
            name, file, "model" if name == RECONSTRUCTED_MESH else EXTRAS[Path(name).suffix][1], versions
        )
        for name, file in cached.files.items()
    }
    glb, preview = files.pop(RECONSTRUCTED_MESH), files.pop("model-preview.png")
    step.add_preview(preview)
    return replace(cached.facts, glb=glb, preview=preview, extras=tuple(files.values()))


def convert_mesh(step: Step, result: ReconstructResult) -> ReconstructResult:
    """Write the mesh in the formats of ``EXTRA_FORMATS``."""
    glb = step.asset(result.glb)

    def make() -> Cached[None]:
        source = step.fetch(glb.sha256, step.folder / "model.glb")
        _, files = write_formats(step, source, ExportOptions(formats=EXTRA_FORMATS, target=Target.ORIGINAL))
        return Cached({f"model.{format.value}": file for format, file in files.items()}, None)

    cached = step.cached(digest("convert", REVISION, glb.sha256), [glb.sha256], Cached[None], make)
    files = {name: step.publish(name, file, "model", result.model_versions) for name, file in cached.files.items()}
    return replace(result, usdz=files.get("model.usdz", ""), fbx=files.get("model.fbx", ""))


def check_options(options: ReconstructOptions, job: JobInput) -> ReconstructOptions:
    """Resolve the mode AUTO; check the number of photos and that the provider is available."""
    photos = len(job.assets)
    mode = resolved_mode(options.mode, photos)
    needed = MIN_PHOTOS[mode]
    if photos < needed:
        raise InvalidInput("reconstruct.mode", f"{mode.value} needs at least {needed} photos; the upload has {photos}")
    if options.provider is Provider.TRELLIS and not job.dependencies.settings.trellis_url:
        rule = "'trellis' is not configured on this service; the only allowed value is 'local'"
        raise InvalidInput("reconstruct.provider", rule)
    return replace(options, mode=mode)


def _write_inputs(
    step: Step, originals: list[Asset], masks: list[Asset], colored: list[Asset]
) -> tuple[list[Path], list[Path], list[Path]]:
    """Write the photos, their masks and, where ``colored`` differs, the stained pictures, in the size of the masks."""
    folder = step.folder / "inputs"
    folder.mkdir(exist_ok=True)
    images, mask_files, color_files = [], [], []
    for index, (original, mask, color) in enumerate(zip(originals, masks, colored, strict=True)):
        step.progress(0.0, f"reading photo {index + 1} of {len(originals)}")
        data, size = step.read(original.sha256), (mask.width, mask.height)
        photo = intake.decode_photo(data, tenant=step.job.tenant)
        focal_length_mm = photo.focal_length_mm
        images.append(intake.write_photo(photo.srgb, focal_length_mm, folder / f"photo-{index:03d}.jpg", size))
        mask_files.append(step.fetch(mask.sha256, folder / f"mask-{index:03d}.png"))
        if color is not original:
            stained = intake.read_map(step.read(color.sha256))
            color_files.append(intake.write_photo(stained, focal_length_mm, folder / f"look-{index:03d}.jpg", size))
    return images, mask_files, color_files


def _render_preview(step: Step, glb: Path) -> StoredFile:
    """Render one view of the mesh in the studio."""
    options = RenderOptions(width=PREVIEW_SIZE[0], height=PREVIEW_SIZE[1])
    rendered: list[StoredFile] = []
    blender, folder = step.dependencies.settings.blender, step.folder / "preview"

    def keep(_: int, picture: Path) -> None:
        rendered.append(step.store(picture, "image/png", *frame_size(options, Quality.PREVIEW)))

    def report(*_: object) -> None:
        step.progress(1.0, "preview")

    frames, quality = [PREVIEW_FRAME], Quality.PREVIEW
    render_frames(glb, frames, options, quality, folder, keep, executable=blender, limits=step.limits, progress=report)
    return rendered[0]


RECONSTRUCT = Stage(
    "reconstruct",
    ReconstructOptions,
    ReconstructResult,
    weight=0.35,
    run=run_reconstruct,
    check=check_options,
    requires={"segment": MASKS_ONLY},
    output_mesh=lambda result: result.glb,
)
