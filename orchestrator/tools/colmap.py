"""Where the cameras stood: COLMAP (``pycolmap``) in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.program import run_program

CHILD = "orchestrator.tools.colmap_child"
MIN_PHOTOS = 3
WEAK_MATCHES = 30
"""COLMAP asks for 15 verified matches to use a pair at all, and for 30 to place a photo."""
MAX_ADVICE = 5
SAID = re.compile(r"^PROGRESS (\d+(?:\.\d+)?) (.*)$")
COUNTED = re.compile(r"\[(\d+)/(\d+)(?:,[^\]]*)?\]")
PHASES = {"Processed file": (0.05, 0.3, "finding features"), "Processing": (0.3, 0.6, "matching the photos")}
"""What COLMAP prints before it counts, and where in the whole that is."""


@dataclass(frozen=True)
class Poses:
    """The cameras of the photos that could be placed. World: any scale, any direction. N of them, in upload order.

    Photos and masks are free of lens distortion and at most 2048 px long; pixels are counted as COLMAP does, the
    middle of the first is (0.5, 0.5).
    """

    placed: tuple[int, ...]  # [N] indices into the photos given
    photos: tuple[Path, ...]  # [N] 8-bit RGB PNG
    looks: tuple[Path, ...]  # [N] where the colours come from: the photos, where nothing else was given
    masks: tuple[Path, ...]  # [N] 8-bit grey PNG, 255 on the piece
    depths: tuple[Path, ...]  # [N] NPY of [h, w] float32, along the line of sight, 0 unknown; none without CUDA
    sizes: NDArray[np.int64]  # [N, 2] width, height
    matrices: NDArray[np.float64]  # [N, 3, 3] pinhole, px
    world_to_camera: NDArray[np.float64]  # [N, 4, 4] OpenCV axes: +X right, +Y down, +Z forward
    points: NDArray[np.float64]  # [P, 3] sparse points
    colors: NDArray[np.uint8]  # [P, 3] their sRGB
    seen: tuple[NDArray[np.int64], ...]  # [N] of the points that each photo saw, as indices
    mean_reprojection_error_px: float
    matches: NDArray[np.int64]  # [all, all] verified matches between the photos given
    masked: bool  # features were taken from the piece only, as the surroundings stood still or were plain

    @property
    def camera_to_world(self) -> NDArray[np.float64]:
        """[N, 4, 4]."""
        return np.asarray(np.linalg.inv(self.world_to_camera))


def solve_poses(
    photos: Sequence[Path],
    masks: Sequence[Path],
    folder: Path,
    *,
    looks: Sequence[Path] = (),
    ordered: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> Poses:
    """Place the cameras of ``photos`` by structure from motion.

    Features are SIFT. Where the surroundings have structure that moves with the camera they are used too: they hold
    more than a plain piece does. Where they stand still (a turntable) or are plain, only the piece counts. If the one
    leaves photos out, the other is tried as well.

    Args:
        photos: any format that Pillow reads; EXIF rotation and focal length are used.
        masks: 8-bit, of the photos' sizes, 255 on the piece.
        folder: gets the program's files.
        looks: another picture of each photo, such as a stained one, to be freed of distortion alike; or none.
        ordered: the photos were taken one beside the next; only neighbours are matched, and what closes the loop.

    Raises:
        InvalidInput: fewer than 3 photos.
        ToolFailed: COLMAP is not installed, crashed, or could place no photo; the message says what to shoot again.
        DeadlineExceeded, Canceled: as in ``run_program``.
    """
    if len(photos) < MIN_PHOTOS:
        raise InvalidInput("photos", f"{len(photos)} given; photogrammetry needs at least {MIN_PHOTOS}, better 30")
    if importlib.util.find_spec("pycolmap") is None:
        raise ToolFailed("COLMAP is not installed: pip install 'heartwood[tools]'", tool="colmap")
    folder.mkdir(parents=True, exist_ok=True)
    job = {
        "folder": str(folder.resolve()),
        "photos": [str(path.resolve()) for path in photos],
        "looks": [str(path.resolve()) for path in looks],
        "masks": [str(path.resolve()) for path in masks],
        "ordered": ordered,
    }
    job_file = folder / "colmap.json"
    job_file.write_text(json.dumps(job), encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-P", "-m", CHILD, job_file.resolve()]
    run_program("colmap", command, folder, limits=limits, read_line=_read_line, progress=progress)
    poses = read_poses(folder)
    if not poses.placed:
        raise ToolFailed(not_placed(poses), tool="colmap")
    return poses


def not_placed(poses: Poses, numbers: Sequence[int] = ()) -> str:
    """How many photos could not be placed, and why: "17 of 40 photos could not be placed: too little overlap …".

    Args:
        numbers: what the caller calls the photos, where that is not their index.
    """
    count = len(poses.matches)
    why = "; ".join(weak_spots(poses, numbers))
    return f"{count - len(poses.placed)} of {count} photos could not be placed: {why}"


def weak_spots(poses: Poses, numbers: Sequence[int] = ()) -> tuple[str, ...]:
    """Where too little overlap keeps photos from being placed, as people count photos; nothing if all are."""
    count = len(poses.matches)
    numbers = numbers or range(count)
    missing = sorted(set(range(count)) - set(poses.placed))
    if not missing:
        return ()
    lonely = [number for number in missing if not poses.matches[number].any()]
    if len(lonely) == count:
        return ("they have nothing in common: are they sharp, of one piece, and does it have any pattern to go by?",)
    advice = []
    for number in missing:
        for a, b in (((number - 1) % count, number), (number, (number + 1) % count)):
            if number not in lonely and poses.matches[a, b] < WEAK_MATCHES:
                advice.append(f"too little overlap between photos {numbers[a] + 1} and {numbers[b] + 1}")
    advice = list(dict.fromkeys(advice))[:MAX_ADVICE]
    if lonely:
        names = ", ".join(str(numbers[number] + 1) for number in lonely)
        advice.append(f"nothing in common with any other have photos {names}: are they sharp, and of this piece?")
    return tuple(advice) or ("they have too little in common: take more, closer together",)


def _read_line(line: str) -> tuple[float, str] | None:
    if match := SAID.match(line):
        return min(float(match[1]), 1.0), match[2]
    for words, (start, end, message) in PHASES.items():
        if words in line and (match := COUNTED.search(line)):
            return start + (end - start) * int(match[1]) / max(int(match[2]), 1), message
    return None


def read_poses(folder: Path) -> Poses:
    """Read what ``solve_poses`` left in ``folder``, wherever it was moved to since."""
    with np.load(folder / "poses.npz") as found:
        placed = tuple(int(number) for number in found["placed"])
        if not placed:
            nothing = np.zeros((0, 3))
            return Poses(
                (), (), (), (), (), np.zeros((0, 2), np.int64), np.zeros((0, 3, 3)), np.zeros((0, 4, 4)), nothing,
                nothing.astype(np.uint8), (), 0.0, found["matches"], False,
            )  # fmt: skip
        owner, point = found["seen_photo"], found["seen_point"]
        depths = [folder / "flat" / f"depth-{number:04d}.npy" for number in placed]
        look = "look" if (folder / "flat" / f"look-{placed[0]:04d}.png").exists() else "photo"
        return Poses(
            placed=placed,
            photos=tuple(folder / "flat" / f"photo-{number:04d}.png" for number in placed),
            looks=tuple(folder / "flat" / f"{look}-{number:04d}.png" for number in placed),
            masks=tuple(folder / "flat" / f"mask-{number:04d}.png" for number in placed),
            depths=tuple(depths) if all(one.exists() for one in depths) else (),
            sizes=found["sizes"],
            matrices=found["matrices"],
            world_to_camera=found["world_to_camera"],
            points=found["points"],
            colors=found["colors"],
            seen=tuple(np.asarray(point[owner == row], np.int64) for row in range(len(placed))),
            mean_reprojection_error_px=float(found["error"]),
            matches=found["matches"],
            masked=bool(found["masked"]),
        )
