"""The detector ``local`` turns the output of the segmentation model into components without specks or gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.detect.detector import Candidate
from orchestrator.detect.local import LocalDetector
from orchestrator.domain.images import FloatMap
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import no_progress
from orchestrator.domain.segment import SegmentOptions
from tests.support.wooden_scene import wooden_scene

NAMES = ("background", "top", "leg", "seat", "hardware")
SIDE = 200


@pytest.fixture
def table() -> np.ndarray:
    """[h, w] class of each pixel: a table with a top and one leg."""
    classes = np.zeros((SIDE, SIDE), int)
    classes[40:80, 20:180] = 1
    classes[80:180, 90:110] = 2
    return classes


def maps_of(classes: np.ndarray, probability: float = 0.4) -> MaterialMaps:
    """Maps in which each pixel's class has a low probability, but a higher one than the other classes."""
    component = np.full((len(NAMES), SIDE, SIDE), (1 - probability) / (len(NAMES) - 1), np.float32)
    np.put_along_axis(component, classes[None], probability, axis=0)
    return replace(wooden_scene(SIDE, SIDE).maps, component=component, component_names=NAMES)


def detect(classes: np.ndarray) -> tuple[Candidate, ...]:
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    return LocalDetector().detect(photo, maps_of(classes), SegmentOptions(), 0, no_progress).candidates


def likelihood(candidate: Candidate) -> FloatMap:
    assert candidate.likelihood is not None
    return candidate.likelihood


def test_components_meet_without_a_gap(table: np.ndarray) -> None:
    candidates = detect(table)
    assert [candidate.name for candidate in candidates] == ["top", "leg"]
    for number, candidate in enumerate(candidates, 1):
        assert np.array_equal(likelihood(candidate) > 0.5, table == number)


def test_a_speck_becomes_part_of_the_class_around_it(table: np.ndarray) -> None:
    classes = table.copy()
    classes[55:60, 50:60] = 3  # a seat inside the top, 0.13 % of the image
    classes[150:154, 20:24] = 2  # a leg on the floor
    candidates = detect(classes)
    assert [candidate.name for candidate in candidates] == ["top", "leg"]
    assert np.array_equal(likelihood(candidates[0]) > 0.5, table == 1)


def test_hardware_of_the_size_of_a_speck_is_a_component(table: np.ndarray) -> None:
    table[55:60, 50:60] = 4
    candidates = {candidate.name: candidate for candidate in detect(table)}
    assert set(candidates) == {"top", "leg", "hardware"}
    assert np.array_equal(likelihood(candidates["hardware"]) > 0.5, table == 4)


def test_two_legs_are_two_components(table: np.ndarray) -> None:
    table[80:180, 30:50] = 2
    assert [candidate.name for candidate in detect(table)] == ["top", "leg", "leg"]
