"""The types that every layer shares. Frozen; no behaviour beyond their own invariants."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from enum import Enum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import InvalidInput

Image: TypeAlias = NDArray[np.uint8]
"""[H, W, 3] uint8, sRGB, row 0 at the top; or [H, W] for one channel."""
FloatMap: TypeAlias = NDArray[np.float32]
"""[H, W] or [H, W, C] float32; the name of the variable says what it holds."""

Progress: TypeAlias = Callable[[float, str], None]
"""Called with a fraction in [0, 1] and a message. Raises Canceled or DeadlineExceeded to stop the work."""


def no_progress(fraction: float, message: str) -> None:
    """Report to nobody."""


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """The progress of work that covers [start, end] of the whole."""
    return lambda fraction, message: progress(start + (end - start) * fraction, message)


@dataclass(frozen=True)
class Limits:
    """What a run of a foreign program may use: the resident memory is that of the program and its children together."""

    time_s: float = 7200.0
    memory_bytes: int = 8 << 30


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class SrgbColor:
    """A colour as people write it: three sRGB bytes."""

    red: int
    green: int
    blue: int

    @classmethod
    def parse(cls, text: str, field: str = "color") -> SrgbColor:
        """Read ``#RRGGBB`` (the ``#`` may be missing).

        Raises:
            InvalidInput: anything else.
        """
        match = re.fullmatch(r"#?([0-9A-Fa-f]{6})", text.strip())
        if match is None:
            raise InvalidInput(field, f"{text[:40]!r} is not a colour; allowed is '#RRGGBB', such as '#5A3B2E'")
        value = int(match.group(1), 16)
        return cls(value >> 16, (value >> 8) & 255, value & 255)

    @property
    def hex(self) -> str:
        return f"#{self.red:02X}{self.green:02X}{self.blue:02X}"


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


@dataclass(frozen=True)
class Prompt:
    """What a caller or a detector says of one component: a name, and a box or points of it."""

    name: str
    box: Box | None = None
    points: tuple[Point, ...] = ()
    material: str = ""
    confidence: float = 1.0
    photo: int = 0  # index into the upload's photos


@dataclass(frozen=True)
class MaterialMaps:
    """What ``material_pipeline`` says of one photo, at model resolution, letterbox cut off.

    All float32. h × w is the photo scaled so that its longer side is one of 512, 768, 1024.
    """

    albedo_linear: FloatMap  # [h, w, 3] linear RGB in [0, 1]
    shading_linear: FloatMap  # [h, w, 3] linear, >= 0; albedo × shading = linear photo
    normal: FloatMap  # [h, w, 3] unit, camera space: +X right, +Y up, +Z to the camera
    roughness: FloatMap  # [h, w] in [0, 1]
    ambient_occlusion: FloatMap  # [h, w] in [0, 1], 1 is open
    depth: FloatMap  # [h, w] up to scale
    component: FloatMap  # [C, h, w] probabilities
    material: FloatMap  # [M, h, w] probabilities
    component_names: tuple[str, ...]
    material_names: tuple[str, ...]
    model_versions: dict[str, str] = dataclass_field(default_factory=dict)

    @property
    def wood(self) -> FloatMap:
        """[h, w] probability of wood."""
        return np.asarray(self.material[self.material_names.index("wood")], np.float32)

    @property
    def foreground(self) -> FloatMap:
        """[h, w] probability that the pixel belongs to the piece."""
        return np.asarray(1.0 - self.component[self.component_names.index("background")], np.float32)


class Detector(str, Enum):
    """Who finds the components."""

    LOCAL = "local"
    OPENAI = "openai"
    PROMPTS = "prompts"


class Quality(str, Enum):
    """PREVIEW works on a photo of at most 1024 pixels, FINAL at full resolution."""

    PREVIEW = "preview"
    FINAL = "final"


class Region(str, Enum):
    """Where wood is stained."""

    AUTO = "auto"  # the piece where one stands out and holds most of the wood, else the picture
    PIECE = "piece"
    PICTURE = "picture"


class ImageFormat(str, Enum):
    """The file format of the results that may be lossless or lossy."""

    PNG = "png"
    WEBP = "webp"


@dataclass(frozen=True)
class SegmentOptions:
    """How to segment an upload."""

    detect_components: bool = True
    detect_wood: bool = True
    detector: Detector = Detector.LOCAL
    prompts: tuple[Prompt, ...] = ()


MIN_COATS, MAX_COATS = 0.1, 10.0


@dataclass(frozen=True)
class StainOptions:
    """How to stain an upload. ``preserve_grain`` and ``strength`` in [0, 1], ``coats`` in [0.1, 10]."""

    target: SrgbColor
    stain_name: str = ""
    preserve_grain: float = 1.0  # 0 paints over the grain, 1 keeps its full contrast
    strength: float = 1.0  # 0 leaves the wood as it is, 1 reaches the target
    coats: float = 1.0  # film thickness, relative
    region: Region = Region.AUTO
    mask_asset_id: str = ""  # an uploaded grey picture, white where to stain; "" finds the wood itself
    format: ImageFormat = ImageFormat.PNG

    def __post_init__(self) -> None:
        within("stain.preserve_grain", self.preserve_grain, 0.0, 1.0)
        within("stain.strength", self.strength, 0.0, 1.0)
        within("stain.coats", self.coats, MIN_COATS, MAX_COATS)


def within(field: str, value: float, low: float, high: float) -> float:
    """Return ``value``.

    Raises:
        InvalidInput: it is not a number in [low, high].
    """
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidInput(field, f"{value} is not allowed; it must be a number from {low:g} to {high:g}")
    return value


class JobState(str, Enum):
    """QUEUED → RUNNING → one of the last three, for good."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED)


@dataclass(frozen=True)
class Failure:
    """Why a job failed, as the API tells it."""

    reason: str
    message: str
    field: str = ""
    facts: dict[str, str] = dataclass_field(default_factory=dict)


@dataclass(frozen=True)
class Asset:
    """One stored file of a tenant."""

    id: str
    tenant: str
    group_id: str  # the upload, texture, mask set, model, render or export that it belongs to
    kind: str  # photo, mask, texture, preview, document, model, video, frame
    name: str  # photo.png, photo-0/albedo.png
    media_type: str
    size_bytes: int
    sha256: str
    width: int = 0
    height: int = 0
    create_time: datetime | None = None
    model_versions: Mapping[str, str] = dataclass_field(default_factory=dict)  # model → version of what made it


class MaterialModels(Protocol):
    """What the stages need of the models; ``inference.models.TritonModels`` is the real one."""

    def analyze(
        self,
        photo_srgb: Image,
        *,
        long_side: int = 1024,
        timeout_s: float | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> MaterialMaps:
        """Return the material maps of one photo, from these ``versions`` of the models or from those that serve.

        Raises:
            ModelUnavailable: the models do not answer at the moment.
            ModelFailed: they answered with an error.
            DeadlineExceeded: ``timeout_s`` passed.
        """

    def versions(self, held: Mapping[str, str] | None = None) -> dict[str, str]:
        """The version of each model that answers now: of ``held``, where it still answers, else the serving one.

        Raises:
            ModelUnavailable: the models do not answer at the moment.
        """

    def ready(self) -> bool:
        """Whether the models answer now."""


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


@dataclass(frozen=True)
class Detection:
    """What a detector found in one photo: prompts that become masks, and what finding them cost."""

    prompts: tuple[Prompt, ...]
    cost: DetectorCost = DetectorCost()
