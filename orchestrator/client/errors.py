"""The error that the client raises."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from orchestrator.errors import HeartwoodError


class ApiError(HeartwoodError):
    """The service rejected a call or was unreachable, or a job failed.

    Attributes:
        code: the gRPC status code.
        reason: the stable reason from ``ErrorInfo``, such as INVALID_INPUT. Empty if the service did not reply.
        message: one sentence for people.
        field: the path of the invalid field, or empty.
    """

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.field = field

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
    def from_status(cls, status: status_pb2.Status) -> ApiError:
        """Convert a ``google.rpc.Status``, such as the ``error`` of a job."""
        error_info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in status.details:
            detail.Unpack(error_info)
            detail.Unpack(bad_request)
        violations = bad_request.field_violations
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        return cls(code, error_info.reason, status.message, violations[0].field if violations else "")
