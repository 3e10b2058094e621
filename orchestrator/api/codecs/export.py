"""Protos of the export stage. The result lists each file with its format."""

from __future__ import annotations

from orchestrator.api.convert import Codec, Fields, write_asset, write_enum
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.export import ExportResult
from orchestrator.protocol.heartwood.v1 import export_pb2


def _write_result(result: ExportResult, job: Job) -> Fields:
    formats = export_pb2.ModelFormat.DESCRIPTOR
    files = [
        export_pb2.ExportedFile(format=write_enum(format.name, formats), file=write_asset(job.assets[id]))
        for format, id in result.files.items()
        if id in job.assets
    ]
    return {"files": files, "target": write_enum(job.options["export"].target.name, export_pb2.ExportTarget.DESCRIPTOR)}


CODEC = Codec("export", "export_id", result_to_proto=_write_result)
