"""Places the cameras of a job's photos with COLMAP.

Writes ``poses.npz`` and the undistorted photos and masks into the job's folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap

from orchestrator.tools.child_process import report
from orchestrator.tools.colmap_child.features import Strategy, extract_features, match_features
from orchestrator.tools.colmap_child.input_photos import background_moves, prepare_color_photo, prepare_photo
from orchestrator.tools.colmap_child.output import intrinsics_of, pose_of, write_depth_maps, write_poses
from orchestrator.tools.colmap_child.silhouette_consistency import inconsistent_photos, silhouette_coverage

WHOLE_PHOTO = Strategy("whole photo", on_piece=False)
PIECE = Strategy("piece", on_piece=True)
PIECE_POOLED_NEIGHBOURS = Strategy("piece, pooled, neighbours only", on_piece=True, pool_sizes=True, far_pairs=False)
PIECE_POOLED = Strategy("piece, pooled", on_piece=True, pool_sizes=True)
MOVING_BACKGROUND_STRATEGIES = (WHOLE_PHOTO, PIECE)
STATIC_BACKGROUND_STRATEGIES = (PIECE, PIECE_POOLED_NEIGHBOURS, PIECE_POOLED, WHOLE_PHOTO)
# Minimum mean silhouette coverage to accept a solution without trying further strategies. On the turntables of the
# benchmark ``photogrammetry``, correct cameras reached 0.99 and solutions that were wrong as a whole stayed under 0.70.
# A solution with a few photos up to 26° off reached 0.97, so it is accepted too. The limit is below 1 to allow for
# errors of the masks.
GOOD_COVERAGE = 0.95
SEEDS = (1, 2)  # the incremental mapper starts from a different pair for each seed
MIN_INITIAL_INLIERS = 50  # minimum number of verified matches of the first pair; half of COLMAP's default
MIN_POSE_INLIERS = 15  # matches to place a photo; half of COLMAP's default: a chair's narrow side shows few features
MIN_PHOTOS = 3  # smaller reconstructions are dropped
# Reprojection error up to which a match counts in full. Larger errors have a bounded influence. Highlights cause them
# on a turntable, because they stay with the lamps while the piece turns.
ROBUST_LOSS_SCALE_PX = 0.5


@dataclass(frozen=True)
class Solution:
    """A COLMAP reconstruction and how well it agrees with the masks."""

    reconstruction: Any  # pycolmap.Reconstruction
    strategy: Strategy
    database: Path
    photos: int  # number of placed photos
    coverage: float  # mean silhouette coverage of the placed photos

    @property
    def score(self) -> float:
        """The number of placed photos, reduced by the share of the silhouettes that the cameras contradict."""
        return self.photos * self.coverage


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    for name in ("images", "looks", "masks", "flat", "global", "incremental"):
        (folder / name).mkdir(exist_ok=True)
    pycolmap.set_random_seed(SEEDS[0])
    report(0.0, "reading the photos")
    photos = enumerate(zip(job["photos"], job["masks"], strict=True))
    focal_lengths = [prepare_photo(folder, number, photo, mask) for number, (photo, mask) in photos]
    for number, color_photo in enumerate(job["color_photos"]):
        prepare_color_photo(folder, number, color_photo)
    count = len(focal_lengths)
    strategies = MOVING_BACKGROUND_STRATEGIES if background_moves(folder, count) else STATIC_BACKGROUND_STRATEGIES
    known_lens = all(focal > 0 for focal in focal_lengths)
    solution = solve(folder, focal_lengths, job["ordered"], known_lens, strategies)
    report(0.9, "adjusting the cameras")
    if solution is None:
        write_poses(folder, count, pycolmap.Reconstruction())
        return
    adjust_bundle(solution.reconstruction, keep_lens=solution.strategy.on_piece and known_lens)
    remove_inconsistent_photos(folder, solution.reconstruction)
    write_poses(folder, count, solution.reconstruction, solution.database)
    if pycolmap.has_cuda:
        report(0.96, "measuring depths on the GPU")
        write_depth_maps(folder, solution.reconstruction)


def solve(
    folder: Path, focal_lengths: list[float], ordered: bool, known_lens: bool, strategies: tuple[Strategy, ...]
) -> Solution | None:
    """Return the first solution that places all cameras in agreement with the masks, otherwise the best, if any."""
    solutions: list[Solution] = []
    best = None
    for strategy in strategies:
        if not (strategy.far_pairs or ordered):
            continue  # unordered photos have no neighbours
        where = "on the piece" if strategy.on_piece else "in the whole photos"
        database = folder / f"{strategy.feature_set}.db"
        if not database.exists():
            report(0.05, f"finding features {where}")
            extract_features(folder, database, focal_lengths, strategy)
        report(0.3, f"matching photos by features {where}")
        match_features(folder, database, ordered, strategy.far_pairs)
        report(0.6, f"placing cameras by features {where}")
        for candidates in reconstructions(folder, database, strategy.on_piece, known_lens):
            solutions += [evaluate(folder, candidate, strategy, database) for candidate in candidates]
            best = max(solutions, key=lambda solution: solution.score, default=None)
            if best is not None and best.photos == len(focal_lengths) and best.coverage >= GOOD_COVERAGE:
                return best
    return best


def reconstructions(folder: Path, database: Path, on_piece: bool, known_lens: bool) -> Iterator[list[Any]]:
    """Yield the result of each mapper: one reconstruction, or several that are not connected.

    With features of the whole photo, global mapping runs first (GLOMAP, Pan et al. 2024), then incremental mapping.
    With the few features of a plain piece, only incremental mapping runs, from several first pairs, because a global
    solution also fits wrong matches and then places every photo wrongly. Focal lengths from EXIF are kept then, because
    few features do not determine both focal length and distance, and a wrong focal length bends the orbit.
    """
    if not on_piece:
        yield map_globally(folder, database)
    for seed in SEEDS:
        yield map_incrementally(folder, database, on_piece and known_lens, seed)


def map_globally(folder: Path, database: Path) -> list[Any]:
    options = pycolmap.GlobalPipelineOptions(random_seed=SEEDS[0])
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    pycolmap.calibrate_view_graph(database)
    return list(pycolmap.global_mapping(database, folder / "images", folder / "global", options).values())


def map_incrementally(folder: Path, database: Path, keep_lens: bool, seed: int) -> list[Any]:
    options = pycolmap.IncrementalPipelineOptions(random_seed=seed, min_model_size=MIN_PHOTOS)
    options.mapper.init_min_num_inliers = MIN_INITIAL_INLIERS
    options.mapper.abs_pose_min_num_inliers = MIN_POSE_INLIERS
    options.ba_refine_focal_length = options.ba_refine_extra_params = not keep_lens
    options.mapper.abs_pose_refine_focal_length = options.mapper.abs_pose_refine_extra_params = not keep_lens
    return list(pycolmap.incremental_mapping(database, folder / "images", folder / "incremental", options).values())


def adjust_bundle(reconstruction: Any, keep_lens: bool) -> None:
    """Adjust all cameras with a robust loss (Cauchy), which halves the remaining error."""
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    options.refine_focal_length = options.refine_extra_params = not keep_lens
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = ROBUST_LOSS_SCALE_PX
    pycolmap.bundle_adjustment(reconstruction, options)


def evaluate(folder: Path, reconstruction: Any, strategy: Strategy, database: Path) -> Solution:
    coverages = coverage_by_image(folder, reconstruction)
    mean_coverage = float(np.mean(list(coverages.values())))
    print(f"{strategy.name}: {len(coverages)} photos placed, silhouette coverage {mean_coverage:.1%}", flush=True)
    return Solution(reconstruction, strategy, database, len(coverages), mean_coverage)


def coverage_by_image(folder: Path, reconstruction: Any) -> dict[int, float]:
    """Return the silhouette coverage of each placed photo by its COLMAP image id."""
    images = [image for image in reconstruction.images.values() if image.has_pose]
    masks = [np.asarray(cv2.imread(str(folder / "masks" / f"{image.name}.png"), 0), np.uint8) for image in images]
    intrinsics = [intrinsics_of(reconstruction.cameras[image.camera_id]) for image in images]
    coverages = silhouette_coverage(intrinsics, [pose_of(image) for image in images], masks)
    return {image.image_id: float(coverage) for image, coverage in zip(images, coverages, strict=True)}


def remove_inconsistent_photos(folder: Path, reconstruction: Any) -> None:
    """Remove the few photos whose masks contradict all others."""
    coverages = coverage_by_image(folder, reconstruction)
    for number in inconsistent_photos(list(coverages.values())):
        image = reconstruction.images[list(coverages)[number]]
        print(f"{image.name} removed: silhouette coverage {coverages[image.image_id]:.1%}", flush=True)
        reconstruction.deregister_frame(image.frame_id)


if __name__ == "__main__":
    main()
