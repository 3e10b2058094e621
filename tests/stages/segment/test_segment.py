"""The segment stage on a scene whose ground truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.domain.made_of import PartMaterial
from orchestrator.domain.segment import Box, DetectorName, Prompt, SegmentOptions
from orchestrator.errors import Canceled, InvalidInput
from orchestrator.stages.segment.segment import NO_PIECE, check_options, components_json, segment
from tests.support.wooden_scene import wooden_scene

SCENE = wooden_scene()


def test_the_local_detector_returns_name_material_box_and_area_of_the_board() -> None:
    result = segment(SCENE.photo_srgb, SCENE.maps, SegmentOptions(), 0, None)
    (board,) = result.components
    assert (board.name, board.material, board.detector) == ("tabletop", "wood", "local")
    truth = SCENE.wood > 0
    assert board.area_px == pytest.approx(truth.sum(), rel=0.02)
    assert board.box.top == pytest.approx(np.argwhere(truth)[:, 0].min(), abs=3)
    assert result.wood is not None
    assert ((result.wood > 127) == truth).mean() > 0.98


def test_components_and_wood_are_optional() -> None:
    result = segment(SCENE.photo_srgb, SCENE.maps, SegmentOptions(detect_components=False, detect_wood=False), 0, None)
    assert result.components == ()
    assert result.wood is None


def test_components_from_prompts_have_the_name_of_the_prompt_and_the_detector() -> None:
    prompts = (Prompt("leg", Box(0, 90, 320, 240)), Prompt("leg", Box(0, 100, 160, 240)))
    options = SegmentOptions(detector=DetectorName.PROMPTS, prompts=prompts)
    result = segment(SCENE.photo_srgb, SCENE.maps, options, 0, None)
    assert [component.instance for component in result.components] == ["leg-1", "leg-2"]
    assert {component.detector for component in result.components} == {"prompts"}
    assert components_json(result)["components"][0]["name"] == "leg"


def test_a_photo_without_a_piece_has_no_components_and_a_warning() -> None:
    nothing = np.zeros_like(SCENE.maps.component)
    nothing[SCENE.maps.component_names.index("background")] = 1.0
    result = segment(SCENE.photo_srgb, replace(SCENE.maps, component=nothing), SegmentOptions(), 0, None)
    assert result.components == ()
    assert result.warnings == (NO_PIECE,)
    assert segment(SCENE.photo_srgb, SCENE.maps, SegmentOptions(), 0, None).warnings == ()


def test_a_canceled_job_stops_the_stage() -> None:
    def cancel(_: float, __: str) -> None:
        raise Canceled("stop")

    with pytest.raises(Canceled):
        segment(SCENE.photo_srgb, SCENE.maps, SegmentOptions(), 0, None, progress=cancel)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (SegmentOptions(detector=DetectorName.PROMPTS), "segment.prompts"),
        (SegmentOptions(detector=DetectorName.OPENAI), "segment.detector"),
        (SegmentOptions(prompts=(Prompt("leg", Box(5, 5, 5, 9)),)), "segment.prompts[0].box"),
        (SegmentOptions(prompts=(Prompt("leg", Box(0, 0, 400, 9)),)), "segment.prompts[0].box"),
        (SegmentOptions(prompts=(Prompt("leg"),)), "segment.prompts[0]"),
        (SegmentOptions(prompts=(Prompt("leg", Box(0, 0, 9, 9), photo=1),)), "segment.prompts[0].photo"),
    ],
)
def test_invalid_options_are_rejected_with_their_field(options: SegmentOptions, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_options(options, [(320, 240)], None)
    assert caught.value.field == field


def test_parts_and_wood_follow_what_the_caller_states() -> None:
    boxes = (Prompt("tray", Box(0, 100, 160, 240)),)
    prompts = {"detector": DetectorName.PROMPTS, "prompts": boxes}
    options = SegmentOptions(made_of=(PartMaterial("metal", "tray"),), **prompts)
    result = segment(SCENE.photo_srgb, SCENE.maps, options, 0, None)
    (tray,) = result.components
    assert tray.material == "metal"
    assert result.wood is not None
    inside = tray.mask > 127
    assert (result.wood[inside] > 127).mean() < 0.1  # the edge of the mask is soft
    assert (result.wood[:, 200:] > 127)[SCENE.wood[:, 200:] > 0].mean() > 0.95


def test_a_stated_material_of_the_piece_decides_uncertain_parts() -> None:
    uncertain = replace(SCENE.maps, material=np.stack([SCENE.maps.wood * 0.2, 1 - SCENE.maps.wood * 0.2]))
    plain, wooden = (
        segment(SCENE.photo_srgb, uncertain, SegmentOptions(made_of=made_of), 0, None)
        for made_of in ((), (PartMaterial("wood"),))
    )
    assert plain.components[0].material == "other"
    assert wooden.components[0].material == "wood"
    assert wooden.wood is not None
    assert ((wooden.wood > 127) == (SCENE.wood > 0)).mean() > 0.98
