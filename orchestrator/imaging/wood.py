"""Where to stain: the wood mask, from the models' probabilities to the photo's edges."""

from __future__ import annotations

import cv2
import numpy as np

from orchestrator.domain import FloatMap, Image, MaterialMaps, Region
from orchestrator.imaging import guided

PIECE_SHARES = (0.02, 0.9)
"""A piece stands out when it fills this much of the picture: not a speck, and not everything."""
PIECE_WOOD = 0.5
"""The piece holds most of the wood when it holds more than this share of it."""
PIECE_PART = 0.6
"""A patch of wood with more than this share inside the piece belongs to it whole: its shaded side was missed.
Not where it leaves the picture beyond the piece, as a floor does."""
EDGE_RADIUS = 16
"""Half the window, in pixels of the maps, in which the mask is explained by the photo's colours: several of the cells
in which the network answers (6 of 768), so that its edge moves to the photo's. Against 4 it brings the ``wood_iou`` of
the benchmark ``stain_quality`` from 0.854 to 0.867; the wider, the more may lie in a window that has no part in it."""
EDGE_LOW, EDGE_HIGH = 0.35, 0.65
"""Probabilities that become 0 and 1: the mask's soft edge is as wide as the photo's, not as the model's doubt."""


def wood_probability(maps: MaterialMaps, region: Region) -> FloatMap:
    """[h, w] in [0, 1]: wood inside the region, at model resolution."""
    if region is Region.PIECE or (region is Region.AUTO and _piece_holds_the_wood(maps)):
        return _wood_of_piece(maps)
    return maps.wood


def fit_wood_mask(wood: FloatMap, photo_srgb: Image) -> guided.GuidedMap:
    """The wood mask, ready at the photo's resolution; read it through ``mask_from_map``."""
    return guided.fit(_steep(wood), photo_srgb, radius=EDGE_RADIUS)


def mask_from_map(values: FloatMap) -> Image:
    """uint8, 255 is wood, of what the fitted wood mask gives. Same shape."""
    return np.asarray(np.rint(_steep(values) * 255.0), np.uint8)


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


def _steep(values: FloatMap) -> FloatMap:
    return np.asarray(np.clip((values - EDGE_LOW) / (EDGE_HIGH - EDGE_LOW), 0.0, 1.0), np.float32)


def _piece_holds_the_wood(maps: MaterialMaps) -> bool:
    piece = maps.foreground > 0.5
    wood = float(maps.wood.sum())
    share = float(piece.mean())
    return PIECE_SHARES[0] < share < PIECE_SHARES[1] and wood > 0 and float(maps.wood[piece].sum()) > PIECE_WOOD * wood
