"""Runs the USD scripts ``usd_writer`` and ``usd_reader`` in their own process, with ``usd-core``."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain.limits import Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.program import read_progress, run_program

MAX_TEXTURE_PX = 2048  # longer side; AR Quick Look shrinks larger textures on most phones


@dataclass(frozen=True)
class UsdzFacts:
    """What USD reports about a USDZ that was written. Lengths in metres, +Y up."""

    errors: tuple[str, ...]  # violations of USD's and ARKit's rules; empty if the file is valid
    notes: tuple[str, ...]  # features of the GLB that UsdPreviewSurface cannot express
    low: tuple[float, float, float]  # minimum corner of the bounding box
    high: tuple[float, float, float]  # maximum corner


def write_usdz(base: Path, target: Path, folder: Path, *, limits: Limits, progress: Progress) -> UsdzFacts:
    """Write a base GLB as USDZ and validate it. Raises the errors of ``run_usd``.

    Each primitive becomes a mesh. Materials become UsdPreviewSurface, with textures of at most MAX_TEXTURE_PX.
    """
    job = {
        "source": str(base.resolve()),
        "target": str(target.resolve()),
        "folder": str(folder.resolve() / "usd"),
        "max_texture_px": MAX_TEXTURE_PX,
    }
    result = run_usd("usd_writer", job, folder, limits=limits, progress=progress, read=(base,))
    low, high = (tuple(corner) for corner in result["bounds"])
    return UsdzFacts(tuple(result["errors"]), tuple(result["notes"]), low, high)


def run_usd(
    script: str,
    job: Mapping[str, Any],
    folder: Path,
    *,
    limits: Limits,
    progress: Progress = no_progress,
    read: Iterable[Path] = (),
) -> dict[str, Any]:
    """Run ``SCRIPT.py`` of this package on ``job`` in ``folder``, and return its result.

    The script can read ``folder`` and ``read``.

    Raises:
        ToolFailed: USD is not installed, or the script failed.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    if importlib.util.find_spec("pxr") is None:
        raise ToolFailed("USD is not installed; install it with: pip install 'heartwood[tools]'", tool="usd")
    folder.mkdir(parents=True, exist_ok=True)
    result_file = folder.resolve() / f"{script}-result.json"
    job_file = folder.resolve() / f"{script}.json"
    job_file.write_text(json.dumps({**job, "result": str(result_file)}), encoding="utf-8")
    result_file.unlink(missing_ok=True)
    command: list[str | Path] = [sys.executable, "-P", Path(__file__).with_name(f"{script}.py"), job_file]
    run_program("usd", command, folder, read=read, limits=limits, read_line=read_progress, progress=progress)
    result: dict[str, Any] = json.loads(result_file.read_text(encoding="utf-8"))
    return result
