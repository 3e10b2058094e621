"""From matches to cameras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycolmap

SEEDS = (1, 2)
START_INLIERS, PLACE_INLIERS = 50, 15
"""Matches to start from and to place a photo; half of COLMAP's, as a narrow side of a chair shows few features."""
MATCH_ERROR_PX = 0.5
"""Of a good match; the pull of worse ones is bounded. Highlights stay where the lamps are while the piece turns."""


def models_of(folder: Path, database: Path, on_piece: bool, known_lens: bool) -> Iterator[list[Any]]:
    """Yield what each mapper makes of the matches: one model, or several that do not hang together.

    With the surroundings first global mapping (GLOMAP, Pan et al. 2024), then incremental. On the few features of a
    plain piece a global solution fits wrong matches too and then places every photo wrongly: there only the incremental
    one is used, from several first pairs. It keeps a lens that EXIF tells: few features can't tell focal length from
    distance, and a wrong one bends the turn.
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
    options = pycolmap.IncrementalPipelineOptions(random_seed=seed, min_model_size=3)
    options.mapper.init_min_num_inliers, options.mapper.abs_pose_min_num_inliers = START_INLIERS, PLACE_INLIERS
    options.ba_refine_focal_length = options.ba_refine_extra_params = not keep_lens
    options.mapper.abs_pose_refine_focal_length = options.mapper.abs_pose_refine_extra_params = not keep_lens
    output = folder / "incremental"
    output.mkdir(exist_ok=True)
    return list(pycolmap.incremental_mapping(database, folder / "images", output, options).values())


def refine(model: Any, keep_lens: bool) -> None:
    """Adjust all cameras once more, with a loss that few wrong matches can't pull (Cauchy); halves what is left."""
    options = pycolmap.BundleAdjustmentOptions(print_summary=False)
    options.refine_focal_length = options.refine_extra_params = not keep_lens
    options.ceres.loss_function_type, options.ceres.loss_function_scale = (
        pycolmap.LossFunctionType.CAUCHY,
        MATCH_ERROR_PX,
    )
    pycolmap.bundle_adjustment(model, options)
