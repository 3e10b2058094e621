"""The segmentation model as a detector."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.detect.detector import Candidate, Detection
from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress
from orchestrator.domain.segment import SegmentOptions
from orchestrator.imaging.filters import dilate

MIN_SHARE = 0.002
"""Smallest component, as a share of the image. Smaller regions are noise of the model. Not tuned."""
MIN_HARDWARE_SHARE = 0.0003
"""Smallest component of the class ``hardware``, such as a handle. Not tuned."""
MAX_INSTANCES = 12
"""Maximum number of components of a class. The smallest are dropped. Not tuned."""
RIM = 2
"""Width of the soft rim of a component, in pixels of the model outputs. Not tuned."""


class LocalDetector:
    """Finds the connected regions of each component class in the output of the segmentation model."""

    def detect(
        self, photo_srgb: Image, maps: MaterialMaps, options: SegmentOptions, photo_index: int, progress: Progress
    ) -> Detection:
        """See ``Detector.detect``. Uses only ``maps``.

        The regions of a class are sorted by area, the largest first. The components together cover the piece without
        gaps: where two components meet, the likelihood of each is 0.5.
        """
        del photo_srgb, options, photo_index, progress
        likelihoods = _without_specks(maps)
        winners = likelihoods.argmax(axis=0)
        best, second = np.partition(likelihoods, -2, axis=0)[[-1, -2]]
        candidates: list[Candidate] = []
        for number, name in _component_classes(maps):
            strongest_other = np.where(winners == number, second, best)
            share = likelihoods[number] / np.maximum(likelihoods[number] + strongest_other, 1e-6)
            candidates += _regions(name, winners == number, share, maps.component[number])
        return Detection(tuple(candidates))


def _regions(name: str, mask: NDArray[np.bool_], share: FloatMap, probability: FloatMap) -> list[Candidate]:
    """Return the connected regions of one class. All maps are [h, w].

    ``mask`` is where the class is the most likely one. ``share`` is its likelihood divided by the sum of its own and
    that of the strongest other class. ``probability`` is the output of the model for the class.
    """
    labels, boxes = _connected_regions(mask)
    areas = boxes[:, cv2.CC_STAT_AREA]
    candidates = []
    largest_first = sorted(range(1, len(areas)), key=lambda label: -int(areas[label]))
    for label in largest_first[:MAX_INSTANCES]:
        if areas[label] < _min_share(name) * mask.size:
            break
        crop = _crop(boxes[label], RIM)
        inside = labels[crop] == label
        # The rim extends over other classes, but not over other regions of this class.
        grown = dilate(inside, RIM)
        likelihood = np.zeros(mask.shape, np.float32)
        likelihood[crop] = np.where(grown & (inside | (labels[crop] == 0)), share[crop], 0)
        candidates.append(Candidate(name, float(probability[crop][inside].mean()), likelihood=likelihood))
    return candidates


def _without_specks(maps: MaterialMaps) -> FloatMap:
    """Return the [C, h, w] component likelihoods without regions below the minimum size.

    In each such region, the likelihood of its class is swapped with that of the most frequent class around it.
    """
    likelihoods = maps.component.copy()
    winners = likelihoods.argmax(axis=0)
    for number, name in _component_classes(maps):
        labels, boxes = _connected_regions(winners == number)
        is_small = boxes[:, cv2.CC_STAT_AREA] < _min_share(name) * winners.size
        for label in 1 + np.flatnonzero(is_small[1:]):
            crop = _crop(boxes[label], 1)
            speck = labels[crop] == label
            rim = dilate(speck, 1) & ~speck
            surrounding = int(np.bincount(winners[crop][rim]).argmax())
            patch = likelihoods[:, crop[0], crop[1]]
            patch[number, speck], patch[surrounding, speck] = patch[surrounding, speck], patch[number, speck]
            winners[crop][speck] = surrounding
    return likelihoods


def _crop(box: NDArray[np.int32], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a region, extended by ``margin`` pixels."""
    left, top, width, height = map(int, box[:4])
    rows = slice(max(top - margin, 0), top + height + margin)
    return rows, slice(max(left - margin, 0), left + width + margin)


def _component_classes(maps: MaterialMaps) -> list[tuple[int, str]]:
    return [(number, name) for number, name in enumerate(maps.component_names) if name != "background"]


def _min_share(name: str) -> float:
    return MIN_HARDWARE_SHARE if name == "hardware" else MIN_SHARE


def _connected_regions(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return [h, w] labels, 0 outside the mask, and [N, 5] left, top, width, height and area of each label."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32)
