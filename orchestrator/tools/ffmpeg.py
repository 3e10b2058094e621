"""Joins frames to videos with ffmpeg: the one that ``imageio-ffmpeg`` brings, or any other executable."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import DEFAULT_LIMITS, Limits, run_program

GIF_WIDTH = 720
"""A GIF has no compression worth the name: wider ones weigh tens of megabytes."""
WHITE = "color=white"


def join_mp4(frames: str, rate: float, size: tuple[int, int], target: Path, **how: object) -> None:
    """H.264, 4:2:0, index first, so that a browser starts before the file is there; transparent parts are white.

    Args:
        frames: ffmpeg's pattern of PNG files below ``target``'s folder, such as ``frame-%03d.png``, counted from 0.
        rate: frames a second.
        size: width and height of the frames, both even.
        how: executable, limits, progress, as ``run_ffmpeg`` takes them.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    flat = f"{WHITE}:s={size[0]}x{size[1]}:r={rate:g}[back];[back][0:v]overlay=shortest=1,format=yuv420p"
    codec = ["-c:v", "libx264", "-preset", "slow", "-crf", "18", "-movflags", "+faststart"]
    # BT.709 said and meant: players otherwise guess, and browns turn orange.
    matrix = (
        "scale=out_color_matrix=bt709:out_range=tv,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    )
    run_ffmpeg([*_read(frames, rate), "-filter_complex", f"{flat},{matrix}", *codec, target.name], target, **how)  # type: ignore[arg-type]


def join_webm(frames: str, rate: float, target: Path, *, alpha: bool, **how: object) -> None:
    """VP9, with the frames' alpha where they have one. Arguments and errors as ``join_mp4``."""
    pixels = "yuva420p" if alpha else "yuv420p"
    codec = ["-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-row-mt", "1", "-deadline", "good", "-cpu-used", "3"]
    run_ffmpeg([*_read(frames, rate), *codec, "-pix_fmt", pixels, "-auto-alt-ref", "0", target.name], target, **how)  # type: ignore[arg-type]


def join_gif(frames: str, rate: float, target: Path, *, alpha: bool, **how: object) -> None:
    """An endless GIF with a palette made of its own frames, at most GIF_WIDTH wide. As ``join_mp4``."""
    small = f"scale='min({GIF_WIDTH},iw)':-2:flags=lanczos,split[a][b]"
    palette = f"[a]palettegen=stats_mode=full:reserve_transparent={int(alpha)}[p]"
    used = "[b][p]paletteuse=dither=sierra2_4a:diff_mode=rectangle"
    graph = f"{small};{palette};{used}"
    run_ffmpeg([*_read(frames, rate), "-filter_complex", graph, "-loop", "0", target.name], target, **how)  # type: ignore[arg-type]


def run_ffmpeg(
    arguments: Sequence[str],
    target: Path,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> None:
    """Run ffmpeg in the folder of ``target``, which is replaced.

    Raises:
        ToolFailed: it is not installed, or failed; with its last words.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    quiet = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
    command = [executable or bundled_ffmpeg(), *quiet, *arguments]
    log = target.parent / "ffmpeg.log"
    run_program("ffmpeg", command, target.parent, log_file=log, limits=limits, progress=progress)


def bundled_ffmpeg() -> str:
    """The executable that ``imageio-ffmpeg`` brings.

    Raises:
        ToolFailed: the package is not installed.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ToolFailed("ffmpeg is not installed: pip install 'heartwood[tools]', or set HEARTWOOD_FFMPEG")
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _read(frames: str, rate: float) -> list[str]:
    return ["-framerate", f"{rate:g}", "-start_number", "0", "-i", frames]
