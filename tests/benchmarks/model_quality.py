"""Quality of the models on rendered furniture that training never uses: version 2, version 1 and the simple recipe.

python -m tests.benchmarks.model_quality [--pictures DIR] [--count 124] [--json FILE] [--sheet FILE]

The images show third-party furniture of the test split, each piece from several sides with other surfaces, rooms and
lights, photographed by a simulated camera (noise, JPEG, errors of white balance and exposure). The images of the split
`test` show it in homes and photo studios, those of `catalogue` in the style of a shop's catalogue. Missing images are
rendered first. Version 1 is evaluated from the ONNX files of `model_repository`, version 2 from a fresh export of the
committed weights, both with onnxruntime. Albedo, shading, normals and roughness are evaluated on the piece; roughness,
parts and materials after the decision per surface. --sheet writes the best, the median and the worst image of version 2
in `test`, each with the ground truth and both versions.

A photograph of scikit-image serves as a check without ground truth: the share of positions, labelled by eye, that a
stain would colour.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.contact_sheet import class_colors, join_tiles
from export_models.dataset.samples import Sample, read_sample
from export_models.evaluate import Maps, Predictor, Scores, onnx_predictor, service_maps, simulate_photo
from export_models.export import MODELS, export
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import Region
from orchestrator.imaging.color import encode_srgb
from orchestrator.imaging.refine import EDGE_LIKELIHOOD
from orchestrator.imaging.surfaces import decide_by_surface
from orchestrator.imaging.wood import wood_probability
from tests.benchmarks.recipe import recipe
from tests.benchmarks.report import Figure, report

PICTURES = Path("output/test_pictures")
TILE_PX = 200
MIN_ALBEDO = 0.02
"""Albedo to which smaller values are raised before a division by it."""

BOUNDS = {
    "test": {
        "foreground_iou": ">= 0.93",
        "wood_iou": ">= 0.70",
        "whole_wood": ">= 0.90",
        "whole_other": ">= 0.90",
        "material_miou": ">= 0.50",
        "component_miou": ">= 0.55",
        "albedo_si_rmse": "<= 0.24",
        "normal_error_deg": "<= 22",
        "roughness_mae": "<= 0.15",
    },
    "catalogue": {
        "foreground_iou": ">= 0.98",
        "wood_iou": ">= 0.90",
        "whole_wood": ">= 0.90",
        "whole_other": ">= 0.90",
    },
}
"""Bounds of version 2 by split and metric."""
UNITS = {"normal_error_deg": "°"}

COFFEE_WOOD = {"table, left": (260, 40), "table, right": (360, 520), "table, below": (385, 250)}
"""Row and column of positions on wood in ``skimage.data.coffee()``."""
COFFEE_OTHER = {"coffee": (150, 330), "saucer": (260, 470), "cup": (250, 270)}
"""Row and column of positions on other materials."""
NEIGHBOURHOOD_PX = 8
"""Half the side of the square around a position in which pixels are counted."""


def recipe_predictor(photo: NDArray[np.uint8]) -> Maps:
    """Return the maps of the recipe, which has no parts and materials."""
    result = recipe(photo, SrgbColor(120, 80, 50))
    return {
        "albedo": result.albedo_linear.transpose(2, 0, 1),
        "shading": np.repeat(result.shading_linear[None], 3, 0),
        "normal": result.normal.transpose(2, 0, 1),
        "roughness": result.roughness[None],
    }


def evaluate_all(samples: list[Sample], predictors: dict[str, Predictor]) -> dict[str, Scores]:
    """Evaluate each predictor on all images."""
    scores = {name: Scores() for name in predictors}
    for number, sample in enumerate(samples, start=1):
        exposed, photo = simulate_photo(sample)
        for name, predict in predictors.items():
            scores[name].add(sample, exposed, photo, predict(photo))
        if number % 20 == 0:
            print(f"[{number}/{len(samples)}]", flush=True)
    return scores


def rendered_figures(split: str, scores: dict[str, Scores]) -> list[Figure]:
    """Return the metrics of version 2 with their bounds, then those of version 1 and of the recipe."""
    metrics = {name: version.metrics() for name, version in scores.items()}
    figures = [
        Figure(f"{split}: {name}", value, UNITS.get(name, ""), BOUNDS[split].get(name, ""))
        for name, value in metrics.pop("version 2").items()
    ]
    for label, values in metrics.items():
        figures += [Figure(f"{split}: {name}, {label}", value) for name, value in values.items() if value > 0]
    return figures


def photograph_figures(predict: Predictor, label: str, bounds: tuple[str, str]) -> list[Figure]:
    """Return the share of wood that is found at the labelled positions of ``skimage.data.coffee()``.

    Args:
        bounds: of the share at positions on wood, and at other positions.
    """
    photo: NDArray[np.uint8] = data.coffee()
    height, width = (side // 32 * 32 for side in photo.shape[:2])
    cropped = np.ascontiguousarray(photo[:height, :width])
    maps = decide_by_surface(cropped, service_maps(predict(cropped)))
    wood = wood_probability(maps, Region.AUTO) > EDGE_LIKELIHOOD

    def wood_share(positions: dict[str, tuple[int, int]]) -> float:
        inside = [(row, column) for row, column in positions.values() if row < height and column < width]
        return float(np.mean([_neighbourhood(wood, row, column).mean() for row, column in inside]))

    return [
        Figure(f"coffee (a photograph): wood found on wood, {label}", wood_share(COFFEE_WOOD), "", bounds[0]),
        Figure(f"coffee (a photograph): wood found beside it, {label}", wood_share(COFFEE_OTHER), "", bounds[1]),
    ]


def _neighbourhood(values: NDArray[np.bool_], row: int, column: int) -> NDArray[np.bool_]:
    rows = slice(max(row - NEIGHBOURHOOD_PX, 0), row + NEIGHBOURHOOD_PX)
    return values[rows, max(column - NEIGHBOURHOOD_PX, 0) : column + NEIGHBOURHOOD_PX]


def comparison_rows(sample: Sample, predictors: dict[str, Predictor]) -> NDArray[np.uint8]:
    """Return [rows × TILE_PX, 7 × TILE_PX, 3]: a row of tiles of the ground truth, then one per predictor.

    The albedo of a prediction is scaled to the median of the true albedo on the piece.
    """
    exposed, photo = simulate_photo(sample)
    shading = exposed / np.maximum(sample.albedo, MIN_ALBEDO)
    rows = [
        tile_row(
            photo,
            sample.albedo,
            shading,
            sample.normal,
            sample.roughness,
            sample.component,
            sample.material,
            sample.foreground,
        )
    ]
    for predict in predictors.values():
        maps = {name: values.transpose(1, 2, 0) for name, values in predict(photo).items()}
        component, material = (maps[name].argmax(-1).astype(np.uint8) for name in ("component", "material"))
        median = float(np.median(maps["albedo"][sample.foreground]))
        scale = np.median(sample.albedo[sample.foreground]) / max(median, 1e-4)
        rows.append(
            tile_row(
                photo,
                np.clip(maps["albedo"] * scale, 0, 1),
                maps["shading"] / scale,
                maps["normal"],
                maps["roughness"][..., 0],
                component,
                material,
                component > 0,
            )
        )
    return np.vstack(rows)


def tile_row(
    photo: NDArray[np.uint8],
    albedo: NDArray[np.float32],
    shading: NDArray[np.float32],
    normal: NDArray[np.float32],
    roughness: NDArray[np.float32],
    component: NDArray[np.uint8],
    material: NDArray[np.uint8],
    piece: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Return [TILE_PX, 7 × TILE_PX, 3]: the photo and its maps side by side."""
    brightest = max(float(np.percentile(shading[piece], 97)) if piece.any() else 1.0, 1e-6)
    tiles = [
        photo.astype(np.float32) / 255,
        encode_srgb(albedo),
        encode_srgb(shading / brightest),
        (normal + 1) / 2,
        np.repeat(roughness[..., None], 3, -1),
        class_colors(len(COMPONENTS))[component],
        class_colors(len(MATERIALS))[np.where(piece, material, 0)],
    ]
    return join_tiles(tiles, TILE_PX)


def render(split: str, count: int, folder: Path, side: int = 384) -> list[Sample]:
    """Return the first ``count`` images of ``split``. Missing images are rendered into ``folder``."""
    generate = [sys.executable, "-m", "export_models.dataset.generate", "--split", split, "--size", str(side)]
    subprocess.run([*generate, "--count", str(count), "--out", str(folder)], check=True)
    return [read_sample(file) for file in sorted(folder.glob(f"{split}-*.npz"))[:count]]


def export_version_2() -> Predictor:
    """Export the committed weights and return their predictor."""
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            export(model, Path(folder), version=2)
        return onnx_predictor(2, Path(folder))


def write_sheet(file: Path, samples: list[Sample], scores: dict[str, Scores], predictors: dict[str, Predictor]) -> None:
    """Write the best, the median and the worst image by the normals of version 2."""
    order = np.argsort(scores["version 2"].per_image["normal_error_deg"])
    selected = [samples[order[index]] for index in (0, len(order) // 2, -1)]
    versions = {name: predictors[name] for name in ("version 1", "version 2")}
    sheet = np.vstack([comparison_rows(sample, versions) for sample in selected])
    Image.fromarray(sheet).save(file, quality=88)
    print(f"best, median and worst image, with rows for ground truth, version 1 and version 2: {file}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help=f"folder of the images (default: {PICTURES})")
    parser.add_argument("--count", type=int, default=124, help="number of images, taken in turn from each test piece")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="JPEG file for the best, the median and the worst image")
    options = parser.parse_args()
    predictors: dict[str, Predictor] = {
        "version 2": export_version_2(),
        "version 1": onnx_predictor(1),
        "recipe": recipe_predictor,
    }
    figures: list[Figure] = []
    for split in BOUNDS:
        samples = render(split, options.count, options.pictures)
        scores = evaluate_all(samples, predictors)
        figures += rendered_figures(split, scores)
        if options.sheet and split == "test":
            write_sheet(options.sheet, samples, scores, predictors)
    figures += photograph_figures(predictors["version 1"], "version 1", ("", ""))
    figures += photograph_figures(predictors["version 2"], "version 2", (">= 0.9", "<= 0"))
    report("model_quality", figures, options.json)


if __name__ == "__main__":
    main()
