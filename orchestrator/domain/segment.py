"""Options of the segment stage, prompts, and the settings and cost of detectors."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import Enum

from orchestrator.domain.made_of import MadeOf
from orchestrator.domain.vocabulary import component_name


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the upright photo. Left and top are inclusive, right and bottom exclusive."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Point:
    """A pixel of the upright photo that is on the component, or not on it if ``inside`` is false."""

    x: float
    y: float
    inside: bool = True

    @property
    def outside(self) -> bool:
        """The opposite of ``inside``: the field of the proto, which ``api.convert`` reads by name."""
        return not self.inside


@dataclass(frozen=True)
class Prompt:
    """The name and the approximate location of one component: a box, points, or both."""

    name: str
    box: Box | None = None
    points: tuple[Point, ...] = ()
    material: str = ""
    confidence: float = 1.0
    photo: int = 0  # index of the photo in the upload


class DetectorName(str, Enum):
    """The detectors. ``orchestrator.detect.detectors`` contains their implementations."""

    LOCAL = "local"  # the segmentation model
    OPENAI = "openai"  # an OpenAI-compatible vision endpoint
    PROMPTS = "prompts"  # the prompts of the caller
    OPEN_VOCABULARY = "open_vocabulary"  # the model of the role ``Role.OPEN_VOCABULARY``


@dataclass(frozen=True)
class SegmentOptions:
    """What to find in the photos of an upload, and with which detector."""

    detect_components: bool = True
    detect_wood: bool = True
    detector: DetectorName = DetectorName.LOCAL
    prompts: tuple[Prompt, ...] = ()
    part_names: tuple[str, ...] = ()  # for the detector OPEN_VOCABULARY; empty: its default names
    made_of: MadeOf = ()  # what the caller knows about the materials

    @property
    def possible_parts(self) -> tuple[str, ...] | None:
        """The names that the detector may return besides COMPONENTS; None: any name."""
        if self.detector is DetectorName.OPENAI:
            return None
        prompted = tuple(prompt.name for prompt in self.prompts) if self.detector is DetectorName.PROMPTS else ()
        searched = self.part_names if self.detector is DetectorName.OPEN_VOCABULARY else ()
        return tuple(component_name(name) for name in (*prompted, *searched))


@dataclass(frozen=True)
class OpenAISettings:
    """An OpenAI-compatible vision endpoint and its prices. ``repr`` omits ``api_key`` to keep it out of logs."""

    base_url: str
    api_key: str = dataclass_field(repr=False)
    model: str
    timeout_s: float = 60.0
    max_retries: int = 3
    usd_per_million_input: float = 0.0
    usd_per_million_output: float = 0.0


@dataclass(frozen=True)
class DetectorCost:
    """The cost of a detection."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: DetectorCost) -> DetectorCost:
        return DetectorCost(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.usd + other.usd,
        )
