"""Determines which pixels to stain, from the model outputs."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.stain import Region
from orchestrator.imaging.refine import EDGE_LIKELIHOOD, PIECE_EDGE

MIN_PIECE_SHARE = 0.02
"""A piece that covers a smaller share of the photo is treated as noise. Not tuned."""
MAX_PIECE_SHARE = 0.9
"""A piece that covers a larger share of the photo is not distinguished from its surroundings. Not tuned."""
MIN_PIECE_WOOD = 0.5
"""The region AUTO stains only the piece if the piece contains more than this share of the wood. Not tuned."""
MIN_PATCH_OVERLAP = 0.6
"""A patch of wood with more than this share inside the piece belongs to the piece as a whole. This recovers shaded
sides that the segmentation assigns to the background. Patches that reach the border of the photo outside the piece,
such as a floor, are excluded. Not tuned."""


def wood_probability(maps: MaterialMaps, region: Region) -> FloatMap:
    """Return the [h, w] probability of wood inside the region, at model resolution."""
    if region is Region.PIECE or (region is Region.AUTO and _piece_contains_the_wood(maps)):
        return _wood_of_piece(maps)
    return maps.wood


def _wood_of_piece(maps: MaterialMaps) -> FloatMap:
    """Return the [h, w] probability that a pixel is wood of the piece. Wood ends where the mask of the piece ends."""
    inside = np.clip(maps.foreground * (EDGE_LIKELIHOOD / PIECE_EDGE), 0.0, 1.0)
    _, patches = cv2.connectedComponents((maps.wood > 0.5).astype(np.uint8))
    area = np.bincount(patches.ravel())
    belongs_to_piece = np.bincount(patches.ravel(), maps.foreground.ravel()) > MIN_PATCH_OVERLAP * area
    border = np.ones(inside.shape, bool)
    border[1:-1, 1:-1] = False
    belongs_to_piece[patches[border & (maps.foreground < 0.5)]] = False
    belongs_to_piece[0] = False  # label 0 is not wood
    return np.asarray(np.minimum(maps.wood, np.maximum(inside, belongs_to_piece[patches])), np.float32)


def _piece_contains_the_wood(maps: MaterialMaps) -> bool:
    """Return whether there is a piece that contains most of the wood."""
    piece = maps.foreground > 0.5
    if not MIN_PIECE_SHARE < float(piece.mean()) < MAX_PIECE_SHARE:
        return False
    wood = float(maps.wood.sum())
    return wood > 0 and float(maps.wood[piece].sum()) > MIN_PIECE_WOOD * wood
