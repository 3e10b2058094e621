"""Show a model from all sides: the frames of a turntable, then the videos, thumbnails and contact sheet of them."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as Pillow

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.render import Background, RenderOptions, VideoFormat
from orchestrator.errors import Canceled
from orchestrator.tools.blender import run_blender
from orchestrator.tools.ffmpeg import gif, mp4, run_ffmpeg, webm

THUMBNAIL_VIEWS, THUMBNAIL_WIDTH = 4, 480
SHEET_VIEWS, SHEET_COLUMNS, SHEET_WIDTH = 12, 4, 1920
FRAME = "frame-%03d.png"
DONE = re.compile(r"^FRAME (\d{1,3})$")
VEIL = 0.09
"""Few samples leave the shadow catcher a faint veil (at most 0.08 of alpha, in PREVIEW); what is thinner is clear."""


@dataclass(frozen=True)
class Sampling:
    """How much light Cycles gathers for a frame; every frame is denoised with OpenImageDenoise."""

    samples: int
    threshold: float  # noise at which a pixel is done (Cycles' adaptive sampling); 0 takes every sample
    scale: float = 1.0  # of the resolution asked for


SAMPLING = {Quality.PREVIEW: Sampling(12, 0.05, 0.5), Quality.FINAL: Sampling(44, 0.02)}
MIN_SAMPLES = 8
"""Blender's own choice is above our samples, so that none would be saved on the backdrop and the floor."""


@dataclass(frozen=True)
class WoodTexture:
    """A stained set that replaces materials of the model, box-mapped at its true scale."""

    albedo: Path  # sRGB picture
    roughness: Path  # grey picture, white is rough
    height: Path  # grey picture, white is high
    width_m: float  # what the picture's width is in truth
    materials: tuple[str, ...] = ()  # names in the model; none takes the one that covers most of it


@dataclass(frozen=True)
class Turntable:
    """What was made of the frames, as files in one folder."""

    videos: dict[VideoFormat, Path]
    thumbnails: tuple[Path, ...]  # WebP, evenly around
    contact_sheet: Path  # JPEG


def frame_size(options: RenderOptions, quality: Quality) -> tuple[int, int]:
    """Width and height of the frames in pixels, even numbers."""
    half = SAMPLING[quality].scale / 2
    return 2 * max(1, round(options.width * half)), 2 * max(1, round(options.height * half))


def turntable_job(
    model: Path, options: RenderOptions, quality: Quality, texture: WoodTexture | None = None
) -> dict[str, object]:
    """What ``blender_scripts/turntable.py`` is told, but for the numbers of the frames."""
    width, height = frame_size(options, quality)
    sampling = SAMPLING[quality]
    return {
        "model": str(model.resolve()),
        "count": options.frames,
        "width": width,
        "height": height,
        "samples": sampling.samples,
        "threshold": sampling.threshold,
        "denoise": True,
        "min_samples": MIN_SAMPLES,
        "light_tree": False,
        "persistent": True,
        "seed": 0,
        "background": options.background.value,
        "elevation_deg": options.elevation_deg,
        "material": _described(texture) if texture else None,
    }


def render_frames(
    model: Path,
    frames: Sequence[int],
    options: RenderOptions,
    quality: Quality,
    folder: Path,
    made: Callable[[int, Path], None],
    *,
    texture: WoodTexture | None = None,
    processes: int = 1,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> None:
    """Render ``frames`` of the turn of ``options.frames``; frame k shows the piece turned by k / frames.

    Args:
        model: a GLB.
        frames: numbers of the frames to render, perhaps none; the others are there already.
        made: gets each frame's number and its PNG (RGB; RGBA before a transparent background) as it is done, whole.
        processes: how many Blenders share the frames and the cores.

    Raises:
        ToolFailed: Blender is not installed, or failed.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    if not frames:
        return
    job = turntable_job(model, options, quality, texture)
    shares = [list(frames[start::processes]) for start in range(min(processes, len(frames)))]
    # The processes share the memory that one run may take.
    limits = replace(limits, memory_bytes=limits.memory_bytes // len(shares))
    threads = max(1, (os.cpu_count() or 1) // len(shares)) if len(shares) > 1 else 0
    done = 0
    errors: list[BaseException] = []
    lock = threading.Lock()

    def report(fraction: float, message: str) -> None:
        del fraction, message  # of one process; what counts is the frames of all
        if errors:
            raise Canceled("another process failed")
        with lock:
            progress(done / len(frames), f"frame {min(done + 1, len(frames))} of {len(frames)}")

    def work(worker: int, share: list[int]) -> None:
        place, waited = folder / f"blender-{worker}", set(share)

        def saw(line: str) -> None:
            nonlocal done
            match = DONE.match(line)
            number = int(match[1]) if match else -1
            picture = place / (FRAME % number)
            if number not in waited or not picture.is_file():
                return  # a name in the model may look like such a line
            waited.remove(number)
            if options.background is Background.TRANSPARENT:
                _lift_veil(picture)
            with lock:
                made(number, picture)
                done += 1

        try:
            run_blender(
                "turntable",
                {**job, "frames": share},
                place,
                executable=executable,
                limits=limits,
                progress=report,
                saw=saw,
                threads=threads,
            )
        except BaseException as error:  # noqa: BLE001 - the first is raised below, when no process is left
            errors.append(error)

    with ThreadPoolExecutor(len(shares)) as pool:
        for number, share in enumerate(shares):
            pool.submit(work, number, share)
    if errors:
        raise errors[0]


def join_frames(
    folder: Path,
    options: RenderOptions,
    quality: Quality,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Turntable:
    """Make videos, thumbnails and the contact sheet of the frames FRAME in ``folder``. No frame stands twice.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    rate, alpha = options.frames / options.seconds, options.background is Background.TRANSPARENT
    arguments = {
        VideoFormat.MP4: mp4(FRAME, rate, frame_size(options, quality)),
        VideoFormat.WEBM: webm(FRAME, rate, alpha=alpha),
        VideoFormat.GIF: gif(FRAME, rate, alpha=alpha),
    }
    videos: dict[VideoFormat, Path] = {}

    def report(fraction: float, message: str) -> None:
        progress((len(videos) + fraction) / (len(options.formats) + 1), f"joining: {message}")

    for format in options.formats:
        target = folder / f"turntable.{format.value}"
        run_ffmpeg(
            arguments[format], target, frames=options.frames, executable=executable, limits=limits, progress=report
        )
        videos[format] = target
    return Turntable(videos, _thumbnails(folder, options.frames), _contact_sheet(folder, options.frames))


def _described(texture: WoodTexture) -> dict[str, object]:
    return {
        "albedo": str(texture.albedo.resolve()),
        "roughness": str(texture.roughness.resolve()),
        "height": str(texture.height.resolve()),
        "width_m": texture.width_m,
        "names": list(texture.materials),
    }


def _lift_veil(frame: Path) -> None:
    picture = Pillow.open(frame)
    alpha = picture.getchannel("A").point(
        [max(0, round((value / 255 - VEIL) / (1 - VEIL) * 255)) for value in range(256)]
    )
    picture.putalpha(alpha)
    scratch = frame.with_suffix(".clear.png")
    picture.save(scratch, compress_level=1)
    scratch.replace(frame)


def _thumbnails(folder: Path, count: int) -> tuple[Path, ...]:
    made = []
    for number in range(THUMBNAIL_VIEWS):
        picture = Pillow.open(folder / (FRAME % (number * count // THUMBNAIL_VIEWS)))
        picture.thumbnail((THUMBNAIL_WIDTH, 4 * THUMBNAIL_WIDTH), Pillow.Resampling.LANCZOS)
        target = folder / f"thumbnail-{number}.webp"
        picture.save(target, "WEBP", quality=86, method=6)
        made.append(target)
    return tuple(made)


def _contact_sheet(folder: Path, count: int) -> Path:
    views = [Pillow.open(folder / (FRAME % (number * count // SHEET_VIEWS))) for number in range(SHEET_VIEWS)]
    width = SHEET_WIDTH // SHEET_COLUMNS
    height = round(width * views[0].height / views[0].width)
    sheet = Pillow.new("RGB", (SHEET_WIDTH, height * SHEET_VIEWS // SHEET_COLUMNS), "white")
    for number, view in enumerate(views):
        small = view.resize((width, height), Pillow.Resampling.LANCZOS)
        place = (number % SHEET_COLUMNS * width, number // SHEET_COLUMNS * height)
        sheet.paste(small, place, small if small.mode == "RGBA" else None)
    target = folder / "contact_sheet.jpg"
    sheet.save(target, quality=90)
    return target
