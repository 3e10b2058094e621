"""Encodes frames as videos with ffmpeg, either the executable of ``imageio-ffmpeg`` or another one."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import run_program

PROGRESS_LINE = re.compile(r"^(\w+)=\s*(\S*)$")  # a line of ffmpeg's -progress output, such as frame=12
PROGRESS_OPTIONS = ["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"]
# Constant rate factors: a lower value means better quality and a larger file. Not tuned.
H264_CRF = 18  # from 0 to 51
VP9_CRF = 24  # from 0 to 63
MAX_GIF_WIDTH = 720  # GIF compresses poorly: wider files take tens of megabytes


def mp4(pattern: str, rate: float, size: tuple[int, int]) -> list[str]:
    """Return the arguments for an MP4 with H.264 and 4:2:0 chroma. Transparent pixels become white.

    The index is at the start of the file, so that a browser can play it before the download is complete. The colours
    are converted to BT.709 and tagged, because players guess the matrix of untagged videos and show brown as orange.

    Args:
        pattern: names of the PNG frames, such as ``frame-%03d.png``, counted from 0, in the folder of the target.
        rate: frames per second.
        size: width and height of the frames, both even.
    """
    on_white = f"color=white:s={size[0]}x{size[1]}:r={rate:g}[back];[back][0:v]overlay=shortest=1,format=yuv420p"
    bt709 = "scale=out_color_matrix=bt709:out_range=tv,setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    codec = f"-c:v libx264 -preset slow -crf {H264_CRF} -movflags +faststart".split()
    return [*_input(pattern, rate), "-filter_complex", f"{on_white},{bt709}", *codec]


def webm(pattern: str, rate: float, *, alpha: bool) -> list[str]:
    """Return the arguments for a WebM with VP9, which keeps the alpha channel if ``alpha`` is set; see ``mp4``."""
    codec = f"-c:v libvpx-vp9 -crf {VP9_CRF} -b:v 0 -row-mt 1 -deadline good -cpu-used 3".split()
    return [*_input(pattern, rate), *codec, "-pix_fmt", "yuva420p" if alpha else "yuv420p", "-auto-alt-ref", "0"]


def gif(pattern: str, rate: float, *, alpha: bool) -> list[str]:
    """Return the arguments for an endless GIF at most MAX_GIF_WIDTH wide, with one palette for all frames; see ``mp4``.

    ``alpha`` reserves a palette entry for transparent pixels.
    """
    scaled = f"scale='min({MAX_GIF_WIDTH},iw)':-2:flags=lanczos,split[a][b]"
    palette = f"[a]palettegen=stats_mode=full:reserve_transparent={int(alpha)}[p]"
    dithered = "[b][p]paletteuse=dither=sierra2_4a:diff_mode=rectangle"
    return [*_input(pattern, rate), "-filter_complex", f"{scaled};{palette};{dithered}", "-loop", "0"]


def run_ffmpeg(
    arguments: Sequence[str],
    target: Path,
    *,
    frames: int = 0,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> None:
    """Run ffmpeg with ``arguments`` in the folder of ``target``. An existing ``target`` is replaced.

    Args:
        frames: number of frames of the video, for the progress; 0 if it is not known.
        executable: an ffmpeg program; empty means that of ``imageio-ffmpeg``.

    Raises:
        ToolFailed: ffmpeg is not installed, or failed. The message contains its last output.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    command = [executable or bundled_ffmpeg(), *PROGRESS_OPTIONS, *arguments, target.name]
    read_line = _FrameCounter(frames).read_line
    run_program("ffmpeg", command, target.parent, limits=limits, read_line=read_line, progress=progress)


@dataclass
class _FrameCounter:
    """Reads ffmpeg's progress lines, of which only some contain the number of encoded frames."""

    total: int
    encoded: int = 0

    def read_line(self, line: str) -> tuple[float, str] | None:
        if not (match := PROGRESS_LINE.match(line)):
            return None
        if match[1] == "frame":
            self.encoded = int(match[2])
        fraction = min(self.encoded / self.total, 1.0) if self.total else 0.0
        return fraction, f"frame {self.encoded} of {self.total}"


def bundled_ffmpeg() -> str:
    """Return the path of the executable of ``imageio-ffmpeg``, or raise ToolFailed if it is not installed."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ToolFailed("ffmpeg is not installed; install it with: pip install 'heartwood[tools]'")
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _input(pattern: str, rate: float) -> list[str]:
    return ["-framerate", f"{rate:g}", "-start_number", "0", "-i", pattern]
