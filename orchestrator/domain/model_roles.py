"""The roles that larger public models can have, the model of each role, and what stages receive from the models.

Every role but ``OPEN_VOCABULARY`` has a fallback: Heartwood's own small models and closed-form methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.segment import Box, Prompt


class Role(str, Enum):
    """What a model is used for."""

    FOREGROUND = "foreground"  # the outline of the piece, instead of that of ``segmentation``
    PROMPT = "prompt"  # masks for boxes and points, instead of GrabCut, and region proposals
    GEOMETRY = "geometry"  # normals and depth, instead of those of ``surface_estimation``
    OPEN_VOCABULARY = "open_vocabulary"  # boxes of parts that the caller names; without fallback


ROLE_MODELS = {
    Role.FOREGROUND: "birefnet",
    Role.PROMPT: "sam2",
    Role.GEOMETRY: "moge2",
    Role.OPEN_VOCABULARY: "owlv2",
}
"""Role → the name in Triton of the model for it."""
ANALYSIS_ROLES = (Role.FOREGROUND, Role.PROMPT, Role.GEOMETRY)
"""The roles whose models contribute to ``MaterialMaps``: ``PROMPT`` with region proposals."""
AUTO = "auto"
"""Setting of a role: the model of the role if it is ready, otherwise the fallback."""
SMALL = "small"
"""Setting of a role: always the fallback."""


def setting_name(role: Role) -> str:
    """Return the name of the role's setting in ``orchestrator.settings``."""
    return f"{role.value}_model"


def pull_command(model: str) -> str:
    """Return the command that downloads a model."""
    return f"heartwood models pull {model}"


@dataclass(frozen=True)
class NamedBox:
    """A part that an open-vocabulary model found."""

    name: str  # as the caller wrote it
    confidence: float  # 0 to 1
    box: Box


class PromptModel(Protocol):
    """Finds the objects that boxes and points mark."""

    def masks(self, photo_srgb: Image, prompts: Sequence[Prompt], shape: tuple[int, ...]) -> tuple[FloatMap, ...]:
        """Return for each prompt the likelihood [h, w] that a pixel is on its object.

        Args:
            photo_srgb: [H, W, 3] uint8.
            prompts: boxes and points in pixels of the photo.
            shape: h and w.

        Raises:
            ModelUnavailable, ModelFailed, DeadlineExceeded: see ``MaterialModels.analyze``.
        """

    def regions(self, photo_srgb: Image, foreground: FloatMap) -> tuple[FloatMap, ...]:
        """Return the likelihood [h, w] of each region of the piece, without repetitions, the largest region first.

        Regions are surfaces and parts without names. They may contain each other.

        Args:
            photo_srgb: [H, W, 3] uint8.
            foreground: [h, w] likelihood of the piece. Points are placed where it is above 0.5.

        Raises:
            ModelUnavailable, ModelFailed, DeadlineExceeded: see ``MaterialModels.analyze``.
        """


class PartFinder(Protocol):
    """Finds parts by their names."""

    def find(self, photo_srgb: Image, names: Sequence[str]) -> tuple[NamedBox, ...]:
        """Return the boxes of the named parts in pixels of the photo, the most confident first.

        Args:
            photo_srgb: [H, W, 3] uint8.
            names: plain English, such as "door handle".

        Raises:
            ModelUnavailable, ModelFailed, DeadlineExceeded: see ``MaterialModels.analyze``.
        """


@dataclass(frozen=True)
class PhotoModels:
    """The models that a stage may call on a photo, besides the ``MaterialMaps`` that it receives."""

    prompt: PromptModel | None = None  # None: the fallback serves the role
    open_vocabulary: PartFinder | None = None  # None: the detector ``open_vocabulary`` is not available
    versions: Mapping[str, str] = field(default_factory=dict)  # Triton name → version of the models above


NO_PHOTO_MODELS = PhotoModels()
