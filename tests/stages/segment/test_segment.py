"""The segment stage on a scene whose truth is known, each detector for itself."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.domain.segment import Box, Detector, Prompt, SegmentOptions
from orchestrator.errors import Canceled, InvalidInput
from orchestrator.stages.segment.segment import check_prompts, components_json, segment
from tests.support.wooden_scene import wooden_scene

SCENE = wooden_scene()


def test_the_local_detector_gives_name_material_box_and_area_of_the_board() -> None:
    found = segment(SCENE.photo_srgb, SCENE.maps, SegmentOptions(), 0, None)
    (board,) = found.components
    assert (board.name, board.material, board.detector) == ("tabletop", "wood", "local")
    truth = SCENE.wood > 0
    assert board.area_px == pytest.approx(truth.sum(), rel=0.02)
    assert board.box.top == pytest.approx(np.argwhere(truth)[:, 0].min(), abs=3)
    assert found.wood is not None
    assert ((found.wood > 127) == truth).mean() > 0.98


def test_what_is_not_asked_for_is_not_made() -> None:
    found = segment(SCENE.photo_srgb, SCENE.maps, SegmentOptions(detect_components=False, detect_wood=False), 0, None)
    assert found.components == ()
    assert found.wood is None


def test_prompts_keep_their_names_and_say_who_found_them() -> None:
    prompts = (Prompt("leg", Box(0, 90, 320, 240)), Prompt("leg", Box(0, 100, 160, 240)))
    options = SegmentOptions(detector=Detector.PROMPTS, prompts=prompts)
    found = segment(SCENE.photo_srgb, SCENE.maps, options, 0, None)
    assert [part.instance for part in found.components] == ["leg-1", "leg-2"]
    assert {part.detector for part in found.components} == {"prompts"}
    assert components_json(found)["components"][0]["name"] == "leg"


def test_a_canceled_job_stops_the_stage() -> None:
    def cancel(_: float, __: str) -> None:
        raise Canceled("stop")

    with pytest.raises(Canceled):
        segment(SCENE.photo_srgb, SCENE.maps, SegmentOptions(), 0, None, progress=cancel)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (SegmentOptions(detector=Detector.PROMPTS), "segment.prompts"),
        (SegmentOptions(detector=Detector.OPENAI), "segment.detector"),
        (SegmentOptions(prompts=(Prompt("leg", Box(5, 5, 5, 9)),)), "segment.prompts[0].box"),
        (SegmentOptions(prompts=(Prompt("leg", Box(0, 0, 400, 9)),)), "segment.prompts[0].box"),
        (SegmentOptions(prompts=(Prompt("leg"),)), "segment.prompts[0]"),
        (SegmentOptions(prompts=(Prompt("leg", Box(0, 0, 9, 9), photo=1),)), "segment.prompts[0].photo"),
    ],
)
def test_options_that_no_photo_can_follow_name_their_field(options: SegmentOptions, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_prompts(options, [(320, 240)], None)
    assert caught.value.field == field
