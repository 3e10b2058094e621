"""The errors of Heartwood.

Every error is a ``HeartwoodError`` with a stable ``reason``, which ``api/status.py`` maps to a gRPC status code.

* HeartwoodError
  * caused by the request: InvalidInput, NotFound, FailedPrecondition (InUse), ChangedMeanwhile, CandidateRefused,
    NoWoodFound, NoPieceFound, Unauthenticated, PermissionDenied, AlreadyExists, ResourceExhausted, QuotaExceeded,
    Canceled
  * caused by a model, a store, an endpoint or an external program: ModelUnavailable (ModelTimedOut), ModelFailed,
    StorageUnavailable, DiskFull, DetectorUnavailable, DetectorFailed, ToolFailed, ToolKilled
  * caused by either: DeadlineExceeded, JobTakenOver
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class HeartwoodError(Exception):
    """The base class of all errors.

    Attributes:
        reason: a stable identifier in UPPER_SNAKE_CASE, for programs.
        message: one sentence for people. It names the offending value, the rule and the remedy.
        retryable: whether the same call may succeed later.
        facts: short strings for programs. They contain no paths, tokens or stack traces.
    """

    reason = "INTERNAL"
    retryable = False

    def __init_subclass__(cls, reason: str = "", retryable: bool = False) -> None:
        cls.reason = reason or cls.reason
        cls.retryable = retryable or cls.retryable

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = {name: str(value) for name, value in facts.items()}

    def __reduce__(self) -> tuple[object, ...]:
        # By default, unpickling calls the class with ``args``, but some subclasses have other parameters.
        return (_rebuild, (type(self), self.__dict__.copy()))


def _rebuild(kind: type[HeartwoodError], state: dict[str, object]) -> HeartwoodError:
    error = kind.__new__(kind)
    Exception.__init__(error, state["message"])
    error.__dict__.update(state)
    return error


class InvalidInput(HeartwoodError, reason="INVALID_INPUT"):
    """One or more values from the caller are invalid.

    Attributes:
        field: the path of the first field in the API, such as ``stain.strength``.
        description: the message about it, without the field.
        violations: field and description of every invalid value. ``domain.checks.Violations`` collects them.
    """

    def __init__(self, field: str, message: str, **facts: object) -> None:
        super().__init__(f"{field}: {message}", **facts)
        self.field = field
        self.description = message
        self.violations: tuple[tuple[str, str], ...] = ((field, message),)

    @classmethod
    def listing(cls, violations: Sequence[tuple[str, str]], facts: Mapping[str, str]) -> InvalidInput:
        """Return an error about several values, as (field, description). The first one is its message."""
        error = cls(*violations[0], **facts)
        error.violations = tuple(violations)
        return error


class NotFound(HeartwoodError, reason="NOT_FOUND"):
    """The tenant has no object with this id."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id!r} was not found", kind=kind, id=id)


class FailedPrecondition(HeartwoodError, reason="FAILED_PRECONDITION"):
    """The call is valid, but not in the current state."""


class InUse(FailedPrecondition):
    """Files cannot be deleted because unfinished jobs use them.

    Attributes:
        violations: name of each file, and which job uses it.
    """

    def __init__(self, uses: Sequence[tuple[str, str]]) -> None:
        """Describe the ``uses`` as (what is used, id of the job)."""
        (name, job), more = uses[0], len(uses) - 1
        others = f" (and {more} more)" if more else ""
        super().__init__(f"job {job} uses {name}{others}; cancel the job first, or wait until it has ended", job=job)
        self.violations = tuple((name, f"job {job} uses it") for name, job in uses)


class ChangedMeanwhile(HeartwoodError, reason="CHANGED_MEANWHILE"):
    """Another caller changed the object after this caller read it."""


class CandidateRefused(HeartwoodError, reason="CANDIDATE_REFUSED"):
    """A candidate for a new model version failed a check. It does not serve."""


class NoWoodFound(HeartwoodError, reason="NO_WOOD_FOUND"):
    """The photo shows too little wood to stain."""

    def __init__(self, share: float, minimum: float, parts: Sequence[str] = ()) -> None:
        problem = f"no wood was found: {share:.2%} of the photo is wood, at least {minimum:.0%} is required"
        if parts:
            problem = f"no photo shows wood in the parts {', '.join(parts)}"
        remedy = "state what the piece is made of (stain.made_of), or give a mask (stain.mask_asset_id)"
        super().__init__(f"{problem}; {remedy}", share=f"{share:.5f}", minimum=minimum)


class NoPieceFound(HeartwoodError, reason="NO_PIECE_FOUND"):
    """The photo shows no piece of furniture, or a piece that is too small to cut out."""

    def __init__(self, share: float, minimum: float) -> None:
        problem = f"no piece of furniture was found: {share:.2%} of the photo is furniture"
        rule = f"at least {minimum:.1%} is required; send a photo that shows the piece larger"
        super().__init__(f"{problem}, {rule}", share=f"{share:.5f}", minimum=minimum)


class Unauthenticated(HeartwoodError, reason="UNAUTHENTICATED"):
    """The bearer token is missing or unknown."""


class PermissionDenied(HeartwoodError, reason="PERMISSION_DENIED"):
    """The caller is authenticated, but lacks the permission for this call."""


class AlreadyExists(HeartwoodError, reason="REQUEST_ID_REUSED"):
    """The ``request_id`` was already used for a different request."""


class ResourceExhausted(HeartwoodError, reason="RESOURCE_EXHAUSTED", retryable=True):
    """A limit of the service or of the tenant is reached."""


class DiskFull(HeartwoodError, reason="DISK_FULL", retryable=True):
    """The service has too little disk space to store files."""


class QuotaExceeded(HeartwoodError, reason="QUOTA_EXCEEDED"):
    """The tenant has used up a quota, so a retry helps only after it frees some of it, or the operator grants more."""


class ModelUnavailable(HeartwoodError, reason="MODEL_UNAVAILABLE", retryable=True):
    """Triton, or one of its models, is temporarily unavailable."""


class ModelTimedOut(ModelUnavailable):
    """A model did not answer in time."""


class ModelFailed(HeartwoodError, reason="MODEL_FAILED"):
    """A model returned an error or an invalid output."""


class StorageUnavailable(HeartwoodError, reason="STORAGE_UNAVAILABLE", retryable=True):
    """The database or the object store is temporarily unavailable."""


class DetectorUnavailable(HeartwoodError, reason="DETECTOR_UNAVAILABLE", retryable=True):
    """The vision endpoint is temporarily unavailable."""


class DetectorFailed(HeartwoodError, reason="DETECTOR_FAILED"):
    """The vision endpoint rejected the call or returned an invalid reply.

    Attributes:
        usd: what the reply cost.
    """

    usd: float = 0.0


class ToolFailed(HeartwoodError, reason="TOOL_FAILED"):
    """An external program failed."""


class ToolKilled(HeartwoodError, reason="TOOL_FAILED", retryable=True):
    """Somebody else killed an external program, such as the system because its memory was exhausted."""


class DeadlineExceeded(HeartwoodError, reason="DEADLINE_EXCEEDED"):
    """The deadline of the job or of the call has passed."""


class JobTakenOver(HeartwoodError, reason="JOB_TAKEN_OVER"):
    """Another process has taken over the job, so this one must not write anything about it."""


class Canceled(HeartwoodError, reason="CANCELED"):
    """The caller canceled the job."""
