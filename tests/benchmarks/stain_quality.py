"""How good are the stain and its maps, beside the simple recipe? On rendered furniture whose truth is known.

python -m tests.benchmarks.stain_quality [--json FILE] [--pictures DIR]

The pictures are rendered first where they are not there yet (14 pieces, about four minutes on two cores).

Both get the same pictures and, for the stain's colour, the same true wood mask. The models answer through a real
Triton. Colours are means in linear light over the true wood; errors of maps are means over pictures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
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
from orchestrator.stages.analysis import LONG_SIDE
from orchestrator.stages.stain.decomposition import Decomposition
from orchestrator.stages.stain.stain import stain, surface_maps
from orchestrator.stages.stain.wood import wood_probability
from tests.benchmarks.furniture.pictures import FurniturePicture, load
from tests.benchmarks.grain_measure import EDGE, grain_kept
from tests.benchmarks.recipe import recipe
from tests.benchmarks.report import Figure, report
from tests.benchmarks.running_models import triton_models

Figures = dict[str, list[float]]
PICTURES = Path("output/benchmark_pictures")


def measure_stains(photo: Image, maps: MaterialMaps, wood: Image, figures: Figures) -> None:
    """Stain with the whole catalogue inside the mask ``wood`` and add to the figures of ours and the recipe's."""
    inside = wood > 127
    outside = cv2.dilate(wood, np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)) == 0
    first = StainOptions(next(iter(STAINS.values())).color)
    bare = stain(photo, maps, replace(first, strength=0.0), mask=wood)
    recipe_bare = recipe(photo, first.target, strength=0.0, grain=0.0, mask=wood)
    for one in STAINS.values():
        goal = lab_from_linear(linear_from_color(one.color))
        ours = stain(photo, maps, StainOptions(one.color), mask=wood)
        theirs = recipe(photo, one.color, mask=wood)
        for prefix, albedo in (("stain", ours.albedo), ("recipe", theirs.stained_albedo)):
            reached = lab_from_linear(linear_from_srgb(albedo)[inside].mean(axis=0))
            figures[f"{prefix}_delta_e"].append(float(ciede2000(reached, goal)))
        figures["stain_outside_difference"].append(_largest_difference(ours.preview, photo, outside))
        figures["stain_outside_albedo_difference"].append(_largest_difference(ours.albedo, bare.albedo, outside))

        _grain(figures, "stain", bare.albedo, ours.albedo, wood)
        _grain(figures, "recipe", recipe_bare.stained_albedo, theirs.stained_albedo, wood)
        _grain(figures, "stain_preview", photo, ours.preview, wood)
        painted = stain(photo, maps, StainOptions(one.color, preserve_grain=0.0), mask=wood)
        figures["stain_contrast_painted"].append(grain_kept(bare.albedo, painted.albedo, wood)[1])
        figures["stain_preview_contrast_painted"].append(grain_kept(photo, painted.preview, wood)[1])


def measure_maps(picture: FurniturePicture, maps: MaterialMaps, figures: Figures) -> None:
    """Compare albedo, shading, normals and roughness with the truth, ours and the recipe's."""
    photo = picture.photo_srgb
    rows = Decomposition.fit(photo, maps, wood_probability(maps, StainOptions.region)).read(np.arange(photo.shape[0]))
    linear = linear_from_srgb(photo)
    albedo = np.stack(rows.albedo_linear, axis=-1)
    surface = surface_maps(photo, maps)
    theirs = recipe(photo, next(iter(STAINS.values())).color)
    valid, piece = picture.valid & picture.foreground, picture.foreground
    for prefix, found, shading, normal, roughness in (
        (
            "stain",
            albedo,
            linear / np.maximum(albedo, 1e-3),
            (surface.normal.astype(np.float32) - 128) / 127,
            surface.roughness / np.float32(255),
        ),
        ("recipe", theirs.albedo_linear, np.dstack([theirs.shading_linear] * 3), theirs.normal, theirs.roughness),
    ):
        figures[f"{prefix}_albedo_si_rmse"].append(si_rmse(found, picture.albedo_linear, valid))
        figures[f"{prefix}_shading_si_rmse"].append(si_rmse(shading, picture.shading_linear, valid))
        figures[f"{prefix}_normal_error"].append(mean_angular_error_deg(normal, picture.normal, piece))
        figures[f"{prefix}_roughness_error"].append(float(np.abs(roughness - picture.roughness)[piece].mean()))
    mask = mask_from_map(np.asarray(rows.wood, np.float32) / 255) > 127
    figures["wood_iou"].append(float((mask & picture.wood).sum() / max((mask | picture.wood).sum(), 1)))


def _grain(figures: Figures, prefix: str, before: Image, after: Image, wood: Image) -> None:
    correlation, contrast = grain_kept(before, after, wood)
    figures[f"{prefix}_grain_correlation"].append(correlation)
    figures[f"{prefix}_grain_contrast"].append(contrast)


def _largest_difference(first: Image, second: Image, where: Image) -> float:
    return float(np.abs(first.astype(np.int16) - second)[where].max(initial=0))


def measure_all(pictures: list[FurniturePicture], models: MaterialModels) -> Figures:
    """The figures of every picture, and of the photograph where no truth is needed."""
    figures: Figures = defaultdict(list)
    for number, picture in enumerate(pictures, start=1):
        print(f"[{number}/{len(pictures) + 1}] {picture.name}", flush=True)
        maps = models.analyze(picture.photo_srgb, long_side=LONG_SIDE[Quality.FINAL])
        measure_maps(picture, maps, figures)
        measure_stains(picture.photo_srgb, maps, picture.wood.astype(np.uint8) * 255, figures)
    print(f"[{len(pictures) + 1}/{len(pictures) + 1}] coffee (photograph)", flush=True)
    coffee = data.coffee()
    maps = models.analyze(coffee, long_side=LONG_SIDE[Quality.FINAL])
    measure_stains(coffee, maps, stain(coffee, maps, StainOptions(STAINS["walnut"].color)).wood_mask, figures)
    return figures


def reported(figures: Figures) -> list[Figure]:
    """What the issue asks for, each beside the recipe's value."""
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
        theirs = mean[f"recipe_{name}"]
        rows.append(Figure(name, mean[f"stain_{name}"], unit, f"<= {share * theirs:.4g}"))
        rows.append(Figure(f"{name}_recipe", theirs, unit))
    rows.append(Figure("wood_iou", mean["wood_iou"], ""))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help=f"where they are kept (default {PICTURES})")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "tests.benchmarks.furniture.render", "--out", str(arguments.pictures)]
    subprocess.run(command, check=True)
    pictures = load(arguments.pictures)
    with triton_models() as models:
        figures = measure_all(pictures, models)
    report("stain_quality", reported(figures), arguments.json)


if __name__ == "__main__":
    main()
