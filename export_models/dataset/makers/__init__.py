"""Random, plausible furniture with true component labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export_models.dataset.makers.beds import bed
from export_models.dataset.makers.cabinets import cabinet
from export_models.dataset.makers.chairs import chair
from export_models.dataset.makers.desks import desk
from export_models.dataset.makers.dressers import dresser
from export_models.dataset.makers.piece import Part, Piece
from export_models.dataset.makers.shelves import shelf
from export_models.dataset.makers.sofas import armchair, sofa
from export_models.dataset.makers.stools import stool
from export_models.dataset.makers.tables import table

__all__ = ["KINDS", "Part", "Piece", "make_piece"]

KINDS: dict[str, Callable[[np.random.Generator], Piece]] = {
    "chair": chair,
    "armchair": armchair,
    "sofa": sofa,
    "table": table,
    "desk": desk,
    "bed": bed,
    "cabinet": cabinet,
    "shelf": shelf,
    "dresser": dresser,
    "stool": stool,
}


def make_piece(kind: str, seed: int) -> Piece:
    """Make one piece; the same seed makes the same piece, on every machine with the same numpy."""
    return KINDS[kind](np.random.default_rng([seed, *kind.encode()]))
