"""Sheets of stained catalogue photos, to be inspected one by one, with figures per piece.

python -m tests.benchmarks.catalogue_stains [--pictures DIR] [--out DIR] [--count 40] [--json FILE]

The images show unseen pieces (split `catalogue`) at 768². Each is stained walnut and natural oak by the stage `stain`.
Every sheet shows four pieces: the photo, the wood that was found, the true wood, walnut, and oak. The figures
are those by which real photos are judged: the share of a wooden piece that is found as wood, and the share of another
piece that is taken for wood. A piece counts as wooden if at least 80 % of it is wood, and as other if none of it is.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export_models.dataset.samples import Sample
from export_models.evaluate import WOOD, Predictor, onnx_predictor, service_maps, simulate_photo
from export_models.metrics import iou
from orchestrator.domain.stain import Region, StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import NoWoodFound
from orchestrator.imaging.refine import PIECE_EDGE, mask_from_likelihood
from orchestrator.imaging.surfaces import decide_by_surface
from orchestrator.imaging.wood import wood_probability
from orchestrator.stages.stain.stain import stain
from tests.benchmarks.model_quality import export_version_2, render
from tests.benchmarks.report import Figure, report

PICTURES = Path("output/catalogue_pictures")
SHEETS = Path("output/catalogue_stains")
SIDE = 768
COLORS = ("walnut", "natural-oak")
PIECES_PER_SHEET = 4
MIN_WOODEN_SHARE = 0.8
"""Share of wood from which a piece counts as wooden."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class StainedPiece:
    """One piece."""

    name: str
    row: Pixels  # [SIDE, 5 × SIDE, 3] photo, found wood, true wood, and the stains
    found_share: float  # share of the true wood that was found; NaN without wood
    taken_share: float  # share of the other surfaces that was taken for wood; NaN without other surfaces
    wooden_share: float  # share of the piece that is wood
    outline_iou: float


def stain_piece(sample: Sample, predict: Predictor) -> StainedPiece:
    """Stain one piece in each of COLORS."""
    _, photo = simulate_photo(sample)
    maps = decide_by_surface(photo, service_maps(predict(photo)))
    piece, wood = sample.foreground, sample.foreground & (sample.material == WOOD)
    found = mask_from_likelihood(photo, wood_probability(maps, Region.AUTO)) > 127
    outline = mask_from_likelihood(photo, maps.foreground, PIECE_EDGE) > 127
    stained = []
    for color in COLORS:
        try:
            stained.append(stain(photo, maps, StainOptions(STAINS[color].color)).preview)
        except NoWoodFound:
            stained.append(np.full_like(photo, 90))
    tiles = [photo, _highlighted(photo, found), _highlighted(photo, wood), *stained]
    return StainedPiece(
        sample.name,
        np.hstack(tiles),
        _share(found, wood),
        _share(found, piece & ~wood),
        _share(wood, piece),
        iou(outline, piece),
    )


def _share(mask: NDArray[np.bool_], area: NDArray[np.bool_]) -> float:
    """Return the share of ``area`` that is in ``mask``, NaN if the area is empty."""
    return float(mask[area].mean()) if area.any() else float("nan")


def _highlighted(photo: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """Return the photo with everything outside the mask in pale grey, and the mask tinted orange."""
    tinted = photo * 0.5 + np.array([255, 140, 0]) * 0.5
    return np.asarray(np.where(mask[..., None], tinted, photo * 0.25 + 170), np.uint8)


def figures(pieces: list[StainedPiece]) -> list[Figure]:
    """Return the figures by which real photos are judged."""
    wooden = np.array([piece.found_share for piece in pieces if piece.wooden_share >= MIN_WOODEN_SHARE])
    other = np.array([piece.taken_share for piece in pieces if piece.wooden_share == 0])
    partly = (wooden > 0.1) & (wooden < 0.9)
    return [
        Figure("wooden pieces found to at least 90 %", float((wooden >= 0.9).mean()), "", ">= 0.92"),
        Figure("mean share of a wooden piece that is found", float(wooden.mean()), "", ">= 0.95"),
        Figure("wooden pieces found in part, 10 to 90 %", float(partly.mean()), "", "<= 0.05"),
        Figure("other pieces of which at most 10 % is taken for wood", float((other <= 0.1).mean()), "", ">= 0.92"),
        Figure("IoU of the outline, mean", float(np.mean([piece.outline_iou for piece in pieces])), "", ">= 0.95"),
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help=f"folder of the images (default: {PICTURES})")
    parser.add_argument("--out", type=Path, default=SHEETS, help=f"folder of the sheets (default: {SHEETS})")
    parser.add_argument("--count", type=int, default=40, help="number of pieces (default: 40)")
    parser.add_argument("--repository", type=Path, help="repository with version 2 (default: the committed weights)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    samples = render("catalogue", options.count, options.pictures, SIDE)
    predict = onnx_predictor(2, options.repository) if options.repository else export_version_2()
    options.out.mkdir(parents=True, exist_ok=True)
    pieces = [stain_piece(sample, predict) for sample in samples]
    for start in range(0, len(pieces), PIECES_PER_SHEET):
        sheet = options.out / f"{start // PIECES_PER_SHEET:02}.png"
        Image.fromarray(np.vstack([piece.row for piece in pieces[start : start + PIECES_PER_SHEET]])).save(sheet)
    for number, piece in enumerate(pieces):
        print(
            f"{number // PIECES_PER_SHEET:02}.png row {number % PIECES_PER_SHEET} {piece.name}: "
            f"found {piece.found_share:.2f}, wrongly taken {piece.taken_share:.2f}, outline {piece.outline_iou:.3f}"
        )
    report("catalogue_stains", figures(pieces), options.json)


if __name__ == "__main__":
    main()
