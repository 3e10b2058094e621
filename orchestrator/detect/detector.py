"""The interface of the detectors, which find components of furniture in a photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress
from orchestrator.domain.segment import DetectorCost, Prompt, SegmentOptions


@dataclass(frozen=True)
class Candidate:
    """One component that a detector found. Either ``likelihood`` or ``prompt`` gives its location."""

    name: str
    confidence: float
    material: str = ""  # empty if the detector does not determine it
    likelihood: FloatMap | None = None  # [h, w] in [0, 1], at model resolution
    prompt: Prompt | None = None


@dataclass(frozen=True)
class Detection:
    """The components that a detector found in one photo, and the cost."""

    candidates: tuple[Candidate, ...]
    cost: DetectorCost = field(default_factory=DetectorCost)


class Detector(Protocol):
    """Finds the components in a photo."""

    def detect(
        self, photo_srgb: Image, maps: MaterialMaps, options: SegmentOptions, photo_index: int, progress: Progress
    ) -> Detection:
        """Find the components in one photo.

        Args:
            photo_srgb: [H, W, 3] uint8.
            maps: model outputs for this photo.
            photo_index: index of the photo in the upload.

        Raises:
            DetectorUnavailable: an endpoint does not answer or is overloaded.
            DetectorFailed: an endpoint rejected the request, or its answer is invalid.
        """
