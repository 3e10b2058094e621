"""Protos of the reconstruct stage."""

from __future__ import annotations

from orchestrator.api.enums import EnumCodec
from orchestrator.api.fields import read_dimensions, write_dimensions, write_file, write_files
from orchestrator.domain.reconstruct import Engine, Mode, Provider, ReconstructOptions
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages.reconstruct import ReconstructResult
from orchestrator.protocol.heartwood.v1 import reconstruct_pb2

MODES = EnumCodec(reconstruct_pb2.ReconstructMode, "RECONSTRUCT_MODE", Mode, Mode.AUTO)
ENGINES = EnumCodec(reconstruct_pb2.PhotogrammetryEngine, "PHOTOGRAMMETRY_ENGINE", Engine, Engine.COLMAP)
PROVIDERS = EnumCodec(reconstruct_pb2.SingleImageProvider, "SINGLE_IMAGE_PROVIDER", Provider, Provider.LOCAL)
DEFAULTS = ReconstructOptions()


def read_options(message: reconstruct_pb2.ReconstructOptions) -> ReconstructOptions:
    """The options of a proto."""
    return ReconstructOptions(
        mode=MODES.read("reconstruct.mode", message.mode),
        engine=ENGINES.read("reconstruct.engine", message.engine),
        provider=PROVIDERS.read("reconstruct.provider", message.provider),
        ordered=message.ordered,
        dimensions=read_dimensions(message.dimensions),
        texture_size=message.texture_size or DEFAULTS.texture_size,
        max_triangles=message.max_triangles or DEFAULTS.max_triangles,
    )


def write_options(options: ReconstructOptions) -> reconstruct_pb2.ReconstructOptions:
    """The proto of the options."""
    return reconstruct_pb2.ReconstructOptions(
        mode=MODES.write(options.mode),
        engine=ENGINES.write(options.engine),
        provider=PROVIDERS.write(options.provider),
        ordered=options.ordered,
        dimensions=write_dimensions(options.dimensions),
        texture_size=options.texture_size,
        max_triangles=options.max_triangles,
    )


def write_result(result: ReconstructResult, job: Job) -> reconstruct_pb2.ReconstructResult:
    """The proto of the result."""
    return reconstruct_pb2.ReconstructResult(
        model_id=job.group_id,
        mode=MODES.write(result.mode),
        report=reconstruct_pb2.CaptureReport(
            photos=len(result.photos),
            used_photo_asset_ids=[result.photos[index] for index in result.used_photos],
            points=result.points,
            mean_reprojection_error_px=result.mean_reprojection_error_px,
            coverage_deg=result.coverage_deg,
            advice=result.advice,
        ),
        vertices=result.vertices,
        triangles=result.triangles,
        dimensions=write_dimensions(result.dimensions),
        glb=write_file(result.glb, job),
        usdz=write_file(result.usdz, job),
        fbx=write_file(result.fbx, job),
        preview=write_file(result.preview, job),
        extras=write_files(result.extras, job),
    )
