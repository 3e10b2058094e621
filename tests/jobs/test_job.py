"""The stages of a job follow from the table of stage descriptors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.domain.cutout import CutoutOptions
from orchestrator.domain.export import ExportOptions
from orchestrator.domain.reconstruct import ReconstructOptions
from orchestrator.domain.segment import SegmentOptions
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.domain.stain import StainOptions
from orchestrator.jobs.job import PIPELINE, JobRequest, options_document, planned_stages
from orchestrator.jobs.stages import STAGES
from orchestrator.jobs.stages.reconstruct import MASKS_ONLY

WALNUT = StainOptions(SrgbColor.parse("#5D432C"))


def test_a_job_of_one_stage_runs_that_stage_over_the_whole_progress() -> None:
    (planned,) = planned_stages({"stain": WALNUT})
    assert planned.stage is STAGES["stain"]
    assert planned.options == WALNUT
    assert planned.span == pytest.approx((0.0, 1.0))
    assert planned.requested


def test_a_required_stage_runs_first_and_is_not_part_of_the_result() -> None:
    segment, reconstruct = planned_stages({"reconstruct": ReconstructOptions()})
    assert (segment.stage.name, segment.options, segment.requested) == ("segment", MASKS_ONLY, False)
    assert (reconstruct.stage.name, reconstruct.requested) == ("reconstruct", True)


def test_a_pipeline_runs_its_stages_in_the_order_of_the_table_without_gaps_in_progress() -> None:
    options = {
        "export": ExportOptions(),
        "reconstruct": ReconstructOptions(),
        "cutout": CutoutOptions(),
        "segment": SegmentOptions(),
    }
    plan = planned_stages(options)
    assert [planned.stage.name for planned in plan] == [name for name in STAGES if name in options]
    assert plan[0].options == SegmentOptions()
    ends = [0.0, *(planned.span[1] for planned in plan)]
    assert [planned.span[0] for planned in plan] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(1.0)


def test_equal_requests_have_equal_fingerprints() -> None:
    request = JobRequest("stain", "upload", {"stain": WALNUT}, request_id="1")
    assert request.fingerprint == JobRequest("stain", "upload", {"stain": WALNUT}, request_id="2").fingerprint
    assert request.fingerprint == replace(request, deadline=datetime.now(UTC)).fingerprint
    assert request.fingerprint != JobRequest("stain", "other", {"stain": WALNUT}).fingerprint


def test_options_of_a_pipeline_are_stored_by_stage() -> None:
    document = options_document(PIPELINE, {"segment": SegmentOptions(), "reconstruct": ReconstructOptions()})
    assert set(document) == {"segment", "reconstruct"}
