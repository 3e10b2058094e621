"""Generates random, plausible pieces of furniture with exact part labels.

Coordinates are in metres with +X right, +Y back and +Z up; the piece stands on z = 0 and faces -Y.

Naming in this package:

- A function named after a kind, such as ``chair``, generates a complete ``Piece``.
- ``build_...`` adds all parts of one design to a ``PieceBuilder``; ``add_...`` adds some of them.
- ``draw_...`` returns randomly drawn values.
- Other functions, such as ``board`` or ``pad``, return a ``Solid``.
- ``t`` is a thickness. ``x`` and ``y`` without further qualification are half the width and half the depth; ``sx`` and
  ``sy`` are the signs of a corner, -1 or 1.
- ``under`` is the height of the underside of a top or a seat.
- Adjoining parts overlap by about 1 mm, so that no gap shows between them.
- Dictionaries of options map each option to its relative weight, see ``piece.pick``. Weights and dimension ranges
  aim at furniture that a shop could sell; they are not tuned.

The random draws and their order define which piece a seed makes. Changing them changes every data set. Some
dictionaries contain a random draw in each value. Python evaluates every value, so all of these draws are made, although
only one value is used.
"""

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
    """Generate one piece of ``kind``. The same seed and NumPy version give the same piece on every machine."""
    return KINDS[kind](np.random.default_rng([seed, *kind.encode()]))
