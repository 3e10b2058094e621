"""The interface of the detectors, which find components of furniture in a photo, and the names of components."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress
from orchestrator.domain.segment import DetectorCost, Prompt, SegmentOptions

COMPONENTS = ("body", "leg", "seat", "back", "arm", "cushion", "top", "door", "drawer", "shelf", "frame", "hardware")
MATERIALS = ("other", "wood", "fabric", "leather", "metal", "glass", "plastic", "painted", "stone")
SYNONYMS = {"backrest": "back", "armrest": "arm", "tabletop": "top", "pillow": "cushion", "upholstery": "cushion"}
SYNONYMS |= {"handle": "hardware", "knob": "hardware", "hinge": "hardware"}
MAX_NAME = 40
"""Maximum length of a component's name."""


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


def component_name(text: str) -> str:
    """Return the known component that the text names, else the text in snake_case, cut to MAX_NAME characters."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")[:MAX_NAME] or "other"
    plain = SYNONYMS.get(plain, plain)
    singular = plain.removesuffix("s")
    return SYNONYMS.get(singular, singular if singular in COMPONENTS else plain)


def material_name(text: str) -> str:
    """Return the known material that the text names, else ``other``."""
    plain = text.strip().lower()
    return plain if plain in MATERIALS else "other"
