"""Each stage converts its options to protos and back, and has its fields in the protos of jobs and pipelines."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.api.codecs import CODECS
from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.export import ExportOptions, MeshCodec, MeshFormat, Target, TextureCodec
from orchestrator.domain.images import ImageFormat
from orchestrator.domain.made_of import PartMaterial
from orchestrator.domain.reconstruct import Engine, Mode, Provider, ReconstructOptions
from orchestrator.domain.render import Background, RenderOptions, VideoFormat
from orchestrator.domain.segment import Box, DetectorName, Point, Prompt, SegmentOptions
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import EditedMask, Region, StainOptions
from orchestrator.errors import InvalidInput
from orchestrator.jobs.job import PIPELINE
from orchestrator.jobs.stages import STAGES
from orchestrator.protocol.heartwood.v1 import (
    cutout_pb2,
    export_pb2,
    job_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)

PROMPT = Prompt("leg", Box(1.0, 2.0, 30.0, 40.0), (Point(5.0, 6.0), Point(7.0, 8.0, inside=False)), photo=1)
OPTIONS: dict[str, Any] = {
    "segment": SegmentOptions(
        detect_components=False,
        detect_wood=False,
        detector=DetectorName.PROMPTS,
        prompts=(PROMPT,),
        made_of=(PartMaterial("wood"), PartMaterial("metal", "leg")),
    ),
    "stain": StainOptions(
        SrgbColor.parse("#123456"),
        "",
        0.5,
        0.25,
        2.0,
        Region.PICTURE,
        mask_asset_id="mask",
        format=ImageFormat.WEBP,
        made_of=(PartMaterial("wood", "top"),),
        parts=("top", "drawer-2"),
        segment_job_id="job",
        masks=(EditedMask(0, "top-1", "mask"), EditedMask(1, "wood", "mask")),
    ),
    "cutout": CutoutOptions(
        format=ImageFormat.WEBP, trim=False, background=SrgbColor.parse("#123456"), shadow=False, margin=0.25
    ),
    "reconstruct": ReconstructOptions(
        mode=Mode.NERF,
        engine=Engine.MESHROOM,
        provider=Provider.TRELLIS,
        ordered=True,
        dimensions=Dimensions(height_m=0.5),
        texture_size=512,
        max_triangles=5000,
    ),
    "render": RenderOptions(
        model_id="mesh",
        frames=12,
        width=640,
        height=480,
        background=Background.TRANSPARENT,
        formats=(VideoFormat.GIF, VideoFormat.MP4),
        keep_frames=True,
        elevation_deg=-10.0,
        seconds=2.5,
        texture_id="texture",
        texture_width_m=0.5,
        texture_materials=("wood",),
    ),
    "export": ExportOptions(
        model_id="mesh",
        formats=(MeshFormat.STL, MeshFormat.GLB),
        target=Target.BANNER,
        texture_codec=TextureCodec.KTX2,
        mesh_codec=MeshCodec.DRACO,
        levels=2,
        dimensions=Dimensions(0.5, 0.25, 0.125),
    ),
}
"""Options that differ from every default, in values that float32 represents exactly."""


def test_every_stage_has_fields_in_the_protos_of_jobs_and_pipelines() -> None:
    stages = set(STAGES)
    assert {field.name for field in job_pb2.JobSpec.DESCRIPTOR.oneofs_by_name["stage"].fields} == stages | {PIPELINE}
    assert {field.name for field in job_pb2.Job.DESCRIPTOR.oneofs_by_name["result"].fields} == stages | {PIPELINE}
    assert set(pipeline_pb2.PipelineOptions.DESCRIPTOR.fields_by_name) == stages
    assert set(pipeline_pb2.PipelineResult.DESCRIPTOR.fields_by_name) == stages


@pytest.mark.parametrize("stage", STAGES)
def test_options_survive_the_conversion_to_protos_and_back(stage: str) -> None:
    codec = CODECS[stage]
    assert codec.read_options(codec.write_options(OPTIONS[stage])) == OPTIONS[stage]


def test_options_that_are_not_set_take_their_defaults() -> None:
    assert CODECS["cutout"].read_options(cutout_pb2.CutoutOptions()) == CutoutOptions()
    assert CODECS["export"].read_options(export_pb2.ExportOptions()) == ExportOptions()
    assert CODECS["reconstruct"].read_options(reconstruct_pb2.ReconstructOptions()) == ReconstructOptions()
    assert CODECS["render"].read_options(render_pb2.RenderOptions()) == RenderOptions()
    assert CODECS["segment"].read_options(segment_pb2.SegmentOptions()) == SegmentOptions()


def test_a_zero_is_set_if_the_field_has_presence() -> None:
    options = CODECS["stain"].read_options(stain_pb2.StainOptions(color="#123456", strength=0.0))
    assert options.strength == 0.0
    assert options.preserve_grain == 1.0


def test_an_unknown_enum_number_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(InvalidInput, match=r"9 is not allowed; allowed are 1 \(STUDIO\), 2 \(TRANSPARENT\)") as refused:
        CODECS["render"].read_options(render_pb2.RenderOptions(background=9))
    assert refused.value.field == "render.background"
