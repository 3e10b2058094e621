"""Writes USDZ for ARKit from a base GLB, with USD (``usd-core``) in its own process."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import run_program

WRITER = Path(__file__).with_name("usd_writer.py")
PROGRESS_LINE = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")
MAX_TEXTURE_PX = 2048
"""Maximum side of a texture. AR Quick Look shrinks larger ones on most phones."""


@dataclass(frozen=True)
class UsdzFacts:
    """What USD reports about a USDZ that was written.

    Attributes:
        errors: violations of USD's and ARKit's rules; empty if the file is valid.
        notes: features of the GLB that UsdPreviewSurface cannot express.
        low: minimum corner of the bounding box in metres, +Y up.
        high: maximum corner.
    """

    errors: tuple[str, ...]
    notes: tuple[str, ...]
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def write_usdz(
    base: Path,
    target: Path,
    folder: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> UsdzFacts:
    """Write a base GLB as USDZ and validate it.

    Each primitive becomes a mesh. Materials become UsdPreviewSurface, with textures of at most MAX_TEXTURE_PX.

    Raises:
        ToolFailed: USD is not installed, or failed.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    if importlib.util.find_spec("pxr") is None:
        raise ToolFailed("USD is not installed; install it with: pip install 'heartwood[tools]'", tool="usd")
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.resolve()
    result_file, job_file = work / "usd-result.json", work / "usd.json"
    job = {
        "source": str(base.resolve()),
        "target": str(target.resolve()),
        "folder": str(work / "usd"),
        "max_texture_px": MAX_TEXTURE_PX,
        "result": str(result_file),
    }
    job_file.write_text(json.dumps(job), encoding="utf-8")
    result_file.unlink(missing_ok=True)

    def read_progress(line: str) -> tuple[float, str] | None:
        match = PROGRESS_LINE.match(line)
        return (min(float(match[1]), 1.0), match[2]) if match else None

    command: list[str | Path] = [sys.executable, "-P", WRITER, job_file]
    run_program("usd", command, folder, limits=limits, read_line=read_progress, progress=progress)
    result = json.loads(result_file.read_text(encoding="utf-8"))
    low, high = (tuple(corner) for corner in result["bounds"])
    return UsdzFacts(tuple(result["errors"]), tuple(result["notes"]), low, high)
