"""Measures the quality of the stain and its maps, compared with a simple recipe, on renders with ground truth.

python -m tests.benchmarks.stain_quality [--json FILE] [--pictures DIR]

Missing images are rendered first: 14 pieces, about four minutes on two cores.

Heartwood and the recipe process the same images with the same true wood mask. The models are served by Triton. Colours
are means in linear light over the true wood. Errors of maps are means over the images.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from export_models.metrics import mean_angular_error_deg, si_rmse
from orchestrator.domain.images import Image
from orchestrator.domain.material_maps import MaterialMaps, MaterialModels
from orchestrator.domain.quality import Quality
from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.imaging.color import ciede2000, lab_from_linear, linear_from_color, linear_from_srgb
from orchestrator.imaging.refine import mask_from_map
from orchestrator.imaging.surfaces import decide_by_surface
from orchestrator.imaging.wood import wood_probability
from orchestrator.stages.analysis import LONG_SIDE
from orchestrator.stages.stain.decomposition import Decomposition
from orchestrator.stages.stain.stain import stain
from orchestrator.stages.stain.surface import surface_maps
from tests.benchmarks.furniture.pictures import FurniturePicture, load
from tests.benchmarks.grain_measure import EDGE, grain_kept
from tests.benchmarks.recipe import recipe
from tests.benchmarks.report import Figure, report
from tests.benchmarks.running_models import triton_models

Figures = dict[str, list[float]]
"""Values of each figure, one per image or per image and stain."""
PICTURES = Path("output/benchmark_pictures")
"""Default folder of the rendered images."""


def measure_stains(photo: Image, maps: MaterialMaps, wood: Image, figures: Figures) -> None:
    """Apply every stain of the catalogue inside the mask ``wood``, with Heartwood and with the recipe."""
    inside = wood > 127
    outside = cv2.dilate(wood, np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)) == 0
    color = next(iter(STAINS.values())).color
    bare = stain(photo, maps, StainOptions(color, strength=0.0), mask=wood)
    recipe_bare = recipe(photo, color, strength=0.0, grain=0.0, mask=wood)
    for catalogue_stain in STAINS.values():
        color = catalogue_stain.color
        goal = lab_from_linear(linear_from_color(color))
        stained = stain(photo, maps, StainOptions(color), mask=wood)
        recipe_stained = recipe(photo, color, mask=wood)
        for prefix, albedo in (("stain", stained.albedo), ("recipe", recipe_stained.stained_albedo)):
            reached = lab_from_linear(linear_from_srgb(albedo)[inside].mean(axis=0))
            figures[f"{prefix}_delta_e"].append(float(ciede2000(reached, goal)))
        figures["stain_outside_difference"].append(_max_difference(stained.preview, photo, outside))
        figures["stain_outside_albedo_difference"].append(_max_difference(stained.albedo, bare.albedo, outside))

        _measure_grain(figures, "stain", bare.albedo, stained.albedo, wood)
        _measure_grain(figures, "recipe", recipe_bare.stained_albedo, recipe_stained.stained_albedo, wood)
        _measure_grain(figures, "stain_preview", photo, stained.preview, wood)
        painted = stain(photo, maps, StainOptions(color, preserve_grain=0.0), mask=wood)
        figures["stain_contrast_painted"].append(grain_kept(bare.albedo, painted.albedo, wood)[1])
        figures["stain_preview_contrast_painted"].append(grain_kept(photo, painted.preview, wood)[1])


def measure_maps(picture: FurniturePicture, maps: MaterialMaps, figures: Figures) -> None:
    """Compare albedo, shading, normals and roughness of Heartwood and of the recipe with the ground truth."""
    photo = picture.photo_srgb
    rows = Decomposition.fit(photo, maps, wood_probability(maps, StainOptions.region)).read(np.arange(photo.shape[0]))
    linear = linear_from_srgb(photo)
    albedo = np.stack(rows.albedo_linear, axis=-1)
    surface = surface_maps(photo, maps)
    baseline = recipe(photo, next(iter(STAINS.values())).color)
    baseline_shading = np.dstack([baseline.shading_linear] * 3)
    valid, piece = picture.valid & picture.foreground, picture.foreground
    for prefix, estimated_albedo, shading, normal, roughness in (
        (
            "stain",
            albedo,
            linear / np.maximum(albedo, 1e-3),
            (surface.normal.astype(np.float32) - 128) / 127,
            surface.roughness / np.float32(255),
        ),
        ("recipe", baseline.albedo_linear, baseline_shading, baseline.normal, baseline.roughness),
    ):
        figures[f"{prefix}_albedo_si_rmse"].append(si_rmse(estimated_albedo, picture.albedo_linear, valid))
        figures[f"{prefix}_shading_si_rmse"].append(si_rmse(shading, picture.shading_linear, valid))
        figures[f"{prefix}_normal_error"].append(mean_angular_error_deg(normal, picture.normal, piece))
        figures[f"{prefix}_roughness_error"].append(float(np.abs(roughness - picture.roughness)[piece].mean()))
    mask = mask_from_map(np.asarray(rows.wood, np.float32) / 255) > 127
    figures["wood_iou"].append(float((mask & picture.wood).sum() / max((mask | picture.wood).sum(), 1)))


def _measure_grain(figures: Figures, prefix: str, before: Image, after: Image, wood: Image) -> None:
    correlation, contrast = grain_kept(before, after, wood)
    figures[f"{prefix}_grain_correlation"].append(correlation)
    figures[f"{prefix}_grain_contrast"].append(contrast)


def _max_difference(first: Image, second: Image, where: Image) -> float:
    return float(np.abs(first.astype(np.int16) - second)[where].max(initial=0))


def measure_all(pictures: list[FurniturePicture], models: MaterialModels) -> Figures:
    """Measure all images, and a photograph without ground truth for the figures that need none."""
    figures: Figures = defaultdict(list)
    for number, picture in enumerate(pictures, start=1):
        print(f"[{number}/{len(pictures) + 1}] {picture.name}", flush=True)
        maps = decide_by_surface(
            picture.photo_srgb, models.analyze(picture.photo_srgb, long_side=LONG_SIDE[Quality.FINAL])
        )
        measure_maps(picture, maps, figures)
        measure_stains(picture.photo_srgb, maps, picture.wood.astype(np.uint8) * 255, figures)
    print(f"[{len(pictures) + 1}/{len(pictures) + 1}] coffee (photograph)", flush=True)
    coffee = data.coffee()
    maps = decide_by_surface(coffee, models.analyze(coffee, long_side=LONG_SIDE[Quality.FINAL]))
    measure_stains(coffee, maps, stain(coffee, maps, StainOptions(STAINS["walnut"].color)).wood_mask, figures)
    return figures


def reported(figures: Figures) -> list[Figure]:
    """Return the reported figures with their bounds, next to those of the recipe."""
    mean = {name: float(np.mean(values)) for name, values in figures.items()}
    rows = [
        Figure("delta_e", mean["stain_delta_e"], "dE00", "<= 2.0"),
        Figure("delta_e_worst", max(figures["stain_delta_e"]), "dE00"),
        Figure("delta_e_recipe", mean["recipe_delta_e"], "dE00"),
        Figure("grain_correlation", mean["stain_grain_correlation"], "", ">= 0.95"),
        Figure("grain_correlation_worst", min(figures["stain_grain_correlation"]), ""),
        Figure("grain_correlation_recipe", mean["recipe_grain_correlation"], ""),
        Figure("grain_contrast", mean["stain_grain_contrast"], "ratio", "0.8 .. 1.25"),
        Figure("grain_contrast_least", min(figures["stain_grain_contrast"]), "ratio"),
        Figure("grain_contrast_most", max(figures["stain_grain_contrast"]), "ratio"),
        Figure("grain_contrast_recipe", mean["recipe_grain_contrast"], "ratio"),
        Figure("grain_contrast_painted", mean["stain_contrast_painted"], "ratio", "<= 0.3"),
        Figure("grain_contrast_painted_worst", max(figures["stain_contrast_painted"]), "ratio"),
        Figure("preview_grain_correlation", mean["stain_preview_grain_correlation"], ""),
        Figure("preview_grain_contrast", mean["stain_preview_grain_contrast"], "ratio"),
        Figure("outside_difference", max(figures["stain_outside_difference"]), "8-bit steps", "== 0"),
        Figure("outside_albedo_difference", max(figures["stain_outside_albedo_difference"]), "8-bit steps", "== 0"),
    ]
    for name, unit, share in (
        ("albedo_si_rmse", "relative", 0.75),
        ("shading_si_rmse", "relative", 0.75),
        ("normal_error", "degrees", 1.0),
        ("roughness_error", "", 1.0),
    ):
        recipe_mean = mean[f"recipe_{name}"]
        rows.append(Figure(name, mean[f"stain_{name}"], unit, f"<= {share * recipe_mean:.4g}"))
        rows.append(Figure(f"{name}_recipe", recipe_mean, unit))
    rows.append(Figure("wood_iou", mean["wood_iou"], ""))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help=f"folder of the images (default: {PICTURES})")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "tests.benchmarks.furniture.render", "--out", str(arguments.pictures)]
    subprocess.run(command, check=True)
    pictures = load(arguments.pictures)
    with triton_models() as models:
        figures = measure_all(pictures, models)
    report("stain_quality", reported(figures), arguments.json)


if __name__ == "__main__":
    main()
