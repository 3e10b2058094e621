"""Protos of the export stage."""

from __future__ import annotations

from orchestrator.api.enums import EnumCodec
from orchestrator.api.fields import read_dimensions, write_dimensions, write_file, write_files
from orchestrator.domain.export import ExportOptions, MeshCodec, MeshFormat, Target, TextureCodec
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.export import ExportFacts, ExportResult
from orchestrator.protocol.heartwood.v1 import export_pb2

FORMATS = EnumCodec(export_pb2.ModelFormat, "MODEL_FORMAT", MeshFormat)
TARGETS = EnumCodec(export_pb2.ExportTarget, "EXPORT_TARGET", Target, Target.WEB)
TEXTURE_CODECS = EnumCodec(export_pb2.TextureCodec, "TEXTURE_CODEC", TextureCodec, TextureCodec.AUTO)
MESH_CODECS = EnumCodec(export_pb2.MeshCodec, "MESH_CODEC", MeshCodec, MeshCodec.AUTO)
DEFAULTS = ExportOptions()


def read_options(message: export_pb2.ExportOptions) -> ExportOptions:
    """The options of a proto."""
    formats = tuple(FORMATS.read("export.formats", number) for number in message.formats)
    return ExportOptions(
        model_id=message.model_id,
        formats=tuple(dict.fromkeys(formats)) or DEFAULTS.formats,
        target=TARGETS.read("export.target", message.target),
        texture_codec=TEXTURE_CODECS.read("export.texture_codec", message.texture_codec),
        mesh_codec=MESH_CODECS.read("export.mesh_codec", message.mesh_codec),
        levels=message.levels or DEFAULTS.levels,
        dimensions=read_dimensions(message.dimensions),
    )


def write_options(options: ExportOptions) -> export_pb2.ExportOptions:
    """The proto of the options."""
    return export_pb2.ExportOptions(
        model_id=options.model_id,
        formats=[FORMATS.write(format) for format in options.formats],
        target=TARGETS.write(options.target),
        texture_codec=TEXTURE_CODECS.write(options.texture_codec),
        mesh_codec=MESH_CODECS.write(options.mesh_codec),
        levels=options.levels,
        dimensions=write_dimensions(options.dimensions),
    )


def write_result(result: ExportResult, job: Job) -> export_pb2.ExportResult:
    """The proto of the result."""
    return export_pb2.ExportResult(
        export_id=job.group_id,
        target=TARGETS.write(job.options["export"].target),
        files=[
            export_pb2.ExportedFile(format=FORMATS.write(format), file=file)
            for format, id in result.files.items()
            if (file := write_file(id, job)) is not None
        ],
        levels=write_files(result.levels, job),
        report=write_file(result.report, job),
        facts=_write_facts(result.facts),
    )


def _write_facts(facts: ExportFacts) -> export_pb2.ModelFacts:
    return export_pb2.ModelFacts(
        size_bytes=facts.size_bytes,
        triangles=facts.triangles,
        vertices=facts.vertices,
        draw_calls=facts.draw_calls,
        materials=facts.materials,
        textures=facts.textures,
        dimensions=write_dimensions(facts.dimensions),
        meets=[TARGETS.write(target) for target in facts.meets],
    )
