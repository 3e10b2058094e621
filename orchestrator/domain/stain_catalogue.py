"""The catalogue of named stains."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.srgb_color import SrgbColor


@dataclass(frozen=True)
class Stain:
    """A named stain."""

    name: str  # lower case with dashes, for programs
    label: str  # the name for people
    color: SrgbColor  # the mean colour of a stained board of ordinary wood
    typical_coats: int  # number of coats that a painter applies for this colour
    description: str  # one sentence for people


STAINS = {
    name: Stain(name, label, SrgbColor.parse(color), coats, description)
    for name, label, color, coats, description in (
        ("walnut", "Walnut", "#5D432C", 2, "A cool, deep brown; the classic for tables and cabinets."),
        ("dark-walnut", "Dark Walnut", "#46311F", 3, "Walnut a shade deeper, nearly chocolate."),
        ("golden-oak", "Golden Oak", "#A97B45", 1, "Honey gold, warm and light."),
        ("natural-oak", "Natural Oak", "#B8935F", 1, "Oak under clear oil."),
        ("provincial", "Provincial", "#7A5A3C", 2, "A medium brown between oak and walnut."),
        ("honey", "Honey", "#B57A3B", 1, "Bright amber with a little orange."),
        ("chestnut", "Chestnut", "#7B4A2D", 2, "A warm reddish brown."),
        ("cherry", "Cherry", "#8A4B32", 2, "Red-brown, as cherry turns with age."),
        ("red-mahogany", "Red Mahogany", "#6A2F24", 2, "Deep red-brown, formal."),
        ("teak", "Teak", "#96683F", 1, "Golden brown, as oiled teak."),
        ("espresso", "Espresso", "#3A2A22", 3, "Almost black brown, modern."),
        ("ebony", "Ebony", "#2B2724", 3, "Black with the grain still showing."),
        ("weathered-grey", "Weathered Grey", "#8C857B", 1, "Silver grey, as wood left outdoors."),
        ("driftwood", "Driftwood", "#A4957F", 1, "A light greyed beige."),
        ("whitewash", "Whitewash", "#D3C6B2", 2, "Bleached and limed; the lightest of the catalogue."),
        ("slate-blue", "Slate Blue", "#566673", 2, "A muted blue that lets the grain through."),
    )
}
