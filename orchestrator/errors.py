"""The one error tree. Each error has a stable ``reason`` and the facts; ``api/status.py`` maps it to gRPC."""

from __future__ import annotations


class HeartwoodError(Exception):
    """Anything that Heartwood refuses or fails at.

    Attributes:
        reason: a stable UPPER_SNAKE_CASE word for programs.
        message: one sentence for people, with the value that was wrong and what is allowed.
        retryable: whether the same call may succeed later without a change.
        facts: short strings for programs; never a path, a token or a stack trace.
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
    """A value from the caller is not allowed.

    Attributes:
        field: the path of the field as the API names it, such as ``stain.target_color``.
    """

    reason = "INVALID_INPUT"

    def __init__(self, field: str, message: str, **facts: object) -> None:
        super().__init__(f"{field}: {message}", **facts)
        self.field = field
        self.description = message


class NotFound(HeartwoodError):
    """There is no such thing for this tenant."""

    reason = "NOT_FOUND"

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"{kind} {id!r} was not found", kind=kind, id=id)


class FailedPrecondition(HeartwoodError):
    """The call is valid, but not in the present state."""

    reason = "FAILED_PRECONDITION"


class ChangedMeanwhile(HeartwoodError):
    """Somebody else changed it after the caller looked."""

    reason = "CHANGED_MEANWHILE"


class CandidateRefused(HeartwoodError):
    """A new version of a model failed a check; it never serves."""

    reason = "CANDIDATE_REFUSED"


class NoWoodFound(HeartwoodError):
    """The picture has too little wood to stain."""

    reason = "NO_WOOD_FOUND"

    def __init__(self, share: float, minimum: float) -> None:
        super().__init__(
            f"no wood was found: {share:.2%} of the picture looks like wood, at least {minimum:.0%} is needed; "
            "give a mask (stain.mask_asset_id) or a photo that shows the wood larger",
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
    """The caller is known, but may not do this."""

    reason = "PERMISSION_DENIED"


class AlreadyExists(HeartwoodError):
    """The same ``request_id`` came with another request."""

    reason = "REQUEST_ID_REUSED"


class ResourceExhausted(HeartwoodError):
    """A limit of the service or the tenant is reached."""

    reason = "RESOURCE_EXHAUSTED"
    retryable = True


class ModelUnavailable(HeartwoodError):
    """Triton, or a model on it, does not answer at the moment."""

    reason = "MODEL_UNAVAILABLE"
    retryable = True


class ModelFailed(HeartwoodError):
    """A model answered with an error, or with something that is not a valid answer."""

    reason = "MODEL_FAILED"


class DetectorUnavailable(HeartwoodError):
    """The vision endpoint does not answer at the moment."""

    reason = "DETECTOR_UNAVAILABLE"
    retryable = True


class DetectorFailed(HeartwoodError):
    """The vision endpoint refused the call or gave no usable answer."""

    reason = "DETECTOR_FAILED"


class ToolFailed(HeartwoodError):
    """A program that Heartwood started ended badly."""

    reason = "TOOL_FAILED"


class DeadlineExceeded(HeartwoodError):
    """The job's or the call's deadline passed."""

    reason = "DEADLINE_EXCEEDED"


class Canceled(HeartwoodError):
    """The caller canceled the job."""

    reason = "CANCELED"
