from __future__ import annotations

import re

from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS


def test_the_catalogue_has_at_least_fourteen_stains_with_names_for_programs_and_people():
    assert len(STAINS) >= 14
    for name, stain in STAINS.items():
        assert name == stain.name
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert stain.label
        assert stain.description.endswith(".")
        assert 1 <= stain.typical_coats <= 3


def test_every_stain_is_a_colour_of_its_own():
    assert len({stain.color for stain in STAINS.values()}) == len(STAINS)


def test_every_stain_can_be_asked_for():
    for stain in STAINS.values():
        assert StainOptions(stain.color, stain_name=stain.name).coats == 1.0
