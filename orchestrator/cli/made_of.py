"""Options that state what a piece and its parts are made of, and which parts to stain."""

from __future__ import annotations

from typing import Annotated

from orchestrator.cli.arguments import optional
from orchestrator.protocol.heartwood.v1.made_of_pb2 import PartMaterial

MADE_OF_HELP = "Known material of the piece, such as wood, or of a part, such as leg=metal. Repeatable."
PARTS_HELP = "Stain only these parts, such as top,drawer."

MadeOf = Annotated[list[str] | None, optional("--made-of", help=MADE_OF_HELP, metavar="[PART=]MATERIAL")]
Parts = Annotated[str, optional("--parts", help=PARTS_HELP, metavar="PART,…")]


def known_materials(made_of: list[str] | None) -> list[PartMaterial]:
    """Return the materials that ``--made-of`` states, each as MATERIAL or PART=MATERIAL."""
    pairs = (text.rpartition("=") for text in made_of or ())
    return [PartMaterial(part=part.strip(), material=material.strip()) for part, _, material in pairs]


def part_names(text: str) -> list[str]:
    """Return the names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]
