"""Where to stain: the likelihood of wood, from the models' answers."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.stain import Region

PIECE_SHARES = (0.02, 0.9)
"""A piece stands out when it fills this much of the picture: not a speck, and not everything."""
PIECE_WOOD = 0.5
"""The piece holds most of the wood when it holds more than this share of it."""
PIECE_PART = 0.6
"""A patch of wood with more than this share inside the piece belongs to it whole: its shaded side was missed.
Not where it leaves the picture beyond the piece, as a floor does."""


def wood_probability(maps: MaterialMaps, region: Region) -> FloatMap:
    """[h, w] in [0, 1]: wood inside the region, at model resolution."""
    if region is Region.PIECE or (region is Region.AUTO and _piece_holds_the_wood(maps)):
        return _wood_of_piece(maps)
    return maps.wood


def _wood_of_piece(maps: MaterialMaps) -> FloatMap:
    """The wood of the piece, by Bayes' rule: where much of the piece is wood, its doubtful parts are wood sooner."""
    inside = maps.foreground
    share = float((maps.wood * inside).sum() / max(inside.sum(), 1e-6))
    doubted = (1.0 - maps.wood) * (1.0 - share)
    wood = maps.wood * share / np.maximum(maps.wood * share + doubted, 1e-6)
    _, patches = cv2.connectedComponents((maps.wood > 0.5).astype(np.uint8))
    area = np.bincount(patches.ravel())
    held = np.bincount(patches.ravel(), inside.ravel()) > PIECE_PART * area
    border = np.ones(inside.shape, bool)
    border[1:-1, 1:-1] = False
    held[patches[border & (inside < 0.5)]] = False
    held[0] = False  # what is no wood
    return np.asarray(wood * np.maximum(inside, held[patches]), np.float32)


def _piece_holds_the_wood(maps: MaterialMaps) -> bool:
    piece = maps.foreground > 0.5
    wood = float(maps.wood.sum())
    share = float(piece.mean())
    return PIECE_SHARES[0] < share < PIECE_SHARES[1] and wood > 0 and float(maps.wood[piece].sum()) > PIECE_WOOD * wood
