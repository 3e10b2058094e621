"""The segmentation model as the detector: one likelihood map for each component that it sees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from orchestrator.domain import FloatMap, MaterialMaps

MIN_SHARE = 0.004
"""A region smaller than this share of the picture is noise of the model, not a component."""
MAX_INSTANCES = 12


@dataclass(frozen=True)
class Region:
    """One component at model resolution."""

    name: str
    likelihood: FloatMap  # [h, w] in [0, 1], 0 outside the region
    confidence: float


def detect(maps: MaterialMaps) -> list[Region]:
    """The connected regions of each component class, the largest first."""
    winners = maps.component.argmax(axis=0)
    regions = []
    for number, name in enumerate(maps.component_names):
        if name == "background":
            continue
        mask = (winners == number).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        order = sorted(range(1, count), key=lambda label: -int(stats[label, cv2.CC_STAT_AREA]))
        for label in order[:MAX_INSTANCES]:
            if stats[label, cv2.CC_STAT_AREA] < MIN_SHARE * mask.size:
                break
            inside = labels == label
            # Its soft rim belongs to it, the next instance does not.
            near = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            likelihood = np.where(near & ((labels == label) | (labels == 0)), maps.component[number], 0)
            confidence = float(maps.component[number][inside].mean())
            regions.append(Region(name, likelihood.astype(np.float32), confidence))
    return regions
