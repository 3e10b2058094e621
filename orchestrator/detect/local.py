"""The segmentation model as the detector: one likelihood map for each component that it sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap
from orchestrator.domain.material_maps import MaterialMaps

MIN_SHARE, MIN_HARDWARE_SHARE = 0.002, 0.0003
"""A region smaller than this share of the picture is noise of the model, not a component; handles are small."""
MAX_INSTANCES = 12
RIM = 2
"""Pixels around a region that it shares with what is around it."""


@dataclass(frozen=True)
class Region:
    """One component at model resolution."""

    name: str
    likelihood: FloatMap  # [h, w] in [0, 1], 0 outside the region
    confidence: float


def detect(maps: MaterialMaps) -> list[Region]:
    """The connected regions of each component class, the largest first. Together they leave no gap on the piece."""
    likely = _without_specks(maps)
    winners = likely.argmax(axis=0)
    best, second = np.partition(likely, -2, axis=0)[[-1, -2]]
    regions = []
    for number, name in enumerate(maps.component_names):
        if name == "background":
            continue
        # A half where it is as likely as the likeliest other, so that neighbours meet there.
        share = likely[number] / np.maximum(likely[number] + np.where(winners == number, second, best), 1e-6)
        labels, boxes = _patches(winners == number)
        areas = boxes[:, cv2.CC_STAT_AREA]
        for label in sorted(range(1, len(areas)), key=lambda label: -int(areas[label]))[:MAX_INSTANCES]:
            if areas[label] < _least(name) * winners.size:
                break
            around = _box(boxes[label], RIM)
            inside = labels[around] == label
            # Its soft rim belongs to it, the next instance does not.
            near = cv2.dilate(inside.astype(np.uint8), np.ones((2 * RIM + 1,) * 2, np.uint8)) > 0
            likelihood = np.zeros(winners.shape, np.float32)
            likelihood[around] = np.where(near & (inside | (labels[around] == 0)), share[around], 0)
            confidence = float(maps.component[number][around][inside].mean())
            regions.append(Region(name, likelihood, confidence))
    return regions


def _without_specks(maps: MaterialMaps) -> FloatMap:
    """[C, h, w] the component likelihoods; where one would win only a speck, those of what lies around it change place
    with its own.
    """
    likely = maps.component.copy()
    winners = likely.argmax(axis=0)
    for number, name in enumerate(maps.component_names):
        if name == "background":
            continue
        labels, boxes = _patches(winners == number)
        for label in range(1, len(boxes)):
            if boxes[label][cv2.CC_STAT_AREA] >= _least(name) * winners.size:
                continue
            near = _box(boxes[label], 1)
            speck = labels[near] == label
            rim = (cv2.dilate(speck.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~speck
            around = int(np.bincount(winners[near][rim]).argmax())
            place = likely[:, near[0], near[1]]
            place[number, speck], place[around, speck] = place[around, speck], place[number, speck]
            winners[near][speck] = around
    return likely


def _box(box: NDArray[np.int32], margin: int) -> tuple[slice, slice]:
    """The rows and columns of a patch, and ``margin`` pixels around them."""
    left, top, width, height = map(int, box[:4])
    rows = slice(max(top - margin, 0), top + height + margin)
    return rows, slice(max(left - margin, 0), left + width + margin)


def _least(name: str) -> float:
    return MIN_HARDWARE_SHARE if name == "hardware" else MIN_SHARE


def _patches(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """[h, w] number of the connected region, 0 where ``mask`` is not; of each its left, top, width, height and area."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32)
