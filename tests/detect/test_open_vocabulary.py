"""The open-vocabulary detector searches the caller's names, or the usual parts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from orchestrator.detect.detectors import create_detector
from orchestrator.detect.open_vocabulary import (
    DEFAULT_NAMES,
    MAX_PART_NAMES,
    OpenVocabularyDetector,
    check_part_names,
)
from orchestrator.domain.images import Image
from orchestrator.domain.model_roles import NamedBox, PartFinder
from orchestrator.domain.progress import no_progress
from orchestrator.domain.segment import Box, DetectorName, SegmentOptions
from orchestrator.errors import InvalidInput
from tests.support.wooden_scene import wooden_scene

SCENE = wooden_scene()


class Finder(PartFinder):
    """Finds one box of each name, and records the names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find(self, photo_srgb: Image, names: Sequence[str]) -> tuple[NamedBox, ...]:
        height, width = photo_srgb.shape[:2]
        self.names = list(names)
        return tuple(NamedBox(name, 0.4, Box(0, 0, width, height / 2)) for name in names)


def detect(finder: Finder, *names: str) -> list[tuple[str, float, Box | None]]:
    options = SegmentOptions(detector=DetectorName.OPEN_VOCABULARY, part_names=names)
    found = OpenVocabularyDetector(finder).detect(SCENE.photo_srgb, SCENE.maps, options, 0, no_progress)
    return [
        (candidate.name, candidate.confidence, candidate.prompt and candidate.prompt.box)
        for candidate in found.candidates
    ]


def test_found_boxes_become_prompts_with_the_names_of_components() -> None:
    height, width = SCENE.photo_srgb.shape[:2]
    box = Box(0, 0, width, height / 2)
    assert detect(Finder(), "Table Legs", "door handle") == [("table_legs", 0.4, box), ("door_handle", 0.4, box)]
    assert detect(Finder(), "legs")[0][0] == "leg"


def test_without_names_the_usual_parts_are_searched() -> None:
    finder = Finder()
    detect(finder)
    assert finder.names == list(DEFAULT_NAMES)
    assert {"leg", "seat", "handle"} <= set(finder.names)


def test_the_detector_needs_its_model() -> None:
    with pytest.raises(InvalidInput, match=r"needs the model 'owlv2': run `heartwood models pull owlv2`") as caught:
        create_detector(DetectorName.OPEN_VOCABULARY, None)
    assert caught.value.field == "segment.detector"
    assert isinstance(create_detector(DetectorName.OPEN_VOCABULARY, None, Finder()), OpenVocabularyDetector)


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (["leg", "  "], r"part_names\[1\]: '  ' is not allowed"),
        (["x" * 41], r"part_names\[0\]: 'x+' is not allowed; a name has 1 to 40 characters"),
        (["leg"] * (MAX_PART_NAMES + 1), "part_names: there are 33 names; at most 32 are allowed"),
    ],
)
def test_unusable_names_are_rejected(names: list[str], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        check_part_names(names)
    check_part_names(["door handle"] * MAX_PART_NAMES)
