"""A radiance field with a surface, learned from photos with known cameras: PyTorch in a process of its own.

No library that is kept up fits: nerfstudio, nerfacc and tiny-cuda-nn need CUDA. ``nerf_child`` is short and follows
NeuS (Wang et al. 2021), DVGO (Sun et al. 2022) and Voxurf (Wu et al. 2022); it runs on CUDA and on the CPU.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.program import run_program

CHILD = "orchestrator.tools.nerf_child"
SAID = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")
MIN_VIEWS = 3
CALM = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads that wait sleep: where the cores are shared, waiting threads that spin make each step ten times slower."""


@dataclass(frozen=True)
class Views:
    """Pinhole cameras without distortion; N of them. Pixels are counted as COLMAP does."""

    matrices: NDArray[np.float64]  # [N, 3, 3] px
    world_to_camera: NDArray[np.float64]  # [N, 4, 4] OpenCV axes: +X right, +Y down, +Z forward
    sizes: NDArray[np.int64]  # [N, 2] width, height


@dataclass(frozen=True)
class Training:
    """How finely and how long a field is learned. It ends after ``steps`` or ``seconds``, whichever comes first.

    Where a busy machine makes hardly a step in that time, it goes on for a hundred steps at each of three resolutions.
    """

    seconds: float = 540.0  # of this machine's time, from reading the photos to the last step
    steps: int = 12_000
    voxels: int = 176  # along the longest side of the piece's box; GPU_FINER times as many where there is CUDA
    photo_px: int = 400  # the photos are used at most this large; GPU_FINER times where there is CUDA
    rays: int = 4096  # pixels looked at in a step
    seed: int = 1  # draws the same pixels; sums are added in any order, so that two runs differ a little


@dataclass(frozen=True)
class Surface:
    """The learned surface: where ``distance`` is 0."""

    distance: NDArray[np.float32]  # [X, Y, Z] signed, in voxels, negative inside
    low: NDArray[np.float64]  # [3] world, where the first value stands
    voxel: float  # world length between values


def train_field(
    photos: Sequence[Path],
    masks: Sequence[Path],
    views: Views,
    training: Training,
    folder: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Surface:
    """Learn the field and return its surface; ``folder`` keeps both, and a killed run goes on where it stopped.

    Args:
        photos: of the size that ``views`` says, 8-bit RGB, without lens distortion.
        masks: 8-bit grey of the same sizes, 255 on the piece.

    Raises:
        InvalidInput: fewer than 3 photos.
        ToolFailed: PyTorch is not installed, the masks show no common piece, or the process died.
        DeadlineExceeded, Canceled: as in ``run_program``.
    """
    if len(photos) < MIN_VIEWS:
        raise InvalidInput("photos", f"{len(photos)} given; a radiance field needs at least {MIN_VIEWS}, better 40")
    if not (folder / "surface.npz").exists():
        job = {
            "verb": "train",
            "photos": [str(path.resolve()) for path in photos],
            "masks": [str(path.resolve()) for path in masks],
            **asdict(training),
        }
        _run(job, views, folder, limits, progress)
    with np.load(folder / "surface.npz") as found:
        return Surface(found["distance"], found["low"].astype(np.float64), float(found["voxel"]))


def render_field(
    views: Views,
    folder: Path,
    names: Sequence[str],
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> tuple[Path, ...]:
    """Write what ``views`` see of the field in ``folder`` there: RGBA PNG files called ``names``; those there stay.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: as in ``train_field``.
    """
    left = [number for number, name in enumerate(names) if not (folder / name).exists()]
    if left:
        rest = Views(views.matrices[left], views.world_to_camera[left], views.sizes[left])
        _run({"verb": "render", "names": [names[number] for number in left]}, rest, folder, limits, progress)
    return tuple(folder / name for name in names)


def _run(job: dict[str, object], views: Views, folder: Path, limits: Limits, progress: Progress) -> None:
    if importlib.util.find_spec("torch") is None:
        raise ToolFailed("PyTorch is not installed: pip install 'heartwood[nerf]'", tool="nerf")
    folder.mkdir(parents=True, exist_ok=True)
    where = {
        "folder": str(folder.resolve()),
        "matrices": views.matrices.tolist(),
        "world_to_camera": views.world_to_camera.tolist(),
        "sizes": views.sizes.tolist(),
    }
    job_file = folder / f"{job['verb']}.json"
    job_file.write_text(json.dumps({**job, **where}), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-P", "-m", CHILD, job_file.resolve()]
    run_program("nerf", command, folder, limits=limits, environment=CALM, read_line=_read_line, progress=progress)


def _read_line(line: str) -> tuple[float, str] | None:
    match = SAID.match(line)
    return (min(float(match[1]), 1.0), match[2]) if match else None
