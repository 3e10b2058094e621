"""Tune the weights by which evidence is pooled over surfaces (`orchestrator.imaging.surfaces`).

python -m export_models.tune_surfaces --data DIR [--split catalogue-validation] [--version 2] [--rounds 12]

Changes one weight at a time, on rendered images that neither training nor the test uses, and prints the best weights
with their figures. Copy them to `WEIGHTS` in `orchestrator.imaging.surfaces`. The objective is the smaller of
`whole_wood` and `whole_other`, plus `wood_iou`, of `export_models.evaluate`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from export_models.dataset.samples import Sample, read_sample
from export_models.evaluate import (
    MAX_WHOLE,
    MIN_WHOLE,
    WOOD,
    Predictor,
    add_image_arguments,
    image_files,
    label_large_surfaces,
    onnx_predictor,
    service_maps,
    simulate_photo,
)
from orchestrator.imaging.refine import PIECE_EDGE
from orchestrator.imaging.surfaces import WEIGHTS, Evidence, Weights, collect_evidence, pool, with_agreed_piece

FACTORS = (0.0, 0.25, 0.5, 0.75, 1.33, 2.0, 4.0)
"""Factors by which each weight is multiplied in turn."""
BIASES = (-1.5, -0.5, 0.5, 1.5)
"""Values that are added to the bias."""


@dataclass(frozen=True)
class Case:
    """One image. Pixels outside the predicted piece are not wood."""

    evidence: Evidence
    wood: NDArray[np.int64]  # [R] pixels of true wood in each region
    other: NDArray[np.int64]  # [R] other pixels in each region
    missed: int  # pixels of true wood outside the predicted piece
    surfaces: NDArray[np.float64]  # [S, R] share of each large true surface that lies in each region
    is_wood: NDArray[np.bool_]  # [S]


def make_case(sample: Sample, predict: Predictor) -> Case:
    """Collect the evidence and the ground truth of one image."""
    _, photo = simulate_photo(sample)
    maps = service_maps(predict(photo))
    evidence = collect_evidence(photo, maps)
    regions = np.full(maps.wood.shape, -1)
    regions[evidence.box] = evidence.regions
    regions[with_agreed_piece(maps, evidence).foreground <= PIECE_EDGE] = -1
    count = len(evidence.own)
    truth, inside = sample.foreground & (sample.material == WOOD), regions >= 0
    surfaces, is_wood = label_large_surfaces(sample)
    shares = [
        np.bincount(regions[inside & (surfaces == surface)], minlength=count) / (surfaces == surface).sum()
        for surface in range(len(is_wood))
    ]
    return Case(
        evidence,
        wood=np.bincount(regions[inside & truth], minlength=count),
        other=np.bincount(regions[inside & ~truth], minlength=count),
        missed=int((truth & ~inside).sum()),
        surfaces=np.array(shares).reshape(-1, count),
        is_wood=is_wood,
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
    add_image_arguments(parser, "catalogue-validation")
    parser.add_argument("--rounds", type=int, default=12, help="maximum number of changes (default: 12)")
    options = parser.parse_args()
    files = image_files(parser, options)
    predict = onnx_predictor(options.version, options.repository)
    cases = [make_case(read_sample(file), predict) for file in files]
    print(describe(WEIGHTS, figures(cases, WEIGHTS)), flush=True)
    tune(cases, WEIGHTS, options.rounds)


if __name__ == "__main__":
    main()
