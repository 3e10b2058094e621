"""The served models and their versions: the options and report of a candidate, and which version serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from orchestrator.domain.checks import Violations

MODELS = ("intrinsic_decomposition", "surface_estimation", "segmentation")
"""The models whose versions an operator can replace."""
PREPROCESS = "image_preprocess"
"""The model that decodes and resizes photos."""
PIPELINE = "material_pipeline"
"""The ensemble of ``PREPROCESS`` and all ``MODELS``."""
MODEL_TENANT = "@models"
"""Tenant of the blobs of deployed versions. Names of real tenants cannot contain @."""

MAX_VERSION = 2**31 - 1
MAX_SHADOW_REQUESTS = 10_000
MAX_SHADOW_S = 86_400.0


class VersionState(str, Enum):
    """CHECKING → READY or FAILED; READY → RETIRED. The model's pointer names the READY version that serves."""

    CHECKING = "CHECKING"
    READY = "READY"
    FAILED = "FAILED"
    RETIRED = "RETIRED"


class Verdict(str, Enum):
    """Why a candidate passed the comparison with the serving version."""

    AGREES = "agrees"  # its outputs are the same, within the tolerance
    MEASURED_BETTER = "measured better"  # its outputs differ, and its evaluation shows better figures
    DIFFERENCE_ACCEPTED = "difference accepted"  # its outputs differ, and the operator accepted that


@dataclass(frozen=True)
class DeployOptions:
    """How a candidate is checked, and whether it is promoted afterwards."""

    accept_difference: bool = False
    promote: bool = True
    shadow_share: float = 0.0  # share of the live requests that the candidate also receives; 0 disables this check
    shadow_requests: int = 50  # number of live requests that the candidate must answer
    shadow_timeout_s: float = 600.0  # time limit for these requests

    def __post_init__(self) -> None:
        with Violations() as violations:
            violations.check_range("header.shadow_share", self.shadow_share, 0.0, 1.0)
            violations.check_range("header.shadow_requests", self.shadow_requests, 1, MAX_SHADOW_REQUESTS)
            violations.check_range("header.shadow_timeout", self.shadow_timeout_s, 1.0, MAX_SHADOW_S)


@dataclass(frozen=True)
class Latency:
    """Median latency of one square image, measured with alternating requests to both versions."""

    side: int  # pixels
    candidate_ms: float
    serving_ms: float


@dataclass(frozen=True)
class ShadowReport:
    """Comparison of both versions on live requests."""

    requests: int
    differences: dict[str, float]  # as in CandidateReport
    candidate_ms: float  # median
    serving_ms: float  # median


@dataclass(frozen=True)
class CandidateReport:
    """The check results of a candidate that passed."""

    against: int  # the serving version that it was compared with
    verdict: Verdict
    differences: dict[str, float]  # output name → mean difference; see inference.output_checks.difference
    latencies: tuple[Latency, ...]
    shadow: ShadowReport | None = None


@dataclass(frozen=True)
class ModelVersion:
    """One version of one model."""

    model: str
    version: int
    state: VersionState
    sha256: str = ""  # of the ONNX file; empty for a version in the model repository
    size_bytes: int = 0
    reason: str = ""  # why the check failed
    operator: str = ""  # the tenant that deployed it
    report: CandidateReport | None = None
    create_time: datetime | None = None

    @property
    def in_repository(self) -> bool:
        """Whether the version comes from the model repository of Triton."""
        return not self.sha256

    @property
    def triton_name(self) -> str:
        """The name under which Triton serves the version; see ``inference.triton_client``."""
        return self.model if self.in_repository else f"{self.model}@{self.version}-{self.sha256[:8]}"


@dataclass(frozen=True)
class Pointer:
    """Which version of a model serves."""

    version: int
    previous: int = 0  # the version that a rollback restores; 0 means none
    revision: int = 0  # number of changes so far; 0 means that the newest version in the repository serves
    operator: str = ""  # the tenant that made the last change
    change_time: datetime | None = None


@dataclass(frozen=True)
class ModelStatus:
    """A model, its pointer, and its versions."""

    model: str
    pointer: Pointer
    versions: tuple[ModelVersion, ...] = ()  # newest first
