"""What callers state about materials, in the names of the vocabulary."""

from __future__ import annotations

import pytest

from orchestrator.domain.made_of import PartMaterial, combine, resolve_made_of, resolve_part
from orchestrator.errors import InvalidInput

WOOD = PartMaterial("wood")
METAL_LEGS = PartMaterial("metal", "leg")


def test_names_are_replaced_by_those_of_the_vocabulary() -> None:
    made_of = [PartMaterial("Timber"), PartMaterial("steel", "Feet")]
    assert resolve_made_of("stain.made_of", made_of, ()) == (WOOD, METAL_LEGS)


def test_the_same_statement_in_other_words_counts_once() -> None:
    assert resolve_made_of("stain.made_of", [METAL_LEGS, PartMaterial("iron", "legs")], ()) == (METAL_LEGS,)


@pytest.mark.parametrize(
    ("made_of", "field", "message"),
    [
        ([PartMaterial("unobtainium")], "stain.made_of[0].material", "allowed are other, wood, fabric"),
        ([WOOD, PartMaterial("")], "stain.made_of[1].material", "'' is not a known material"),
        ([PartMaterial("wood", "headboard")], "stain.made_of[0].part", "allowed are body, leg, .*, hardware, tray"),
        ([PartMaterial("wood", " ")], "stain.made_of[0].part", "' ' is not a known part"),
        ([WOOD, PartMaterial("metal")], "stain.made_of[1]", "the piece is said to be both wood and metal"),
        ([METAL_LEGS, PartMaterial("oak", "feet")], "stain.made_of[1]", "leg is said to be both metal and wood"),
    ],
)
def test_unknown_and_contradictory_statements_are_refused(
    made_of: list[PartMaterial], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        resolve_made_of("stain.made_of", made_of, ["tray"])
    assert refused.value.field == field


def test_names_of_detectors_are_allowed() -> None:
    assert resolve_made_of("f", [PartMaterial("wood", "Serving tray")], ["serving_tray"])[0].part == "serving_tray"
    assert resolve_part("f", "anything", None) == "anything"


def test_a_specific_statement_replaces_a_general_one() -> None:
    assert combine((WOOD, METAL_LEGS), (PartMaterial("wood", "leg"),)) == (WOOD, PartMaterial("wood", "leg"))
