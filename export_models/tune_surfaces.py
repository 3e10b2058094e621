"""Tune the weights by which evidence is pooled over surfaces (`orchestrator.imaging.surfaces`).

python -m export_models.tune_surfaces --data DIR [--split catalogue-validation] [--version 2] [--rounds 3]

Changes one weight at a time, on rendered images that neither training nor the test uses, and prints the best weights
with their figures. Copy them to `WEIGHTS` in `orchestrator.imaging.surfaces`. The objective is the smaller of
`whole_wood` and `whole_other`, plus `wood_iou`, of `export_models.evaluate`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from export_models.dataset.generate import IMAGE_SPLITS
from export_models.dataset.samples import Sample, read_sample
from export_models.evaluate import (
    MAX_WHOLE,
    MIN_SURFACE_SHARE,
    MIN_WHOLE,
    WOOD,
    Predictor,
    material_maps,
    onnx_predictor,
    simulate_photo,
)
from export_models.export import REPOSITORY
from export_models.metrics import label_surfaces
from orchestrator.imaging.refine import PIECE_EDGE
from orchestrator.imaging.surfaces import WEIGHTS, Evidence, Weights, collect_evidence, piece_box, pool

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.33, 2.0, 4.0)
"""Factors by which each weight is multiplied in turn."""
BIASES = (-1.5, -0.5, 0.5, 1.5)
"""Values that are added to the bias."""


@dataclass(frozen=True)
class Case:
    """One image. Pixels outside the predicted piece are not wood."""

    evidence: Evidence
    wood: NDArray[np.float64]  # [R] pixels of true wood in each region
    other: NDArray[np.float64]  # [R] other pixels in each region
    missed: int  # pixels of true wood outside the predicted piece
    surfaces: NDArray[np.float64]  # [S, R] share of each large true surface that lies in each region
    is_wood: NDArray[np.bool_]  # [S]


def make_case(sample: Sample, predict: Predictor) -> Case:
    """Collect the evidence and the ground truth of one image."""
    _, photo = simulate_photo(sample)
    maps = material_maps(predict(photo))
    evidence = collect_evidence(photo, maps)
    rows, columns = piece_box(maps)
    regions = np.full(maps.wood.shape, -1, np.int32)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    regions[rows, columns] = cv2.resize(evidence.regions.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
    regions[maps.foreground <= PIECE_EDGE] = -1
    count = len(evidence.area)
    truth = sample.foreground & (sample.material == WOOD)
    material = np.where(sample.foreground, sample.material, 0).astype(np.uint8)
    labels = label_surfaces(sample.component, material, sample.normal)
    area = np.bincount(labels.ravel())
    large = [label for label in np.unique(labels[sample.foreground]) if area[label] >= MIN_SURFACE_SHARE * labels.size]
    inside = regions >= 0
    return Case(
        evidence,
        np.bincount(regions[inside & truth], minlength=count).astype(np.float64),
        np.bincount(regions[inside & ~truth], minlength=count).astype(np.float64),
        int((truth & ~inside).sum()),
        np.array(
            [np.bincount(regions[inside & (labels == label)], minlength=count) / area[label] for label in large]
        ).reshape(-1, count),
        np.array([bool(truth[labels == label].any()) for label in large], bool),
    )


def figures(cases: Iterable[Case], weights: Weights) -> dict[str, float]:
    """Return ``whole_wood``, ``whole_other`` and ``wood_iou`` with these weights."""
    whole_wood, whole_other, ious = [], [], []
    for case in cases:
        found = pool(case.evidence, weights)[:, WOOD] > 0
        share = case.surfaces @ found
        whole_wood += list(share[case.is_wood] >= MIN_WHOLE)
        whole_other += list(share[~case.is_wood] <= MAX_WHOLE)
        union = case.wood.sum() + case.missed + case.other @ found
        if case.wood.sum() + case.missed > 0:
            ious.append(float(case.wood @ found / union))
    return {
        "whole_wood": float(np.mean(whole_wood)),
        "whole_other": float(np.mean(whole_other)),
        "wood_iou": float(np.mean(ious)),
    }


def neighbours(weights: Weights) -> list[Weights]:
    """Return all weights that differ from ``weights`` in one value."""
    values = asdict(weights)
    changed = [{name: value * factor} for name, value in values.items() if name != "bias" for factor in FACTORS]
    changed += [{"bias": weights.bias + step} for step in BIASES]
    return [replace(weights, **change) for change in changed]


def tune(cases: Sequence[Case], start: Weights, rounds: int) -> Weights:
    """Replace the weights by their best neighbour, ``rounds`` times or until no neighbour is better."""

    def objective(weights: Weights) -> float:
        values = figures(cases, weights)
        return min(values["whole_wood"], values["whole_other"]) + values["wood_iou"]

    best = start
    for _ in range(rounds):
        candidate = max(neighbours(best), key=objective)
        if objective(candidate) <= objective(best):
            break
        best = candidate
        print(describe(best, figures(cases, best)), flush=True)
    return best


def describe(weights: Weights, values: dict[str, float]) -> str:
    """Return one line of text."""
    shown = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    return f"{shown}: {', '.join(f'{name} {value:.3g}' for name, value in asdict(weights).items())}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with rendered images")
    parser.add_argument("--split", default="catalogue-validation", choices=IMAGE_SPLITS)
    parser.add_argument("--version", type=int, default=2, help="version of the models (default: 2)")
    parser.add_argument("--repository", type=Path, default=REPOSITORY, help="default: model_repository/")
    parser.add_argument("--rounds", type=int, default=12, help="maximum number of changes (default: 12)")
    options = parser.parse_args()
    files = sorted(options.data.glob(f"{options.split}-*.npz"))
    if not files:
        parser.error(f"no images of the split {options.split!r} ({options.split}-*.npz) in {options.data}")
    predict = onnx_predictor(options.version, options.repository)
    cases = [make_case(read_sample(file), predict) for file in files]
    print(describe(WEIGHTS, figures(cases, WEIGHTS)), flush=True)
    tune(cases, WEIGHTS, options.rounds)


if __name__ == "__main__":
    main()
