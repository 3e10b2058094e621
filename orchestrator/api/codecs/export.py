"""Protos of the export stage."""

from __future__ import annotations

from orchestrator.api.convert import from_proto, to_proto, write_enum
from orchestrator.api.fields import write_asset
from orchestrator.domain.export import ExportOptions
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.export import ExportResult
from orchestrator.protocol.heartwood.v1 import export_pb2


def read_options(message: export_pb2.ExportOptions) -> ExportOptions:
    """The options of a proto."""
    return from_proto(message, ExportOptions, "export")


def write_options(options: ExportOptions) -> export_pb2.ExportOptions:
    """The proto of the options."""
    return to_proto(options, export_pb2.ExportOptions)


def write_result(result: ExportResult, job: Job) -> export_pb2.ExportResult:
    """The proto of the result."""
    files = [
        export_pb2.ExportedFile(
            format=write_enum(format, export_pb2.ModelFormat.DESCRIPTOR), file=write_asset(job.assets[id])
        )
        for format, id in result.files.items()
        if id in job.assets
    ]
    target = write_enum(job.options["export"].target, export_pb2.ExportTarget.DESCRIPTOR)
    return to_proto(result, export_pb2.ExportResult, job, export_id=job.group_id, files=files, target=target)
