"""Renders the turntable of a 3D model: its frames, then videos, thumbnails and a contact sheet."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from PIL import Image as Pillow

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.render import Background, RenderOptions, VideoFormat
from orchestrator.errors import Canceled
from orchestrator.tools.blender import run_blender
from orchestrator.tools.ffmpeg import gif, mp4, run_ffmpeg, webm

FRAME = "frame-%03d.png"
FRAME_LINE = re.compile(r"^FRAME (\d{1,3})$")  # the Blender script prints it when a frame is complete
THUMBNAIL_COUNT = 4
THUMBNAIL_WIDTH = 480
THUMBNAIL_QUALITY = 86  # of WebP, from 0 to 100; not tuned
SHEET_VIEWS = 12
SHEET_COLUMNS = 4
SHEET_WIDTH = 1920
SHEET_QUALITY = 90  # of JPEG, from 0 to 100; not tuned
FAINT_ALPHA = 0.09
"""Alpha up to this value counts as transparent. With few samples, the shadow catcher leaves a faint alpha in the whole
frame: at most 0.08, measured in PREVIEW. A larger value removes more of the soft edge of the shadow."""


@dataclass(frozen=True)
class Sampling:
    """The settings of Cycles that trade render time for noise. Every frame is denoised with OpenImageDenoise."""

    samples: int  # maximum per pixel
    threshold: float  # noise at which adaptive sampling stops for a pixel; 0 disables it
    scale: float = 1.0  # relative to the requested resolution


SAMPLING = {Quality.PREVIEW: Sampling(12, 0.05, 0.5), Quality.FINAL: Sampling(44, 0.02)}
"""On three pieces at 960 × 540, FINAL takes 8.8 s a frame, with a mean PSNR of 49.7 dB against 512 samples; PREVIEW
takes 0.91 s, with 38.9 dB (docs/benchmarks.md, turntable). On fine dark grain, FINAL is 1.3 dB worse than 128 samples
without denoising."""
MIN_SAMPLES = 8
"""Samples before adaptive sampling may stop. Blender's default is larger than the counts in SAMPLING, so that adaptive
sampling would save nothing on the backdrop and the floor."""


@dataclass(frozen=True)
class WoodTexture:
    """Maps of stained wood that replace materials of a 3D model, box-mapped at ``width_m``. Paths are absolute."""

    albedo: Path  # sRGB image
    roughness: Path  # grey image; white is rough
    height: Path  # grey image; white is high
    width_m: float  # physical width of the images
    materials: tuple[str, ...] = ()  # names in the 3D model; empty means the one that covers the largest area


@dataclass(frozen=True)
class TurntableJob:
    """The job of ``blender_scripts/turntable.py``. All paths are absolute."""

    mesh: Path  # a GLB
    frames: tuple[int, ...]  # numbers of the frames to render
    count: int  # frames of a whole turn
    width: int
    height: int
    background: str
    elevation_deg: float
    samples: int
    threshold: float
    min_samples: int = MIN_SAMPLES
    denoise: bool = True
    light_tree: bool = False  # Blender's light sampling; with our three large lights it costs more than it saves
    persistent: bool = True  # keep the scene in memory between frames
    seed: int = 0
    threads: int = 0  # CPU threads of a Blender process; 0 means all
    texture: WoodTexture | None = None


@dataclass(frozen=True)
class Turntable:
    """The files made from the frames, in one folder."""

    videos: dict[VideoFormat, Path]
    thumbnails: tuple[Path, ...]  # WebP, at even angles
    contact_sheet: Path  # JPEG


def frame_size(options: RenderOptions, quality: Quality) -> tuple[int, int]:
    """Return width and height of the frames in pixels. Both are even, as H.264 requires."""
    half_scale = SAMPLING[quality].scale / 2
    return 2 * max(1, round(options.width * half_scale)), 2 * max(1, round(options.height * half_scale))


def turntable_job(
    mesh: Path, frames: Sequence[int], options: RenderOptions, quality: Quality, texture: WoodTexture | None = None
) -> TurntableJob:
    """Return the job that renders ``frames``."""
    width, height = frame_size(options, quality)
    sampling = SAMPLING[quality]
    return TurntableJob(
        mesh=mesh.resolve(),
        frames=tuple(frames),
        count=options.frames,
        width=width,
        height=height,
        background=options.background.value,
        elevation_deg=options.elevation_deg,
        samples=sampling.samples,
        threshold=sampling.threshold,
        texture=texture,
    )


def render_frames(
    mesh: Path,
    frames: Sequence[int],
    options: RenderOptions,
    quality: Quality,
    folder: Path,
    on_frame: Callable[[int, Path], None],
    *,
    texture: WoodTexture | None = None,
    processes: int = 1,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> None:
    """Render some of the frames of a turn. Frame k of n shows the piece rotated by k / n of a turn.

    Args:
        mesh: a GLB.
        frames: numbers of the frames to render; may be empty.
        folder: working folder of the Blender processes.
        on_frame: called with the number and the PNG file of each complete frame. The PNG is RGB, or RGBA if the
            background is transparent. Calls never overlap.
        executable: a ``blender`` executable; the bpy wheel if empty.
        processes: number of Blender processes that share the frames, the CPU cores and the memory limit.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: see ``run_blender``.
    """
    if frames:
        job = turntable_job(mesh, frames, options, quality, texture)
        _FrameRenderer(job, folder, on_frame, executable, limits, progress).run(processes)


@dataclass
class _FrameRenderer:
    """Renders the frames of one job with several Blender processes."""

    job: TurntableJob
    folder: Path
    on_frame: Callable[[int, Path], None]
    executable: str
    limits: Limits
    progress: Progress
    lock: threading.Lock = field(default_factory=threading.Lock)
    completed: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def run(self, processes: int) -> None:
        """Render all frames, then raise the first error of any process."""
        frames = self.job.frames
        shares = [frames[start::processes] for start in range(min(processes, len(frames)))]
        limits = replace(self.limits, memory_bytes=self.limits.memory_bytes // len(shares))
        threads = max(1, (os.cpu_count() or 1) // len(shares)) if len(shares) > 1 else 0
        with ThreadPoolExecutor(len(shares)) as pool:
            for index, share in enumerate(shares):
                job = replace(self.job, frames=share, threads=threads)
                pool.submit(self._render_share, job, self.folder / f"blender-{index}", limits)
        if self.errors:
            raise self.errors[0]

    def _render_share(self, job: TurntableJob, folder: Path, limits: Limits) -> None:
        blender = partial(run_blender, executable=self.executable, limits=limits, progress=self._report)
        on_line = partial(self._read_line, folder, set(job.frames))
        try:
            blender("turntable", asdict(job), folder, on_line=on_line)
        except BaseException as error:  # noqa: BLE001 - raised by run() when all processes have ended
            self.errors.append(error)

    def _report(self, _fraction: float, _message: str) -> None:
        """Report the number of frames that all processes have completed, instead of the progress of one process."""
        if self.errors:
            raise Canceled("another process failed")
        total = len(self.job.frames)
        with self.lock:
            self.progress(self.completed / total, f"frame {min(self.completed + 1, total)} of {total}")

    def _read_line(self, folder: Path, pending: set[int], line: str) -> None:
        """Process a line if it reports a complete frame. A name in the 3D model may cause such a line as well."""
        match = FRAME_LINE.match(line)
        if match is None:
            return
        number = int(match[1])
        image = folder / (FRAME % number)
        if number not in pending or not image.is_file():
            return
        pending.remove(number)
        if self.job.background == Background.TRANSPARENT.value:
            _remove_faint_alpha(image)
        with self.lock:
            self.on_frame(number, image)
            self.completed += 1


def join_frames(
    folder: Path,
    options: RenderOptions,
    quality: Quality,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Turntable:
    """Make the videos, thumbnails and contact sheet of all frames of a turn. Videos contain each frame once.

    Args:
        folder: contains the frames, named FRAME, and receives the results.
        executable: an ``ffmpeg`` executable; that of ``imageio-ffmpeg`` if empty.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: see ``run_ffmpeg``.
    """
    rate = options.frames / options.seconds
    alpha = options.background is Background.TRANSPARENT
    args = {
        VideoFormat.MP4: mp4(FRAME, rate, frame_size(options, quality)),
        VideoFormat.WEBM: webm(FRAME, rate, alpha=alpha),
        VideoFormat.GIF: gif(FRAME, rate, alpha=alpha),
    }
    videos: dict[VideoFormat, Path] = {}

    def report(fraction: float, message: str) -> None:
        progress((len(videos) + fraction) / (len(options.formats) + 1), f"joining: {message}")

    for format in options.formats:
        target = folder / f"turntable.{format.value}"
        run_ffmpeg(args[format], target, frames=options.frames, executable=executable, limits=limits, progress=report)
        videos[format] = target
    return Turntable(videos, _thumbnails(folder, options.frames), _contact_sheet(folder, options.frames))


def _remove_faint_alpha(frame: Path) -> None:
    """Map alpha from [FAINT_ALPHA, 1] to [0, 1] in an RGBA file."""
    image = Pillow.open(frame)
    table = [max(0, round((value / 255 - FAINT_ALPHA) / (1 - FAINT_ALPHA) * 255)) for value in range(256)]
    image.putalpha(image.getchannel("A").point(table))
    scratch = frame.with_suffix(".clear.png")
    image.save(scratch, compress_level=1)
    scratch.replace(frame)


def _thumbnails(folder: Path, frame_count: int) -> tuple[Path, ...]:
    targets = tuple(folder / f"thumbnail-{number}.webp" for number in range(THUMBNAIL_COUNT))
    for target, image in zip(targets, _even_views(folder, frame_count, THUMBNAIL_COUNT), strict=True):
        image.thumbnail((THUMBNAIL_WIDTH, 4 * THUMBNAIL_WIDTH), Pillow.Resampling.LANCZOS)
        image.save(target, "WEBP", quality=THUMBNAIL_QUALITY, method=6)
    return targets


def _even_views(folder: Path, frame_count: int, count: int) -> list[Pillow.Image]:
    """Return ``count`` of the frames, at even angles."""
    return [Pillow.open(folder / (FRAME % (number * frame_count // count))) for number in range(count)]


def _contact_sheet(folder: Path, frame_count: int) -> Path:
    views = _even_views(folder, frame_count, SHEET_VIEWS)
    width = SHEET_WIDTH // SHEET_COLUMNS
    height = round(width * views[0].height / views[0].width)
    sheet = Pillow.new("RGB", (SHEET_WIDTH, height * SHEET_VIEWS // SHEET_COLUMNS), "white")
    for number, view in enumerate(views):
        resized = view.resize((width, height), Pillow.Resampling.LANCZOS)
        position = (number % SHEET_COLUMNS * width, number // SHEET_COLUMNS * height)
        sheet.paste(resized, position, resized if resized.mode == "RGBA" else None)
    target = folder / "contact_sheet.jpg"
    sheet.save(target, quality=SHEET_QUALITY)
    return target
