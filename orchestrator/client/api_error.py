"""The error of the Python client."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from orchestrator.errors import HeartwoodError


class ApiError(HeartwoodError):
    """The service rejected a call or was unreachable, or a job failed."""

    def __init__(
        self, code: grpc.StatusCode, reason: str, message: str, field: str = "", violations: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.violations = tuple(violations)  # a sentence about each invalid value or file in use, which starts with it
        self.code = code
        self.reason = reason  # stable, such as INVALID_INPUT; empty if the service did not reply
        self.field = field  # the path of the invalid field, or empty

    @classmethod
    def from_call(cls, error: grpc.RpcError) -> ApiError:
        """Convert the error of a failed RPC."""
        status = rpc_status.from_call(error)
        if status is None:
            details = error.details() or error.code().name
            unreachable = error.code() == grpc.StatusCode.UNAVAILABLE
            return cls(error.code(), "", f"cannot reach the service: {details}" if unreachable else details)
        return cls.from_status(status)

    @classmethod
    def from_status(cls, status: Status) -> ApiError:
        """Convert a ``google.rpc.Status``, such as the ``error`` of a job."""
        error_info, bad_request, unmet = ErrorInfo(), BadRequest(), PreconditionFailure()
        for detail in status.details:
            detail.Unpack(error_info)
            detail.Unpack(bad_request)
            detail.Unpack(unmet)
        violations = [*bad_request.field_violations, *unmet.violations]
        field = bad_request.field_violations[0].field if bad_request.field_violations else ""
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        return cls(code, error_info.reason, status.message, field, [violation.description for violation in violations])
