"""Computes cameras from matches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycolmap

SEEDS = (1, 2)
"""Each seed lets the incremental mapper start from another pair."""
MIN_INITIAL_INLIERS = 50
"""Minimum number of verified matches of the first pair. Half of COLMAP's default."""
MIN_POSE_INLIERS = 15
"""Minimum number of matches to place a photo. Half of COLMAP's default: a chair's narrow side shows few features."""
MIN_PHOTOS = 3
"""Smaller reconstructions are dropped."""
ROBUST_LOSS_SCALE_PX = 0.5
"""Reprojection error up to which a match counts in full. The pull of larger errors is bounded.

Highlights cause such errors on a turntable: they stay with the lamps while the piece turns.
"""


def reconstructions(folder: Path, database: Path, on_piece: bool, known_lens: bool) -> Iterator[list[Any]]:
    """Yield the result of each mapper: one reconstruction, or several that are not connected.

    With features of the whole photo, global mapping runs first (GLOMAP, Pan et al. 2024), then incremental mapping.
    With the few features of a plain piece, only incremental mapping runs, from several first pairs: a global solution
    fits wrong matches too and then places every photo wrongly. It keeps a focal length from EXIF, because few
    features cannot tell focal length from distance, and a wrong focal length bends the orbit.
    """
    if not on_piece:
        yield map_globally(folder, database)
    for seed in SEEDS:
        yield map_incrementally(folder, database, on_piece and known_lens, seed)


def map_globally(folder: Path, database: Path) -> list[Any]:
    options = pycolmap.GlobalPipelineOptions(random_seed=SEEDS[0])
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    output = folder / "global"
    output.mkdir(exist_ok=True)
    pycolmap.calibrate_view_graph(database)
    return list(pycolmap.global_mapping(database, folder / "images", output, options).values())


def map_incrementally(folder: Path, database: Path, keep_lens: bool, seed: int) -> list[Any]:
    options = pycolmap.IncrementalPipelineOptions(random_seed=seed, min_model_size=MIN_PHOTOS)
    options.mapper.init_min_num_inliers = MIN_INITIAL_INLIERS
    options.mapper.abs_pose_min_num_inliers = MIN_POSE_INLIERS
    options.ba_refine_focal_length = not keep_lens
    options.ba_refine_extra_params = not keep_lens
    options.mapper.abs_pose_refine_focal_length = not keep_lens
    options.mapper.abs_pose_refine_extra_params = not keep_lens
    output = folder / "incremental"
    output.mkdir(exist_ok=True)
    return list(pycolmap.incremental_mapping(database, folder / "images", output, options).values())


def adjust_bundle(reconstruction: Any, keep_lens: bool) -> None:
    """Adjust all cameras with a robust loss (Cauchy), which halves the remaining error."""
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    options.refine_focal_length = not keep_lens
    options.refine_extra_params = not keep_lens
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = ROBUST_LOSS_SCALE_PX
    pycolmap.bundle_adjustment(reconstruction, options)
