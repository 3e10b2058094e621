"""Protos of the export stage."""

from __future__ import annotations

from typing import Any

from orchestrator.api.codec import Codec
from orchestrator.api.convert import write_asset, write_enum
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.export import ExportResult
from orchestrator.protocol.heartwood.v1 import export_pb2


class ExportCodec(Codec):
    """The files are a list with the format of each."""

    def write_result(self, result: ExportResult, job: Job, **_: Any) -> Any:
        formats = export_pb2.ModelFormat.DESCRIPTOR
        files = [
            export_pb2.ExportedFile(format=write_enum(format, formats), file=write_asset(job.assets[id]))
            for format, id in result.files.items()
            if id in job.assets
        ]
        target = write_enum(job.options["export"].target, export_pb2.ExportTarget.DESCRIPTOR)
        return super().write_result(result, job, files=files, target=target)


CODEC = ExportCodec("export", export_pb2.ExportOptions, export_pb2.ExportResult, "export_id")
