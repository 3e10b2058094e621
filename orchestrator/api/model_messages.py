"""Converts between the protos of ``ModelService`` and domain types."""

from __future__ import annotations

from orchestrator.api.fields import write_time
from orchestrator.domain.model_versions import CandidateReport, DeployOptions, ModelStatus, ModelVersion
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import model_pb2


def deploy_options(header: model_pb2.DeployModelRequest.Header) -> DeployOptions:
    """Convert the options in the header of an upload. Absent values get the defaults of ``DeployOptions``.

    Raises:
        InvalidInput: a value is out of range.
    """
    default = DeployOptions()
    timeout = header.shadow_timeout.ToTimedelta().total_seconds() if header.HasField("shadow_timeout") else None
    return DeployOptions(
        accept_difference=header.accept_difference,
        promote=not header.no_promote,
        shadow_share=header.shadow_share,
        shadow_requests=header.shadow_requests or default.shadow_requests,
        shadow_timeout_s=default.shadow_timeout_s if timeout is None else timeout,
    )


def revision(request: model_pb2.PromoteModelRequest | model_pb2.RollbackModelRequest) -> int | None:
    """Return the revision that the caller expects, or None if the request has none.

    Raises:
        InvalidInput: the revision is negative.
    """
    if not request.HasField("revision"):
        return None
    if request.revision < 0:
        raise InvalidInput("revision", f"{request.revision} is not allowed; it must be at least 0, or absent")
    return request.revision


def model_to_proto(status: ModelStatus) -> model_pb2.Model:
    pointer = status.pointer
    return model_pb2.Model(
        name=status.model,
        serving_version=pointer.version,
        rollback_version=pointer.previous,
        revision=pointer.revision,
        operator=pointer.operator,
        change_time=write_time(pointer.change_time),
        versions=[_version_to_proto(version, serves=version.version == pointer.version) for version in status.versions],
    )


def _version_to_proto(version: ModelVersion, *, serves: bool) -> model_pb2.ModelVersion:
    state = "SERVING" if serves else version.state.name
    return model_pb2.ModelVersion(
        version=version.version,
        state=model_pb2.ModelVersionState.Value(f"MODEL_VERSION_STATE_{state}"),
        reason=version.reason,
        in_repository=version.in_repository,
        triton_name=version.triton_name,
        sha256=version.sha256,
        size_bytes=version.size_bytes,
        operator=version.operator,
        create_time=write_time(version.create_time),
        report=_report_to_proto(version.report) if version.report else None,
    )


def _report_to_proto(report: CandidateReport) -> model_pb2.ModelReport:
    shadow = report.shadow
    return model_pb2.ModelReport(
        against_version=report.against,
        verdict=model_pb2.ModelVerdict.Value(f"MODEL_VERDICT_{report.verdict.name}"),
        differences=report.differences,
        latencies=[
            model_pb2.ModelReport.Latency(
                side=latency.side, candidate_ms=latency.candidate_ms, serving_ms=latency.serving_ms
            )
            for latency in report.latencies
        ],
        shadow=model_pb2.ModelReport.Shadow(
            requests=shadow.requests,
            differences=shadow.differences,
            candidate_ms=shadow.candidate_ms,
            serving_ms=shadow.serving_ms,
        )
        if shadow
        else None,
    )
