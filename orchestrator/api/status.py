"""Maps the error hierarchy to gRPC statuses, for calls and for failed jobs."""

from __future__ import annotations

from google.rpc import code_pb2, error_details_pb2, status_pb2

from orchestrator.domain.jobs import Failure

DOMAIN = "heartwood"
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
    "MODEL_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "MODEL_FAILED": code_pb2.INTERNAL,
    "STORAGE_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "DETECTOR_UNAVAILABLE": code_pb2.UNAVAILABLE,
    "DETECTOR_FAILED": code_pb2.INTERNAL,
    "TOOL_FAILED": code_pb2.INTERNAL,
    "DEADLINE_EXCEEDED": code_pb2.DEADLINE_EXCEEDED,
    "CANCELED": code_pb2.CANCELLED,
    "INTERNAL": code_pb2.INTERNAL,
}
"""Reason → google.rpc.Code. A test checks that it contains every reason of the error hierarchy."""


def status(failure: Failure) -> status_pb2.Status:
    """The ``google.rpc.Status`` with ErrorInfo, and with BadRequest if a field is invalid."""
    reason, message, field = failure.reason, failure.message, failure.field
    result = status_pb2.Status(code=CODES[reason], message=message)
    result.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=failure.facts))
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message, reason=reason)
        result.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return result
