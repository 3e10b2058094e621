"""Reads and writes the protos of ``ModelService``."""

from __future__ import annotations

from orchestrator.api.responses import stamp
from orchestrator.domain.model_versions import (
    CandidateReport,
    DeployOptions,
    ModelStatus,
    ModelVersion,
    Verdict,
    VersionState,
)
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import model_pb2

STATES = {
    VersionState.CHECKING: model_pb2.MODEL_VERSION_STATE_CHECKING,
    VersionState.READY: model_pb2.MODEL_VERSION_STATE_READY,
    VersionState.FAILED: model_pb2.MODEL_VERSION_STATE_FAILED,
    VersionState.RETIRED: model_pb2.MODEL_VERSION_STATE_RETIRED,
}
VERDICTS = {
    Verdict.AGREES: model_pb2.MODEL_VERDICT_AGREES,
    Verdict.MEASURED_BETTER: model_pb2.MODEL_VERDICT_MEASURED_BETTER,
    Verdict.DIFFERENCE_ACCEPTED: model_pb2.MODEL_VERDICT_DIFFERENCE_ACCEPTED,
}


def deploy_options(header: model_pb2.DeployModelRequest.Header) -> DeployOptions:
    """How the candidate is checked.

    Raises:
        InvalidInput: a value is not allowed.
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
    """The revision as the caller saw it; None is any.

    Raises:
        InvalidInput: it is below 0.
    """
    if not request.HasField("revision"):
        return None
    if request.revision < 0:
        raise InvalidInput("revision", f"{request.revision} is not allowed; give the model's revision, or none")
    return request.revision


def model(status: ModelStatus) -> model_pb2.Model:
    """A model's proto."""
    pointer = status.pointer
    return model_pb2.Model(
        name=status.model,
        serving_version=pointer.version,
        rollback_version=pointer.previous,
        revision=pointer.revision,
        operator=pointer.operator,
        change_time=stamp(pointer.change_time),
        versions=[_version(one, serves=one.version == pointer.version) for one in status.versions],
    )


def _version(one: ModelVersion, *, serves: bool) -> model_pb2.ModelVersion:
    return model_pb2.ModelVersion(
        version=one.version,
        state=model_pb2.MODEL_VERSION_STATE_SERVING if serves else STATES[one.state],
        reason=one.reason,
        in_repository=one.in_repository,
        triton_name=one.triton_name,
        sha256=one.sha256,
        size_bytes=one.size_bytes,
        operator=one.operator,
        create_time=stamp(one.create_time),
        report=_report(one.report) if one.report else None,
    )


def _report(report: CandidateReport) -> model_pb2.ModelReport:
    shadow = report.shadow
    return model_pb2.ModelReport(
        against_version=report.against,
        verdict=VERDICTS[report.verdict],
        differences=report.differences,
        latencies=[
            model_pb2.ModelReport.Latency(side=one.side, candidate_ms=one.candidate_ms, serving_ms=one.serving_ms)
            for one in report.latencies
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
