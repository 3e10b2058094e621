"""What the segmentation model says becomes components without specks and without gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.detect import local
from orchestrator.domain.material_maps import MaterialMaps
from tests.support.wooden_scene import wooden_scene

NAMES = ("background", "top", "leg", "seat", "hardware")
SIDE = 200


@pytest.fixture
def painted() -> np.ndarray:
    """[C, h, w]: a table whose top and leg are all told, but weakly."""
    winners = np.zeros((SIDE, SIDE), int)
    winners[40:80, 20:180] = 1
    winners[80:180, 90:110] = 2
    return winners


def maps_of(winners: np.ndarray, sure: float = 0.4) -> MaterialMaps:
    likely = np.full((len(NAMES), SIDE, SIDE), (1 - sure) / (len(NAMES) - 1), np.float32)
    np.put_along_axis(likely, winners[None], sure, axis=0)
    return replace(wooden_scene(SIDE, SIDE).maps, component=likely, component_names=NAMES)


def test_components_meet_without_a_gap(painted: np.ndarray) -> None:
    regions = local.detect(maps_of(painted))
    assert [region.name for region in regions] == ["top", "leg"]
    for number, region in enumerate(regions, 1):
        assert np.array_equal(region.likelihood > 0.5, painted == number)


def test_a_speck_belongs_to_what_is_around_it(painted: np.ndarray) -> None:
    seen = painted.copy()
    seen[55:60, 50:60] = 3  # a seat in the top, 0.13 % of the picture
    seen[150:154, 20:24] = 2  # a leg on the floor
    regions = local.detect(maps_of(seen))
    assert [region.name for region in regions] == ["top", "leg"]
    assert np.array_equal(regions[0].likelihood > 0.5, painted == 1)


def test_a_handle_is_no_speck(painted: np.ndarray) -> None:
    painted[55:60, 50:60] = 4
    found = {region.name: region for region in local.detect(maps_of(painted))}
    assert set(found) == {"top", "leg", "hardware"}
    assert np.array_equal(found["hardware"].likelihood > 0.5, painted == 4)


def test_two_legs_are_two_components(painted: np.ndarray) -> None:
    painted[80:180, 30:50] = 2
    assert [region.name for region in local.detect(maps_of(painted))] == ["top", "leg", "leg"]
