from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from orchestrator.domain.images import BoolMask, FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging.color import linear_from_srgb
from orchestrator.imaging.refine import PIECE_EDGE
from orchestrator.imaging.surfaces import TYPICAL_ROUGHNESS, decide_by_surface, has_edges
from tests.support.material_maps import flat_maps

SIZE = 160
BROWN = (150, 100, 60)
BLACK = (30, 28, 30)
MATERIALS = ("other", "wood", "leather", "fabric")


def area(top: int, bottom: int, left: int, right: int) -> BoolMask:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top:bottom, left:right] = True
    return mask


BOARD = area(30, 130, 20, 140)


def photo_of(*surfaces: tuple[BoolMask, tuple[int, int, int]]) -> Image:
    """Return a photo of surfaces on white paper, with a gradient of light and noise."""
    photo = np.full((SIZE, SIZE, 3), 250.0)
    for mask, color in surfaces:
        photo[mask] = np.array(color) * np.linspace(0.7, 1.1, SIZE)[:, None, None].repeat(SIZE, 1)[mask]
    photo += np.random.default_rng(1).normal(0.0, 2.0, photo.shape)
    return np.asarray(np.clip(photo, 0, 255), np.uint8)


def maps_of(photo_srgb: Image, piece: BoolMask, wood: FloatMap, leather: FloatMap | None = None) -> MaterialMaps:
    """Return maps with the likelihoods of wood and leather on the piece, which is one part. The rest is fabric."""
    outline = piece.astype(np.float32)
    leather = np.zeros_like(wood) if leather is None else leather
    return flat_maps(
        {"background": 1 - outline, "body": outline},
        {
            "other": (1 - wood - leather) * (1 - outline),
            "wood": wood,
            "leather": leather,
            "fabric": (1 - wood - leather) * outline,
        },
        albedo_linear=linear_from_srgb(photo_srgb),
    )


def test_a_board_is_wood_as_a_whole_although_the_model_misses_a_quarter_of_it() -> None:
    photo = photo_of((BOARD, BROWN))
    wood = np.where(BOARD, 0.9, 0.0).astype(np.float32)
    wood[100:130, 20:120] = 0.15
    assert (decide_by_surface(photo, maps_of(photo, BOARD, wood)).wood[BOARD] > 0.5).all()


def test_a_cushion_is_no_wood_although_the_model_sees_wood_on_a_quarter_of_it() -> None:
    photo = photo_of((BOARD, (120, 130, 150)))
    wood = np.where(BOARD, 0.1, 0.0).astype(np.float32)
    wood[100:130, 20:120] = 0.85
    assert (decide_by_surface(photo, maps_of(photo, BOARD, wood)).wood[BOARD] < 0.5).all()


@pytest.mark.parametrize("likelihood", [0.27, 0.3, 0.33])
def test_a_board_of_uncertain_material_is_decided_as_a_whole(likelihood: float) -> None:
    photo = photo_of((BOARD, BROWN))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    wave = 0.2 * np.sin(rows / 12) * np.sin(columns / 17)
    wood = np.where(BOARD, likelihood + wave, 0.0).astype(np.float32)
    decided = decide_by_surface(photo, maps_of(photo, BOARD, wood)).wood[BOARD] > 0.5
    assert decided.all() or not decided.any()


def test_what_may_be_wood_or_wicker_is_wood() -> None:
    photo = photo_of((BOARD, BROWN))
    outline = BOARD.astype(np.float32)
    maps = flat_maps(
        {"background": 1 - outline, "body": outline},
        {"other": 1 - 0.25 * outline, "wood": 0.25 * outline},
        albedo_linear=linear_from_srgb(photo),
    )
    assert (decide_by_surface(photo, maps).wood[BOARD] > 0.5).all()


def test_a_leather_pad_on_a_wooden_seat_keeps_its_material() -> None:
    pad = area(55, 105, 50, 110)
    photo = photo_of((BOARD, BROWN), (pad, BLACK))
    wood = np.where(BOARD & ~pad, 0.9, 0.05).astype(np.float32)
    leather = np.where(pad, 0.9, 0.0).astype(np.float32)
    decided = decide_by_surface(photo, maps_of(photo, BOARD, wood, leather)).material.argmax(0)
    rim = cv2.dilate(pad.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~cv2.erode(
        pad.astype(np.uint8), np.ones((5, 5), np.uint8)
    ).astype(bool)
    assert (decided[pad & ~rim] == MATERIALS.index("leather")).all()
    assert (decided[BOARD & ~pad & ~rim] == MATERIALS.index("wood")).all()


def test_a_board_is_one_part_although_the_model_takes_patches_of_it_for_another_part() -> None:
    photo = photo_of((BOARD, BROWN))
    knob, outline = area(75, 83, 78, 86), BOARD.astype(np.float32)
    hardware = knob * np.float32(0.8)
    shelf = np.where(area(35, 60, 25, 60) | area(100, 125, 90, 130), 0.6, 0.2).astype(np.float32) * (outline - hardware)
    parts = {"background": 1 - outline, "body": outline - shelf - hardware, "shelf": shelf, "hardware": hardware}
    maps = flat_maps(parts, {"other": 1 - 0.9 * outline, "wood": 0.9 * outline}, albedo_linear=linear_from_srgb(photo))
    decided = decide_by_surface(photo, maps)
    names = np.array(tuple(parts))[decided.component.argmax(0)]
    assert (names[BOARD & ~knob] == "body").all()
    assert (names[knob] == "hardware").all()
    assert (names[~BOARD] == "background").all()
    assert np.allclose(decided.component.sum(0), 1, atol=1e-6)


def test_paper_and_board_are_told_apart_by_colour_where_the_model_is_wrong() -> None:
    photo = photo_of((BOARD, BROWN))
    missed, taken = area(90, 110, 60, 100), area(132, 142, 60, 100)
    piece = np.where(missed, 0.3, np.where(taken, 0.6, np.where(BOARD, 0.95, 0.05))).astype(np.float32)
    maps = flat_maps(
        {"background": 1 - piece, "body": piece},
        {"other": 0.3 + 0 * piece, "wood": 0.7 + 0 * piece},
        albedo_linear=linear_from_srgb(photo),
    )
    decided = decide_by_surface(photo, maps).foreground > PIECE_EDGE
    assert decided[missed].all()
    assert not decided[taken].any()


def test_roughness_is_mostly_typical_of_the_material_on_the_piece_only() -> None:
    photo = photo_of((BOARD, BROWN))
    estimated = np.full((SIZE, SIZE), 0.9, np.float32)
    maps = replace(maps_of(photo, BOARD, np.where(BOARD, 0.95, 0.0).astype(np.float32)), roughness=estimated)
    decided = decide_by_surface(photo, maps).roughness
    assert np.allclose(decided[BOARD], 0.25 * 0.9 + 0.75 * TYPICAL_ROUGHNESS["wood"], atol=0.02)
    assert np.allclose(decided[~BOARD], 0.9, atol=0.02)


def test_materials_outside_the_piece_stay_those_of_the_model() -> None:
    photo = photo_of((BOARD, BROWN))
    maps = maps_of(photo, BOARD, np.full((SIZE, SIZE), 0.3, np.float32))
    assert np.array_equal(decide_by_surface(photo, maps).material[:, ~BOARD], maps.material[:, ~BOARD])


def test_the_evidence_of_a_surface_excludes_the_rest_of_the_piece() -> None:
    pad = area(55, 105, 50, 110)
    photo = photo_of((BOARD, BROWN), (pad, BLACK))
    wood = np.where(BOARD & ~pad, 0.9, np.where(pad, 0.4, 0.0)).astype(np.float32)
    decided = decide_by_surface(photo, maps_of(photo, BOARD, wood))
    assert decided.wood[80, 80] > 0.5  # the rest of the piece is wood
    assert decided.surface_material is not None
    assert decided.surface_material[MATERIALS.index("wood"), 80, 80] < 0.5


BLANK_PHOTOS = {
    "white": np.full((300, 400), 255.0),
    "black": np.zeros((300, 400)),
    "gradient": np.linspace(180, 255, 400)[None].repeat(300, 0),
    "vignette": 255 - 80 * (np.hypot(*np.mgrid[-1:1:300j, -1:1:400j]) ** 2) / 2,
    "noise": 240 + np.random.default_rng(1).normal(0, 4, (300, 400)),
}


@pytest.mark.parametrize("name", BLANK_PHOTOS)
def test_a_blank_photo_contains_no_piece(name: str) -> None:
    photo = np.dstack([np.clip(BLANK_PHOTOS[name], 0, 255).astype(np.uint8)] * 3)
    everything = np.ones((SIZE, SIZE), bool)
    maps = maps_of(photo[:SIZE, :SIZE], everything, np.full((SIZE, SIZE), 0.5, np.float32))
    assert decide_by_surface(photo, maps).foreground.max() == 0


@pytest.mark.parametrize("size", [(64, 16_400), (16_400, 64), (40, 1)])
def test_a_photo_may_be_a_narrow_strip(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(1).integers(0, 255, (*size, 3), dtype=np.uint8)
    scale = min(1.0, 1024 / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    ones = np.ones((height, width), np.float32)
    strip = flat_maps(
        {"background": 0 * ones, "body": ones},
        {"other": 0.1 * ones, "wood": 0.5 * ones, "leather": 0.3 * ones, "fabric": 0.1 * ones},
        albedo_linear=np.dstack([0.5 * ones] * 3),
    )
    assert decide_by_surface(photo, strip).material.shape == (len(MATERIALS), height, width)


def test_a_white_piece_on_white_paper_has_edges() -> None:
    photo = np.full((500, 500, 3), 255, np.uint8)
    photo[100:400, 100:400] = 246
    assert has_edges(photo)
