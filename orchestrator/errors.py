"""The errors of Heartwood.

Every error is a ``HeartwoodError`` with a stable ``reason``, which ``api/status.py`` maps to a gRPC status code.

* HeartwoodError
  * caused by the request: InvalidInput, NotFound, FailedPrecondition, ChangedMeanwhile, CandidateRefused, NoWoodFound,
    NoPieceFound, Unauthenticated, PermissionDenied, AlreadyExists, ResourceExhausted, Canceled
  * caused by a model, an endpoint or an external program: ModelUnavailable, ModelFailed, DetectorUnavailable,
    DetectorFailed, ToolFailed
  * caused by either: DeadlineExceeded
"""

from __future__ import annotations


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

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = {name: str(value) for name, value in facts.items()}

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.__dict__.copy()))


def _rebuild(kind: type[HeartwoodError], state: dict[str, object]) -> HeartwoodError:
    error = kind.__new__(kind)
    Exception.__init__(error, state["message"])
    error.__dict__.update(state)
    return error


class InvalidInput(HeartwoodError):
    """A value from the caller is invalid.

    Attributes:
        field: the path of the field in the API, such as ``stain.target_color``.
    """

    reason = "INVALID_INPUT"

    def __init__(self, field: str, message: str, **facts: object) -> None:
        super().__init__(f"{field}: {message}", **facts)
        self.field = field
        self.description = message


class NotFound(HeartwoodError):
    """The tenant has no object with this id."""

    reason = "NOT_FOUND"

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id!r} was not found", kind=kind, id=id)


class FailedPrecondition(HeartwoodError):
    """The call is valid, but not in the current state."""

    reason = "FAILED_PRECONDITION"


class ChangedMeanwhile(HeartwoodError):
    """Another caller changed the object after this caller read it."""

    reason = "CHANGED_MEANWHILE"


class CandidateRefused(HeartwoodError):
    """A candidate for a new model version failed a check. It does not serve."""

    reason = "CANDIDATE_REFUSED"


class NoWoodFound(HeartwoodError):
    """The photo shows too little wood to stain."""

    reason = "NO_WOOD_FOUND"

    def __init__(self, share: float, minimum: float) -> None:
        super().__init__(
            f"no wood was found: {share:.2%} of the photo is wood, at least {minimum:.0%} is required; "
            "give a mask (stain.mask_asset_id), or a photo in which the wood is larger",
            share=f"{share:.5f}",
            minimum=minimum,
        )


class NoPieceFound(HeartwoodError):
    """The photo shows no piece of furniture, or a piece that is too small to cut out."""

    reason = "NO_PIECE_FOUND"

    def __init__(self, share: float, minimum: float) -> None:
        super().__init__(
            f"no piece of furniture was found: it covers {share:.2%} of the photo, at least {minimum:.1%} is needed; "
            "send a photo that shows the piece larger",
            share=f"{share:.5f}",
            minimum=minimum,
        )


class Unauthenticated(HeartwoodError):
    """The bearer token is missing or unknown."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(HeartwoodError):
    """The caller is authenticated, but lacks the permission for this call."""

    reason = "PERMISSION_DENIED"


class AlreadyExists(HeartwoodError):
    """The ``request_id`` was already used for a different request."""

    reason = "REQUEST_ID_REUSED"


class ResourceExhausted(HeartwoodError):
    """A limit of the service or of the tenant is reached."""

    reason = "RESOURCE_EXHAUSTED"
    retryable = True


class ModelUnavailable(HeartwoodError):
    """Triton, or one of its models, is temporarily unavailable."""

    reason = "MODEL_UNAVAILABLE"
    retryable = True


class ModelFailed(HeartwoodError):
    """A model returned an error or an invalid output."""

    reason = "MODEL_FAILED"


class DetectorUnavailable(HeartwoodError):
    """The vision endpoint is temporarily unavailable."""

    reason = "DETECTOR_UNAVAILABLE"
    retryable = True


class DetectorFailed(HeartwoodError):
    """The vision endpoint rejected the call or returned an invalid reply."""

    reason = "DETECTOR_FAILED"


class ToolFailed(HeartwoodError):
    """An external program failed."""

    reason = "TOOL_FAILED"


class DeadlineExceeded(HeartwoodError):
    """The deadline of the job or of the call has passed."""

    reason = "DEADLINE_EXCEEDED"


class Canceled(HeartwoodError):
    """The caller canceled the job."""

    reason = "CANCELED"
