"""What a client of the service raises."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


class ApiError(Exception):
    """The service refused a call, or a job failed.

    Attributes:
        code: the gRPC status code.
        reason: the stable word of ``ErrorInfo``, such as INVALID_INPUT; empty where the service did not answer.
        message: one sentence for people.
        field: the field that was wrong, or empty.
    """

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.field = code, reason, message, field

    @classmethod
    def of_call(cls, error: grpc.RpcError) -> ApiError:
        """Read the status of a failed call."""
        status = rpc_status.from_call(error)
        if status is None:
            return cls(error.code(), "", error.details() or error.code().name)
        return cls.of_status(status)

    @classmethod
    def of_status(cls, status: status_pb2.Status) -> ApiError:
        """Read a ``google.rpc.Status``, such as a job's error."""
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in status.details:
            detail.Unpack(info)
            detail.Unpack(bad)
        field = bad.field_violations[0].field if bad.field_violations else ""
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        return cls(code, info.reason, status.message, field)
