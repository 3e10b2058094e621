"""The words of callers and detectors for parts and materials."""

from __future__ import annotations

import pytest

from export_models.baselines import segmentation
from orchestrator.domain.vocabulary import COMPONENTS, MATERIALS, component_name, material_name


def test_the_vocabulary_is_that_of_the_segmentation_model() -> None:
    assert ("background", *COMPONENTS) == segmentation.COMPONENTS
    assert MATERIALS == segmentation.MATERIALS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("leg", "leg"),
        ("Legs", "leg"),
        ("feet", "leg"),
        ("shelves", "shelf"),
        ("bodies", "body"),
        (" Table Top ", "top"),
        ("tabletops", "top"),
        ("Seat-Cushions", "cushion"),
        ("drawer front", "drawer"),
        ("handles", "hardware"),
        ("glass", "glass"),
        ("Left Leg", "left_leg"),
        ("", "other"),
        ("x" * 60, "x" * 40),
    ],
)
def test_a_part_is_known_by_its_synonyms_and_plurals(text: str, name: str) -> None:
    assert component_name(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("wood", "wood"),
        ("Solid wood", "wood"),
        ("timber", "wood"),
        ("OAK", "wood"),
        ("stainless steel", "metal"),
        ("velvet", "fabric"),
        ("lacquer", "painted"),
        ("rattan", "other"),
        ("unobtainium", ""),
        ("", ""),
    ],
)
def test_a_material_is_known_by_its_synonyms(text: str, name: str) -> None:
    assert material_name(text) == name
