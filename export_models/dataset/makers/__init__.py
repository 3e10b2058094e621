"""Generates random, plausible pieces of furniture with exact part labels.

Coordinates are in metres with +X right, +Y back and +Z up; the piece stands on z = 0 and faces -Y.

Names and conventions in this package:

- ``build_...`` adds all parts of one design to a ``PieceBuilder``; ``add_...`` adds some of them. The table ``KINDS``
  in ``kinds.py`` lists the designs of each kind.
- ``draw_...`` returns randomly drawn values.
- Other functions, such as ``board`` or ``pad``, return a ``Solid``.
- ``t`` is a thickness. ``x`` and ``y`` without further qualification are half the width and half the depth; ``sx`` and
  ``sy`` are the signs of a corner, -1 or 1.
- ``px`` and ``py`` are the coordinates of one of several similar parts.
- ``under`` is the height of the underside of a top or a seat.
- Adjoining parts overlap by about 1 mm, so that no gap shows between them. Faces that would lie in one plane are
  0.2 to 1 mm apart, because coplanar faces render as black patches.
- Dictionaries of options map each option to its relative weight, see ``piece.pick``. Weights and dimension ranges
  aim at furniture that a shop could sell; they are not tuned.

The random draws and their order define which piece a seed makes. Changing them changes every data set. Some
dictionaries contain a random draw in each value. Python evaluates every value, so all of these draws are made, although
only one value is used.
"""

from __future__ import annotations

import numpy as np

from export_models.dataset.makers.kinds import KINDS
from export_models.dataset.makers.piece import Design, Part, Piece, PieceBuilder

__all__ = ["KINDS", "Design", "Part", "Piece", "make_piece"]


def make_piece(kind: str, seed: int, design: Design | None = None) -> Piece:
    """Generate one piece of ``kind``. The same seed and NumPy version give the same piece on every machine.

    Args:
        design: one of the designs of the kind. The default is a random one.
    """
    builder = PieceBuilder(np.random.default_rng([seed, *kind.encode()]))
    build = design or builder.pick(KINDS[kind])
    build(builder)
    return builder.build(kind)
