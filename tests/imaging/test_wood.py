from __future__ import annotations

import numpy as np
import pytest

from orchestrator.domain.images import FloatMap
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.stain import Region
from orchestrator.imaging.wood import wood_probability
from tests.support.material_maps import flat_maps

HEIGHT, WIDTH = 60, 100


def maps(foreground: FloatMap, wood: FloatMap) -> MaterialMaps:
    return flat_maps({"background": 1 - foreground, "body": foreground}, {"wood": wood, "other": 1 - wood})


@pytest.fixture
def foreground() -> FloatMap:
    """A piece in columns 20 to 60 of rows 10 to 50."""
    piece = np.zeros((HEIGHT, WIDTH), np.float32)
    piece[10:50, 20:60] = 1.0
    return piece


def test_a_shaded_side_outside_the_piece_mask_is_wood_of_the_piece(foreground: FloatMap) -> None:
    wood = foreground.copy()
    wood[10:50, 60:70] = 0.9  # wood that continues beyond the piece, a fifth of the patch
    probability = wood_probability(maps(foreground, wood), Region.AUTO)
    assert probability[30, 65] > 0.5


def test_a_wooden_floor_that_touches_the_piece_is_not_wood_of_the_piece(foreground: FloatMap) -> None:
    wood = foreground.copy()
    wood[50:, :] = 0.9
    probability = wood_probability(maps(foreground, wood), Region.PIECE)
    assert probability[30, 40] > 0.5
    assert (probability[50:] == 0).all()


def test_without_a_piece_the_region_piece_contains_no_wood(foreground: FloatMap) -> None:
    nothing = maps(np.zeros_like(foreground), foreground)
    assert (wood_probability(nothing, Region.PIECE) == 0).all()
    assert np.array_equal(wood_probability(nothing, Region.PICTURE), foreground)
