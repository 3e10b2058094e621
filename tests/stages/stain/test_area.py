"""The area to stain, from parts and from edits of masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.domain.images import Image
from orchestrator.domain.made_of import PartMaterial
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import StainOptions
from orchestrator.errors import NoWoodFound
from orchestrator.stages.stain.area import EditedPart, StainArea, area_of_edits, area_of_parts, known_wood
from orchestrator.stages.stain.stain import stain
from tests.support.wooden_scene import wooden_scene

SCENE = wooden_scene()
HEIGHT, WIDTH = SCENE.wood.shape
EBONY = StainOptions(SrgbColor.parse("#1E1712"))


def columns(left: int, right: int) -> Image:
    """Return a mask of the size of the scene that is white in some columns."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, left:right] = 255
    return mask


def test_what_is_added_to_a_part_has_its_material_and_what_is_removed_is_not_wood() -> None:
    area = area_of_edits([EditedPart("wood", columns(50, 100), columns(60, 120))], columns(60, 120))
    assert area.wood is not None
    assert area.not_wood is not None
    assert np.array_equal(area.wood, columns(100, 120))
    assert np.array_equal(area.not_wood, columns(50, 60))
    cushion = area_of_edits([EditedPart("fabric", columns(50, 100), columns(50, 120))], columns(50, 120))
    assert cushion.wood is not None
    assert not cushion.wood.any()
    assert np.array_equal(cushion.not_wood, columns(100, 120))


@pytest.mark.parametrize("order", [1, -1])
def test_pixels_that_move_from_one_part_to_another_are_not_lost(order: int) -> None:
    left = EditedPart("wood", columns(0, 100), columns(0, 80))
    right = EditedPart("wood", columns(100, 200), columns(80, 200))
    area = area_of_edits([left, right][::order], columns(0, 200))
    assert area.wood is not None
    assert area.not_wood is not None
    assert np.array_equal(area.wood, columns(80, 100))
    assert not area.not_wood.any()


def test_what_is_added_to_the_piece_has_an_unknown_material() -> None:
    area = area_of_edits([EditedPart("", columns(50, 100), columns(60, 120))], columns(50, 120))
    assert area.wood is not None
    assert not area.wood.any()
    assert np.array_equal(area.not_wood, columns(50, 60))  # although it is still in a part


def test_without_edits_the_area_is_everywhere() -> None:
    assert area_of_edits([], columns(0, 0)).is_everywhere


def test_the_stain_stays_inside_the_parts() -> None:
    stained = stain(SCENE.photo_srgb, SCENE.maps, EBONY, area=StainArea(only=columns(0, 160)))
    assert np.array_equal(stained.preview[:, 160:], SCENE.photo_srgb[:, 160:])
    board = SCENE.wood[:, 20:140] > 0
    assert stained.preview[:, 20:140][board].mean() < 0.6 * SCENE.photo_srgb[:, 20:140][board].mean()
    assert stained.wood_share == pytest.approx(0.3, abs=0.02)
    assert stained.delta_e < 2


def test_a_photo_that_shows_none_of_the_parts_stays_unchanged() -> None:
    stained = stain(SCENE.photo_srgb, SCENE.maps, EBONY, area=StainArea(only=columns(0, 0)))
    assert np.array_equal(stained.preview, SCENE.photo_srgb)
    assert (stained.wood_share, stained.reached, stained.delta_e) == (0.0, "", 0.0)


def test_edits_are_followed_to_the_pixel() -> None:
    sticker = np.zeros_like(SCENE.wood)
    sticker[200:206, 100:106] = 255
    area = StainArea(wood=columns(0, 8), not_wood=sticker)
    mask = stain(SCENE.photo_srgb, SCENE.maps, EBONY, area=area).wood_mask
    assert (mask[:, :8] == 255).all()
    assert (mask[:80, 20:] < 128).all()
    assert (mask[200:206, 100:106] == 0).all()
    assert (mask[190:199, 100:106] == 255).all()


def test_an_edited_mask_of_the_wood_replaces_the_wood_of_the_models() -> None:
    stained = stain(SCENE.photo_srgb, SCENE.maps, EBONY, area=StainArea(all_wood=columns(10, 20)))
    assert np.array_equal(stained.wood_mask, columns(10, 20))


def test_added_wood_is_stained_although_the_models_find_none() -> None:
    nothing = replace(SCENE.maps, material=SCENE.maps.material[::-1] * 0)
    with pytest.raises(NoWoodFound):
        stain(SCENE.photo_srgb, nothing, EBONY)
    stained = stain(SCENE.photo_srgb, nothing, EBONY, area=StainArea(wood=columns(0, 100)))
    assert np.array_equal(stained.wood_mask, columns(0, 100))


def test_the_parts_of_the_models_follow_the_edges_of_the_photo() -> None:
    mask = area_of_parts(SCENE.photo_srgb, SCENE.maps, ("tabletop",)) > 127
    assert (mask == (SCENE.wood > 0)).mean() > 0.98
    assert not area_of_parts(SCENE.photo_srgb, SCENE.maps, ("door",)).any()


def test_maps_follow_the_statements_and_the_edits() -> None:
    area = StainArea(wood=columns(0, 40), not_wood=columns(280, 320))
    maps = known_wood(SCENE.maps, (PartMaterial("metal", "shelf"),), {"shelf": columns(100, 140)}, area)
    assert (maps.wood[:, :20] == 1).all()
    assert (maps.wood[:, 140:] == 0).all()
    assert (maps.wood[:, 50:70] == 0).all()
    assert np.array_equal(maps.wood[:, 80:130], SCENE.maps.wood[:, 80:130])
    exact = known_wood(SCENE.maps, (), {}, StainArea(all_wood=columns(0, 40)))
    assert np.array_equal(exact.wood[0] == 1, np.arange(160) < 20)
