"""Trains and renders a radiance field with a surface. PyTorch runs in a child process.

Libraries such as nerfstudio, nerfacc and tiny-cuda-nn require CUDA. ``nerf_child`` is a short implementation that runs
on CUDA and on the CPU. It follows NeuS (Wang et al. 2021), DVGO (Sun et al. 2022) and Voxurf (Wu et al. 2022).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.child_process import run_child

MIN_VIEWS = 3
# Waiting OpenMP threads sleep. On shared cores, threads that spin make each step ten times slower.
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Views:
    """N pinhole cameras without lens distortion. The centre of the first pixel is (0.5, 0.5)."""

    intrinsics: NDArray[np.float64]  # [N, 3, 3] px
    world_to_camera: NDArray[np.float64]  # [N, 4, 4] OpenCV axes: +X right, +Y down, +Z forward
    sizes: NDArray[np.int64]  # [N, 2] width, height


@dataclass(frozen=True)
class Training:
    """Resolution and duration of a training. It ends after ``steps`` or ``seconds``, whichever comes first.

    On a slow machine it continues beyond ``seconds`` until each of the three resolutions has had 100 steps.
    """

    seconds: float = 540.0  # wall time from reading the photos to the last step
    steps: int = 12_000
    voxels: int = 176  # along the longest side of the piece's box; with CUDA 1.6 times as many
    photo_px: int = 400  # maximum longer side of the photos; with CUDA 1.6 times as long
    rays: int = 4096  # pixels per step
    seed: int = 1  # for the random pixels; two runs still differ slightly, because parallel sums have no fixed order


@dataclass(frozen=True)
class Surface:
    """A signed distance on a regular grid. The surface is where it is 0."""

    distance: NDArray[np.float32]  # [X, Y, Z] in voxels, negative inside
    low: NDArray[np.float64]  # [3] position of the first value in the world
    voxel: float  # distance between values in the world


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
    """Train a field and return its surface.

    ``folder`` keeps checkpoints and the result, so that an interrupted training continues with the same call.

    Args:
        photos: 8-bit RGB, of the sizes in ``views``, without lens distortion.
        masks: 8-bit grey of the same sizes, 255 on the piece.

    Raises:
        InvalidInput: fewer than 3 photos.
        ToolFailed: PyTorch is not installed, the masks do not overlap in space, or the process failed.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    if len(photos) < MIN_VIEWS:
        rule = f"a radiance field needs at least {MIN_VIEWS} photos, 40 are recommended"
        raise InvalidInput("photos", f"{len(photos)} given; {rule}")
    if not (folder / "surface.npz").exists():
        job = {
            "photos": [str(path.resolve()) for path in photos],
            "masks": [str(path.resolve()) for path in masks],
            "training": asdict(training),
        }
        _run_child("train", job, views, folder, limits, progress, read=(*photos, *masks))
    with np.load(folder / "surface.npz") as arrays:
        return Surface(arrays["distance"], arrays["low"].astype(np.float64), float(arrays["voxel"]))


def render_field(
    views: Views,
    folder: Path,
    names: Sequence[str],
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> tuple[Path, ...]:
    """Render the trained field in ``folder`` from ``views`` to RGBA PNG files ``names`` there. Existing files are kept.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: see ``train_field``.
    """
    missing = [number for number, name in enumerate(names) if not (folder / name).exists()]
    if missing:
        missing_views = Views(views.intrinsics[missing], views.world_to_camera[missing], views.sizes[missing])
        job = {"names": [names[number] for number in missing]}
        _run_child("render", job, missing_views, folder, limits, progress)
    return tuple(folder / name for name in names)


def _run_child(
    command: str,
    job: Mapping[str, object],
    views: Views,
    folder: Path,
    limits: Limits,
    progress: Progress,
    read: Sequence[Path] = (),
) -> None:
    if importlib.util.find_spec("torch") is None:
        raise ToolFailed("PyTorch is not installed; run: pip install 'heartwood[nerf]'", tool="nerf")
    job = {**job, "command": command, "cameras": {name: array.tolist() for name, array in vars(views).items()}}
    run_child("nerf", folder / f"{command}.json", job, limits, progress, ENVIRONMENT, read=read)
