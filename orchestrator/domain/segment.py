"""Options of the segment stage, and the prompts that detectors produce."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import Enum


@dataclass(frozen=True)
class Box:
    """Pixels of the upright photo: left and top inclusive, right and bottom exclusive."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Point:
    """A pixel of the upright photo that is on the component (``inside``) or not."""

    x: float
    y: float
    inside: bool = True

    @property
    def outside(self) -> bool:
        return not self.inside


@dataclass(frozen=True)
class Prompt:
    """What a caller or a detector says of one component: a name, and a box or points of it."""

    name: str
    box: Box | None = None
    points: tuple[Point, ...] = ()
    material: str = ""
    confidence: float = 1.0
    photo: int = 0  # index into the upload's photos


class Detector(str, Enum):
    """Who finds the components."""

    LOCAL = "local"
    OPENAI = "openai"
    PROMPTS = "prompts"


@dataclass(frozen=True)
class SegmentOptions:
    """How to segment an upload."""

    detect_components: bool = True
    detect_wood: bool = True
    detector: Detector = Detector.LOCAL
    prompts: tuple[Prompt, ...] = ()


@dataclass(frozen=True)
class OpenAISettings:
    """An OpenAI-compatible vision endpoint and its prices. ``api_key`` stays out of ``repr``, logs and errors."""

    base_url: str
    api_key: str = dataclass_field(repr=False)
    model: str
    timeout_s: float = 60.0
    max_retries: int = 3
    usd_per_million_input: float = 0.0
    usd_per_million_output: float = 0.0


@dataclass(frozen=True)
class DetectorCost:
    """What a detection cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: DetectorCost) -> DetectorCost:
        return DetectorCost(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.usd + other.usd,
        )


@dataclass(frozen=True)
class Detection:
    """What a detector found in one photo: prompts that become masks, and what finding them cost."""

    prompts: tuple[Prompt, ...]
    cost: DetectorCost = DetectorCost()
