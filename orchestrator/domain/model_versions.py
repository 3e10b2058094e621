"""Versions of a model: what may be asked of a candidate, what was found of it, and which version serves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from orchestrator.domain.checks import within
from orchestrator.errors import InvalidInput

MAX_VERSION = 2**31 - 1
MAX_SHADOW_REQUESTS = 10_000
MAX_SHADOW_S = 86_400.0


class VersionState(str, Enum):
    """CHECKING → READY or FAILED; READY → RETIRED. Which READY version serves is said by the model."""

    CHECKING = "CHECKING"
    READY = "READY"
    FAILED = "FAILED"
    RETIRED = "RETIRED"


class Verdict(str, Enum):
    """Why a candidate may answer as it does."""

    AGREES = "agrees"  # with the serving version, within the tolerance
    MEASURED_BETTER = "measured better"  # by the evaluation that came with it
    ACCEPTED = "difference accepted"  # the operator said so


@dataclass(frozen=True)
class DeployOptions:
    """How a candidate is checked, and what follows."""

    accept_difference: bool = False
    promote: bool = True
    shadow_share: float = 0.0  # of the live requests; 0 asks for none
    shadow_requests: int = 50  # so many must have been answered
    shadow_timeout_s: float = 600.0  # in this time

    def __post_init__(self) -> None:
        within("header.shadow_share", self.shadow_share, 0.0, 1.0)
        if not 1 <= self.shadow_requests <= MAX_SHADOW_REQUESTS:
            allowed = f"allowed are 1 to {MAX_SHADOW_REQUESTS}"
            raise InvalidInput("header.shadow_requests", f"{self.shadow_requests} is not allowed; {allowed}")
        within("header.shadow_timeout", self.shadow_timeout_s, 1.0, MAX_SHADOW_S)


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of one picture of ``side`` × ``side`` pixels, asked turn by turn."""

    side: int
    candidate_ms: float
    serving_ms: float


@dataclass(frozen=True)
class ShadowReport:
    """What a share of the live requests showed."""

    requests: int
    differences: dict[str, float]
    candidate_ms: float
    serving_ms: float


@dataclass(frozen=True)
class Report:
    """What was found of a candidate that passed.

    ``differences`` has, by output, the mean absolute difference from the serving version as a share of the spread of
    the serving version's values.
    """

    against: int
    verdict: Verdict
    differences: dict[str, float]
    latencies: tuple[Latency, ...]
    shadow: ShadowReport | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Report:
        shadow = value["shadow"]
        return cls(
            against=value["against"],
            verdict=Verdict(value["verdict"]),
            differences=value["differences"],
            latencies=tuple(Latency(**one) for one in value["latencies"]),
            shadow=ShadowReport(**shadow) if shadow else None,
        )


@dataclass(frozen=True)
class ModelVersion:
    """One version of one model."""

    model: str
    version: int
    state: VersionState
    sha256: str = ""  # empty for a version of the served repository
    size_bytes: int = 0
    reason: str = ""  # why it failed
    operator: str = ""
    report: Report | None = None
    create_time: datetime | None = None

    @property
    def in_repository(self) -> bool:
        """Whether it came with Triton's own repository."""
        return not self.sha256

    @property
    def triton_name(self) -> str:
        """What Triton knows it by: the model's plain name, or one of its own that its number and content give."""
        return self.model if self.in_repository else f"{self.model}@{self.version}-{self.sha256[:8]}"


@dataclass(frozen=True)
class Pointer:
    """Which version of a model serves. ``revision`` counts the changes; 0 is the repository's newest, never changed."""

    version: int
    previous: int = 0  # what a rollback goes to; 0 is nothing
    revision: int = 0
    operator: str = ""
    change_time: datetime | None = None


@dataclass(frozen=True)
class ModelStatus:
    """A model and everything known of its versions, newest first."""

    model: str
    pointer: Pointer
    versions: tuple[ModelVersion, ...] = field(default_factory=tuple)
