"""The catalogue of named stains. A stain's colour is what a stained board of ordinary wood looks like on average."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.srgb_color import SrgbColor


@dataclass(frozen=True)
class Stain:
    """A stain that a customer can ask for by name.

    Attributes:
        name: lower case with dashes, for programs.
        label: for people.
        color: the mean colour of the finished wood.
        description: one sentence for people.
        typical_coats: how many coats a painter puts on to get this colour.
    """

    name: str
    label: str
    color: SrgbColor
    description: str
    typical_coats: int


def _stain(name: str, label: str, color: str, typical_coats: int, description: str) -> Stain:
    return Stain(name, label, SrgbColor.parse(color), description, typical_coats)


STAINS: dict[str, Stain] = {
    stain.name: stain
    for stain in (
        _stain("walnut", "Walnut", "#5D432C", 2, "A cool, deep brown; the classic for tables and cabinets."),
        _stain("dark-walnut", "Dark Walnut", "#46311F", 3, "Walnut a shade deeper, nearly chocolate."),
        _stain("golden-oak", "Golden Oak", "#A97B45", 1, "Honey gold, warm and light."),
        _stain("natural-oak", "Natural Oak", "#B8935F", 1, "Oak under clear oil."),
        _stain("provincial", "Provincial", "#7A5A3C", 2, "A medium brown between oak and walnut."),
        _stain("honey", "Honey", "#B57A3B", 1, "Bright amber with a little orange."),
        _stain("chestnut", "Chestnut", "#7B4A2D", 2, "A warm reddish brown."),
        _stain("cherry", "Cherry", "#8A4B32", 2, "Red-brown, as cherry turns with age."),
        _stain("red-mahogany", "Red Mahogany", "#6A2F24", 2, "Deep red-brown, formal."),
        _stain("teak", "Teak", "#96683F", 1, "Golden brown, as oiled teak."),
        _stain("espresso", "Espresso", "#3A2A22", 3, "Almost black brown, modern."),
        _stain("ebony", "Ebony", "#2B2724", 3, "Black with the grain still showing."),
        _stain("weathered-grey", "Weathered Grey", "#8C857B", 1, "Silver grey, as wood left outdoors."),
        _stain("driftwood", "Driftwood", "#A4957F", 1, "A light greyed beige."),
        _stain("whitewash", "Whitewash", "#D3C6B2", 2, "Bleached and limed; the lightest of the catalogue."),
        _stain("slate-blue", "Slate Blue", "#566673", 2, "A muted blue that lets the grain through."),
    )
}
