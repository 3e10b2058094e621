"""Maps the error hierarchy to gRPC statuses, for calls and for failed jobs."""

from __future__ import annotations

from google.rpc import code_pb2, error_details_pb2, status_pb2

from orchestrator.api.limits import REQUEST_RATE
from orchestrator.domain.jobs import Failure

DOMAIN = "heartwood"
RETRY_DELAY_S = {
    "RESOURCE_EXHAUSTED": 5.0,
    "DISK_FULL": 5.0,
    "MODEL_UNAVAILABLE": 1.0,
    "STORAGE_UNAVAILABLE": 1.0,
    "DETECTOR_UNAVAILABLE": 1.0,
}
"""Reason → delay after which a caller may repeat the call. Not tuned."""
RATE_PUSHBACK_MS = 1000
"""Delay after which gRPC repeats a call beyond the rate of the tenant: half of ``BURST_S``."""
MAX_MESSAGE_BYTES = 1000
MAX_FACT_BYTES = 150
MAX_VIOLATIONS_BYTES = 1800
"""Violations beyond this many bytes are only counted. Errors quote values of callers, which may have any length, but
gRPC limits the trailers of a call to 8 KiB. They contain the message twice, once with three bytes for each byte that is
not ASCII, and the other texts in base64."""
CODES: dict[str, int] = {
    "INVALID_INPUT": code_pb2.INVALID_ARGUMENT,
    "NO_WOOD_FOUND": code_pb2.FAILED_PRECONDITION,
    "NO_PIECE_FOUND": code_pb2.FAILED_PRECONDITION,
    "NOT_FOUND": code_pb2.NOT_FOUND,
    "FAILED_PRECONDITION": code_pb2.FAILED_PRECONDITION,
    "CHANGED_MEANWHILE": code_pb2.ABORTED,
    "CANDIDATE_REFUSED": code_pb2.FAILED_PRECONDITION,
    "UNAUTHENTICATED": code_pb2.UNAUTHENTICATED,
    "PERMISSION_DENIED": code_pb2.PERMISSION_DENIED,
    "REQUEST_ID_REUSED": code_pb2.ALREADY_EXISTS,
    "RESOURCE_EXHAUSTED": code_pb2.RESOURCE_EXHAUSTED,
    "DISK_FULL": code_pb2.RESOURCE_EXHAUSTED,
    "QUOTA_EXCEEDED": code_pb2.RESOURCE_EXHAUSTED,
    "MODEL_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "MODEL_FAILED": code_pb2.INTERNAL,
    "STORAGE_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "DETECTOR_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "DETECTOR_FAILED": code_pb2.INTERNAL,
    "TOOL_FAILED": code_pb2.INTERNAL,
    "DEADLINE_EXCEEDED": code_pb2.DEADLINE_EXCEEDED,
    "JOB_TAKEN_OVER": code_pb2.ABORTED,
    "CANCELED": code_pb2.CANCELLED,
    "INTERNAL": code_pb2.INTERNAL,
}
"""Reason → google.rpc.Code. A test checks that it contains every reason of the error hierarchy."""


def status(failure: Failure) -> status_pb2.Status:
    """The ``google.rpc.Status`` with ErrorInfo, and with what is invalid or in use."""
    reason, message = failure.reason, _shortened(failure.message, MAX_MESSAGE_BYTES)
    facts = {name: _shortened(value, MAX_FACT_BYTES) for name, value in failure.facts.items()}
    is_invalid = CODES[reason] == code_pb2.INVALID_ARGUMENT
    more = len(failure.violations) - 1
    if is_invalid and more > 0:
        message += f" (and {more} more invalid {'values' if more > 1 else 'value'})"
    result = status_pb2.Status(code=CODES[reason], message=message)
    result.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=facts))
    if reason in RETRY_DELAY_S:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(1000 * RETRY_DELAY_S[reason]))
        result.details.add().Pack(retry)
    if failure.violations:
        result.details.add().Pack(_violations(failure, is_invalid=is_invalid))
    return result


def retry_pushback(failure: Failure) -> tuple[tuple[str, str], ...]:
    """Return the trailing metadata with which gRPC clients repeat a call beyond the rate, but not one beyond a quota.

    See gRPC's proposal A6, "Client Retries", for the meaning of the values.
    """
    if CODES[failure.reason] != code_pb2.RESOURCE_EXHAUSTED:
        return ()
    delay_ms = RATE_PUSHBACK_MS if failure.facts.get("quota") == REQUEST_RATE else -1
    return (("grpc-retry-pushback-ms", str(delay_ms)),)


def _violations(
    failure: Failure, *, is_invalid: bool
) -> error_details_pb2.BadRequest | error_details_pb2.PreconditionFailure:
    """Return the invalid fields, or the files that are in use."""
    invalid, unmet, size = error_details_pb2.BadRequest(), error_details_pb2.PreconditionFailure(), 0
    for where, description in failure.violations:
        subject = _shortened(where, MAX_FACT_BYTES)
        text = _shortened(f"{subject}: {description}", MAX_MESSAGE_BYTES)
        size += len(f"{subject}{text}".encode())
        if size > MAX_VIOLATIONS_BYTES and (invalid.field_violations or unmet.violations):
            break
        if is_invalid:
            invalid.field_violations.add(field=subject, description=text, reason=failure.reason)
        else:
            unmet.violations.add(type="IN_USE", subject=subject, description=text)
    return invalid if is_invalid else unmet


def _shortened(text: str, max_bytes: int) -> str:
    """Return the text, cut to ``max_bytes`` of UTF-8."""
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= max_bytes else encoded[: max_bytes - len("…".encode())].decode(errors="ignore") + "…"
