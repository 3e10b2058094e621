"""Measures how sensitive the reconstruction from one photo is to its empirical constants.

python -m tests.benchmarks.single_image_constants [--pictures DIR] [--only MODULE.NAME …] [--json FILE]

The pieces, photos and scores are those of ``single_image``. Each constant is set to half and to double its value, or to
the factors in CONSTANTS where these are not sensible. The figures are the mean scores of all pieces at PREVIEW
resolution, before the mesh is smoothed and simplified. A run takes about two minutes per value on one core.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from orchestrator.domain.progress import no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import Mode, ReconstructOptions
from orchestrator.stages.reconstruct.single_image.local import estimate_shape
from orchestrator.stages.reconstruct.single_image.photo import read_photo
from orchestrator.stages.reconstruct.task import ReconstructTask
from tests.benchmarks.furniture.catalogue import read_picks
from tests.benchmarks.orbit.photos import Orbit, render_orbit
from tests.benchmarks.report import Figure, report
from tests.benchmarks.single_image import Score, evaluate
from tests.support.painted_mesh import PaintedMesh

PACKAGE = "orchestrator.stages.reconstruct.single_image"
HALF_AND_DOUBLE = (0.5, 2.0)
CONSTANTS = {
    "symmetry.LOSS_WEIGHT": HALF_AND_DOUBLE,
    "symmetry.MAX_EXTRA_LOSS": HALF_AND_DOUBLE,
    "symmetry.MAX_MIRROR_OFFSET": HALF_AND_DOUBLE,
    "symmetry.FULL_WIDTH": (0.5, 1.25),
    "symmetric_hull.HOLE_WEIGHT": HALF_AND_DOUBLE,
    "symmetric_hull.SYMMETRY_BONUS": HALF_AND_DOUBLE,
    "shape_priors.BACK_THICKNESS": HALF_AND_DOUBLE,
    "shape_priors.MIN_BACK_SHARE": (0.5, 1.25),
    "shape_priors.MAX_NARROW_HOLE_VOXELS": HALF_AND_DOUBLE,
    "shape_priors.PHANTOM_REACH": (0.5, 1.25),
    "camera_estimation.CUT_WEIGHT": HALF_AND_DOUBLE,
    "camera_estimation.LINE_WEIGHT": HALF_AND_DOUBLE,
    "camera_estimation.PRIOR_WEIGHT": HALF_AND_DOUBLE,
    "camera_estimation.SLACK_SCALE": HALF_AND_DOUBLE,
    "camera_estimation.ROUND_PENALTY": HALF_AND_DOUBLE,
}
"""Module and name of each constant, and the factors by which it is multiplied."""


@contextmanager
def scaled(constant: str, factor: float) -> Iterator[None]:
    """Multiply a constant by ``factor`` during the ``with`` block, also in modules that imported it."""
    module_name, name = constant.split(".")
    original = getattr(importlib.import_module(f"{PACKAGE}.{module_name}"), name)
    modules = [importlib.import_module(f"{PACKAGE}.{entry.split('.')[0]}") for entry in CONSTANTS]
    changed = [module for module in modules if getattr(module, name, None) == original]
    for module in changed:
        setattr(module, name, original * factor)
    try:
        yield
    finally:
        for module in changed:
            setattr(module, name, original)


def reconstruct(orbit: Orbit) -> Score:
    options = ReconstructOptions(mode=Mode.SINGLE_IMAGE)
    task = ReconstructTask(orbit.photos, orbit.masks, options, Quality.PREVIEW, orbit.photos[0].parent)
    photo = read_photo(orbit.photos[0], orbit.masks[0], None)
    hull, view = estimate_shape(task, photo, no_progress)
    score, _ = evaluate(orbit, PaintedMesh(hull.vertices, hull.triangles), view.camera.resized(*orbit.size))
    return score


def mean_figures(name: str, orbits: list[Orbit]) -> list[Figure]:
    scores = [reconstruct(orbit) for orbit in orbits]
    others = [float(np.mean(score.others)) for score in scores]
    return [
        Figure(f"{name}: IoU from the given view, mean", float(np.mean([score.given for score in scores]))),
        Figure(f"{name}: IoU over eight other views, mean", float(np.mean(others))),
        Figure(f"{name}: IoU over eight other views, lowest piece", min(others)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("build/single_image"), help="photos of ``single_image``")
    parser.add_argument("--only", nargs="*", default=list(CONSTANTS), choices=list(CONSTANTS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    orbits = [
        render_orbit(
            pick["name"],
            arguments.pictures / pick["name"],
            [(pick["azimuth_deg"], pick["elevation_deg"])],
            turntable=True,
        )
        for pick in read_picks()["pick"]
    ]
    figures = mean_figures("all as they are", orbits)
    for constant in arguments.only:
        for factor in CONSTANTS[constant]:
            with scaled(constant, factor):
                figures += mean_figures(f"{constant} × {factor:g}", orbits)
            print(figures[-2].name, f"{figures[-2].value:.4f}", flush=True)
    report("single_image_constants", figures, arguments.json)


if __name__ == "__main__":
    main()
