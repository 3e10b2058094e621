from __future__ import annotations

import numpy as np
import pytest

from orchestrator.cli.contact_sheet import HEIGHT, PAPER, WIDTH, StainedPicture, contact_sheet
from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.stages.stain.stain import stain
from orchestrator.stages.stain.surface import surface_maps
from tests.support.wooden_scene import wooden_scene


def texture_maps(scene, albedo_srgb):
    surface = surface_maps(scene.photo_srgb, scene.maps)
    maps = {"Albedo": albedo_srgb, "Normal": surface.normal, "Roughness": surface.roughness}
    return {**maps, "Occlusion": surface.ambient_occlusion, "Height": np.asarray(surface.height >> 8, np.uint8)}


@pytest.mark.parametrize(("height", "width"), [(120, 180), (180, 120), (100, 100), (60, 300)])
@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_the_page_has_a_margin_for_any_aspect_ratio_and_number_of_stains(height, width, count):
    scene = wooden_scene(height, width)
    maps = texture_maps(scene, scene.photo_srgb)
    stains = list(STAINS.values())[:count]
    stained = [StainedPicture(stain.label, stain.color.hex, scene.photo_srgb) for stain in stains]
    page = contact_sheet(scene.photo_srgb, scene.photo_srgb, maps, stained, "A board")
    assert page.shape == (HEIGHT, WIDTH, 3)
    border = np.concatenate([page[:40].reshape(-1, 3), page[:, :30].reshape(-1, 3), page[:, -30:].reshape(-1, 3)])
    assert np.all(border == PAPER)


def test_the_page_shows_each_stain_and_its_swatch():
    scene = wooden_scene(120, 180)
    walnut = STAINS["walnut"]
    result = stain(scene.photo_srgb, scene.maps, StainOptions(walnut.color))
    maps = texture_maps(scene, result.albedo)
    without = contact_sheet(scene.photo_srgb, scene.photo_srgb, maps, [], "A board")
    picture = StainedPicture(walnut.label, walnut.color.hex, result.preview)
    page = contact_sheet(scene.photo_srgb, scene.photo_srgb, maps, [picture], "A board")
    swatch = (walnut.color.red, walnut.color.green, walnut.color.blue)
    drawn = np.any(page != without, axis=2)
    assert drawn.mean() > 0.05
    assert np.all(page == swatch, axis=2)[drawn].sum() > 400
