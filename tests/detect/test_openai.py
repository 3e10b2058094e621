"""The detector ``openai`` against a chat-completions server on the loopback interface."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.detect.detector import Detection
from orchestrator.detect.openai import OpenAIDetector
from orchestrator.domain.images import Image
from orchestrator.domain.made_of import PartMaterial
from orchestrator.domain.progress import no_progress
from orchestrator.domain.segment import OpenAISettings, SegmentOptions
from orchestrator.errors import DetectorFailed, DetectorUnavailable
from tests.support.pictures import wood_photo
from tests.support.vision_endpoint import KEY, LEG, Endpoint, completion
from tests.support.wooden_scene import wooden_scene


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()


def detect(photo_srgb: Image, settings: OpenAISettings) -> Detection:
    return OpenAIDetector(settings).detect(photo_srgb, wooden_scene().maps, SegmentOptions(), 0, no_progress)


def test_the_endpoint_is_asked_for_the_parts_that_the_caller_names(endpoint: Endpoint) -> None:
    endpoint.answers = [completion(json.dumps({"components": [LEG]}))]
    made_of = (PartMaterial("wood"), PartMaterial("metal", "leg"), PartMaterial("wood", "serving_tray"))
    options = SegmentOptions(made_of=made_of)
    OpenAIDetector(endpoint.settings).detect(wood_photo(64, 48), wooden_scene().maps, options, 0, no_progress)
    text = endpoint.calls[0]["messages"][0]["content"][0]["text"]
    assert "frame, hardware, serving_tray." in text
    assert text.count("leg") == 1


OVERLOADED = (429, {"error": {"message": "slow down"}})


def test_boxes_are_clipped_to_the_photo_and_the_cost_is_returned(endpoint: Endpoint) -> None:
    endpoint.answers = [completion(json.dumps({"components": [LEG]}))]
    detection = detect(wood_photo(640, 480), endpoint.settings)
    (leg,) = detection.candidates
    assert (leg.name, leg.material, leg.confidence) == ("leg", "wood", 0.9)
    assert leg.prompt is not None
    box = leg.prompt.box
    assert box is not None
    assert (box.left, box.top, box.right, box.bottom) == (64, 240, 128, 480)
    assert (detection.cost.prompt_tokens, detection.cost.completion_tokens) == (1000, 100)
    assert detection.cost.usd == pytest.approx(0.002)
    (call,) = endpoint.calls
    assert call["response_format"]["json_schema"]["strict"] is True
    assert call["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_a_request_to_an_overloaded_endpoint_is_retried(endpoint: Endpoint) -> None:
    endpoint.answers = [OVERLOADED, completion(json.dumps({"components": [LEG]}))]
    assert detect(wood_photo(), endpoint.settings).candidates
    assert len(endpoint.calls) == 2


def test_an_endpoint_that_stays_overloaded_is_unavailable(endpoint: Endpoint) -> None:
    endpoint.answers = [OVERLOADED]
    with pytest.raises(DetectorUnavailable):
        detect(wood_photo(), endpoint.settings)
    assert len(endpoint.calls) == 3


@pytest.mark.parametrize(
    "answer",
    [
        completion(None, refusal="I can't look at this."),
        completion("not json"),
        completion(json.dumps({"components": [{"name": "leg"}]})),
        completion(json.dumps({"components": [{**LEG, "confidence": 7}]})),
        (401, {"error": {"message": f"wrong key {KEY}"}}),
    ],
)
def test_an_invalid_answer_fails_without_a_retry_and_without_the_key_in_the_error(
    endpoint: Endpoint, answer: tuple[int, dict[str, Any]]
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(DetectorFailed) as failed:
        detect(wood_photo(), endpoint.settings)
    assert len(endpoint.calls) == 1
    assert KEY not in str(failed.value)
    assert KEY not in repr(endpoint.settings)
