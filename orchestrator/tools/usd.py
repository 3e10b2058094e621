"""USDZ for ARKit out of a base GLB, with USD (``usd-core``) in a process of its own."""

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

CHILD = Path(__file__).with_name("usd_child.py")
LINE = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")
TEXTURE_PX = 2048
"""What AR Quick Look takes without shrinking it itself on most phones."""


@dataclass(frozen=True)
class ArkitCheck:
    """What USD's checks say of the package; no errors is a pass."""

    errors: tuple[str, ...]
    notes: tuple[str, ...]  # what USD's preview surface cannot show
    low: tuple[float, float, float]  # metres, +Y up
    high: tuple[float, float, float]


def write_usdz(
    base: Path,
    target: Path,
    folder: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ArkitCheck:
    """Write a base GLB as USDZ: one mesh a primitive, UsdPreviewSurface, textures of at most TEXTURE_PX; and check it.

    Raises:
        ToolFailed: USD is not installed, or failed.
        DeadlineExceeded, Canceled: as ``run_program``.
    """
    if importlib.util.find_spec("pxr") is None:
        raise ToolFailed("USD is not installed: pip install 'heartwood[tools]'", tool="usd")
    folder.mkdir(parents=True, exist_ok=True)
    inside = folder.resolve()
    result, job_file = inside / "usd-result.json", inside / "usd.json"
    job = {
        "source": str(base.resolve()),
        "target": str(target.resolve()),
        "folder": str(inside / "usd"),
        "texture_px": TEXTURE_PX,
        "result": str(result),
    }
    job_file.write_text(json.dumps(job), encoding="utf-8")
    result.unlink(missing_ok=True)

    def read_line(line: str) -> tuple[float, str] | None:
        match = LINE.match(line)
        return (min(float(match[1]), 1.0), match[2]) if match else None

    command: list[str | Path] = [sys.executable, "-P", CHILD, job_file]
    run_program("usd", command, folder, limits=limits, read_line=read_line, progress=progress)
    answer = json.loads(result.read_text(encoding="utf-8"))
    low, high = (tuple(side) for side in answer["bounds"])
    return ArkitCheck(tuple(answer["errors"]), tuple(answer["notes"]), low, high)
