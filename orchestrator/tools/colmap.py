"""Estimates camera poses with COLMAP (``pycolmap``), which runs in a child process."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import ToolFailed
from orchestrator.tools.child_process import run_child
from orchestrator.tools.program import read_progress

# A message reports that two neighbouring photos overlap too little if they have fewer verified matches. By default,
# COLMAP needs 15 verified matches to use a pair and 30 to place a photo.
MIN_MATCHES = 30
MAX_WEAK_PAIRS = 5  # maximum number of pairs named in one message
COUNTER = re.compile(r"\[(\d+)/(\d+)(?:,[^\]]*)?\]")
# The text before each of COLMAP's own counters, with its range of the total progress and its message.
COLMAP_PHASES = {"Processed file": (0.05, 0.3, "finding features"), "Processing": (0.3, 0.6, "matching photos")}


@dataclass(frozen=True)
class Poses:
    """The N cameras that were placed, in the order of the upload. The world has an arbitrary scale and orientation.

    Photos and masks are free of lens distortion and at most 2048 px on the longer side. Pixel coordinates follow
    COLMAP: the centre of the first pixel is (0.5, 0.5).
    """

    placed: tuple[int, ...]  # [N] indices into the given photos
    photos: tuple[Path, ...]  # [N] 8-bit RGB PNG
    color_photos: tuple[Path, ...]  # [N] photos for the texture; equal to ``photos`` if no others were given
    masks: tuple[Path, ...]  # [N] 8-bit grey PNG, 255 on the piece
    depths: tuple[Path, ...]  # [N] NPY, [h, w] float32 depth along the optical axis, 0 if unknown; empty without CUDA
    sizes: NDArray[np.int64]  # [N, 2] width, height
    intrinsics: NDArray[np.float64]  # [N, 3, 3] px
    world_to_camera: NDArray[np.float64]  # [N, 4, 4] OpenCV axes: +X right, +Y down, +Z forward
    points: NDArray[np.float64]  # [P, 3] triangulated points
    mean_reprojection_error_px: float
    match_counts: NDArray[np.int64]  # [M, M] verified matches between each two of the M given photos


def solve_poses(
    photos: Sequence[Path],
    masks: Sequence[Path],
    folder: Path,
    *,
    color_photos: Sequence[Path] = (),
    ordered: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Poses:
    """Estimate the cameras of ``photos`` by structure from motion with SIFT features.

    If the background has structure and changes between the photos, features are taken from the whole photo, because the
    background has more of them than a plain piece. If the background stays the same (turntable) or is plain, features
    are taken from the piece only. If one choice does not place all photos, the other one is tried too.

    Args:
        photos: any format that Pillow reads. EXIF orientation and focal length are used.
        masks: 8-bit, of the photos' sizes, 255 on the piece.
        folder: receives the files of the child process.
        color_photos: another version of each photo, such as a stained one, which gets the same undistortion.
        ordered: whether consecutive photos overlap, also the last and the first. Each photo is then matched with the
            next ones and, in most strategies, with the most similar ones, instead of with all similar photos.

    Raises:
        ToolFailed: COLMAP is not installed, crashed, or could place no photo; the message names the reason.
        DeadlineExceeded, Canceled: see ``run_program``.
    """
    if importlib.util.find_spec("pycolmap") is None:
        raise ToolFailed("COLMAP is not installed; run: pip install 'heartwood[tools]'", tool="colmap")
    files = {"photos": photos, "color_photos": color_photos, "masks": masks}
    job: dict[str, object] = {name: [str(path.resolve()) for path in paths] for name, paths in files.items()}
    job_file, job = folder / "colmap.json", {**job, "ordered": ordered}
    run_child("colmap", job_file, job, limits, progress, read_line=_read_line, read=chain(*files.values()))
    poses = read_poses(folder)
    if not poses.placed:
        raise ToolFailed(unplaced_message(poses), tool="colmap")
    return poses


def unplaced_message(poses: Poses, photo_indices: Sequence[int] = ()) -> str:
    """Return how many photos could not be placed and why. Photos are counted from 1 in the text.

    Example: "17 of 40 photos could not be placed: too little overlap between photos 12 and 13".

    Args:
        photo_indices: the upload index of each photo given to COLMAP; empty if all uploaded photos were given.
    """
    count = len(poses.match_counts)
    numbers = [index + 1 for index in photo_indices or range(count)]
    missing = sorted(set(range(count)) - set(poses.placed))
    unmatched = [photo for photo in missing if not poses.match_counts[photo].any()]
    pair_starts = [start % count for photo in missing if photo not in unmatched for start in (photo - 1, photo)]
    neighbours = [(start, (start + 1) % count) for start in dict.fromkeys(pair_starts)]
    weak_pairs = [(a, b) for a, b in neighbours if poses.match_counts[a, b] < MIN_MATCHES][:MAX_WEAK_PAIRS]
    reasons = [f"too little overlap between photos {numbers[a]} and {numbers[b]}" for a, b in weak_pairs]
    if len(unmatched) == count:
        reasons = [
            "no two photos have features in common; check that they are sharp and show the same piece, and that its "
            "surface or its surroundings have visible texture"
        ]
    elif unmatched:
        names = ", ".join(str(numbers[photo]) for photo in unmatched)
        reasons.append(
            f"no features in common with any other photo: photos {names}; check that they are sharp and show this piece"
        )
    reason = "; ".join(reasons) or "the photos overlap too little; take more photos, closer together"
    return f"{len(missing)} of {count} photos could not be placed: {reason}"


def read_poses(folder: Path) -> Poses:
    """Read the result of ``solve_poses`` from ``folder``, which may have been moved since.

    Jobs of earlier versions may have written the folder, so its file names and array names must not change.
    """
    with np.load(folder / "poses.npz") as arrays:
        placed = tuple(int(number) for number in arrays["placed"])
        photos, color_photos, masks, depths = (
            tuple(folder / "flat" / name.format(number) for number in placed)
            for name in ("photo-{:04d}.png", "look-{:04d}.png", "mask-{:04d}.png", "depth-{:04d}.npy")
        )
        return Poses(
            placed=placed,
            photos=photos,
            color_photos=color_photos if all(path.exists() for path in color_photos) else photos,
            masks=masks,
            depths=depths if all(path.exists() for path in depths) else (),
            sizes=arrays["sizes"],
            intrinsics=arrays["matrices"],
            world_to_camera=arrays["world_to_camera"],
            points=arrays["points"],
            mean_reprojection_error_px=float(arrays["error"]),
            match_counts=arrays["matches"],
        )


def _read_line(line: str) -> tuple[float, str] | None:
    """Return the progress that the child process or COLMAP itself reports."""
    for text, (start, end, message) in COLMAP_PHASES.items():
        if text in line and (match := COUNTER.search(line)):
            return start + (end - start) * int(match[1]) / max(int(match[2]), 1), message
    return read_progress(line)
