"""Converts between the protos of ``ModelService`` and domain types."""

from __future__ import annotations

from typing import Any

from orchestrator.api.convert import from_proto, to_proto
from orchestrator.domain.model_versions import DeployOptions, ModelStatus, ModelVersion
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import model_pb2


def deploy_options(header: model_pb2.DeployModelRequest.Header) -> DeployOptions:
    """Convert the options in the header of an upload. Raises InvalidInput if a value is out of range."""
    converted: dict[str, Any] = {"promote": not header.no_promote}
    if header.HasField("shadow_timeout"):
        converted["shadow_timeout_s"] = header.shadow_timeout.ToTimedelta().total_seconds()
    return from_proto(header, DeployOptions, "header", **converted)


def revision(request: model_pb2.PromoteModelRequest | model_pb2.RollbackModelRequest) -> int | None:
    """Return the revision that the caller expects, or None. Raises InvalidInput if it is negative."""
    if request.revision < 0:
        raise InvalidInput("revision", f"{request.revision} is not allowed; it must be at least 0, or absent")
    return request.revision if request.HasField("revision") else None


def model_to_proto(status: ModelStatus) -> model_pb2.Model:
    pointer = status.pointer
    return to_proto(
        pointer,
        model_pb2.Model,
        name=status.model,
        serving_version=pointer.version,
        rollback_version=pointer.previous,
        versions=[_version_to_proto(version, serves=version.version == pointer.version) for version in status.versions],
    )


def _version_to_proto(version: ModelVersion, *, serves: bool) -> model_pb2.ModelVersion:
    converted: dict[str, Any] = {}
    if serves:
        converted["state"] = model_pb2.MODEL_VERSION_STATE_SERVING
    if version.report:
        against = version.report.against
        converted["report"] = to_proto(version.report, model_pb2.ModelReport, against_version=against)
    return to_proto(version, model_pb2.ModelVersion, **converted)
