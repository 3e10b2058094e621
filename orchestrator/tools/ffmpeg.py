"""Joins frames to videos with ffmpeg: the one that ``imageio-ffmpeg`` brings, or any other executable."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import run_program

TOLD = re.compile(r"^(\w+)=\s*(\S*)$")
"""A line of ``-progress``: such as ``frame=12``."""
GIF_WIDTH = 720
"""A GIF has no compression worth the name: wider ones weigh tens of megabytes."""


def mp4(frames: str, rate: float, size: tuple[int, int]) -> list[str]:
    """Arguments for H.264, 4:2:0, index first, so that a browser starts before the file is there.

    Transparent parts become white.

    Args:
        frames: ffmpeg's pattern of PNG files in the target's folder, such as ``frame-%03d.png``, counted from 0.
        rate: frames a second.
        size: width and height of the frames, both even.
    """
    white = f"color=white:s={size[0]}x{size[1]}:r={rate:g}[back];[back][0:v]overlay=shortest=1,format=yuv420p"
    # BT.709 said and meant: players otherwise guess, and browns turn orange.
    matrix = (
        "scale=out_color_matrix=bt709:out_range=tv,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    )
    codec = ["-c:v", "libx264", "-preset", "slow", "-crf", "18", "-movflags", "+faststart"]
    return [*_read(frames, rate), "-filter_complex", f"{white},{matrix}", *codec]


def webm(frames: str, rate: float, *, alpha: bool) -> list[str]:
    """Arguments for VP9, with the frames' alpha where they have one; the others as in ``mp4``."""
    codec = ["-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-row-mt", "1", "-deadline", "good", "-cpu-used", "3"]
    return [*_read(frames, rate), *codec, "-pix_fmt", "yuva420p" if alpha else "yuv420p", "-auto-alt-ref", "0"]


def gif(frames: str, rate: float, *, alpha: bool) -> list[str]:
    """Arguments for an endless GIF with a palette of its own frames, at most GIF_WIDTH wide; as in ``mp4``."""
    small = f"scale='min({GIF_WIDTH},iw)':-2:flags=lanczos,split[a][b]"
    palette = f"[a]palettegen=stats_mode=full:reserve_transparent={int(alpha)}[p]"
    used = "[b][p]paletteuse=dither=sierra2_4a:diff_mode=rectangle"
    return [*_read(frames, rate), "-filter_complex", f"{small};{palette};{used}", "-loop", "0"]


def run_ffmpeg(
    arguments: Sequence[str],
    target: Path,
    *,
    frames: int = 0,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> None:
    """Run ffmpeg on ``arguments`` in the folder of ``target``, which it replaces.

    Args:
        frames: how many it will write, so that its count of them tells the progress; 0 where nobody knows.

    Raises:
        ToolFailed: it is not installed, or failed; with its last words.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    quiet = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"]
    written = 0

    def read_line(line: str) -> tuple[float, str] | None:
        nonlocal written
        match = TOLD.match(line)
        if match is None:
            return None
        written = int(match[2]) if match[1] == "frame" else written
        return min(written / frames, 1.0) if frames else 0.0, f"frame {written} of {frames}"

    command = [executable or bundled_ffmpeg(), *quiet, *arguments, target.name]
    log = target.parent / "ffmpeg.log"
    run_program("ffmpeg", command, target.parent, log_file=log, limits=limits, read_line=read_line, progress=progress)


def bundled_ffmpeg() -> str:
    """The executable that ``imageio-ffmpeg`` brings.

    Raises:
        ToolFailed: the package is not installed.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ToolFailed("ffmpeg is not installed: pip install 'heartwood[tools]'")
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _read(frames: str, rate: float) -> list[str]:
    return ["-framerate", f"{rate:g}", "-start_number", "0", "-i", frames]
