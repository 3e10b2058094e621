"""Names become queries of OWLv2, and its boxes become boxes in the photo."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.inference.roles.owlv2 import MAX_BOXES, PADDING, SIDE, TOKENS, named_boxes, to_inputs, tokenize

START = 49406
END = 49407


def test_queries_are_those_of_clip_and_padded_to_a_multiple_of_eight() -> None:
    tokens = tokenize(["leg", "Door_handle "])
    assert (tokens.shape, tokens.dtype) == ((8, TOKENS), np.int32)
    # the ids of OpenAI's tokenizer for "a photo of a leg"
    assert tokens[0].tolist() == [START, 320, 1125, 539, 320, 4924, END, *[0] * 9]
    assert tokens[1].tolist() == tokenize(["door handle"])[0].tolist()
    assert not tokens[2:].any()
    assert tokenize(["x"] * 9).shape == (16, TOKENS)


def test_a_long_name_keeps_the_end_of_its_query() -> None:
    tokens = tokenize(["a very long name of a part that has far too many words to fit"])[0]
    assert tokens[0] == START
    assert tokens[-1] == END


def test_the_photo_is_enlarged_and_padded_with_grey() -> None:
    image = to_inputs(np.full((100, 200, 3), 255, np.uint8), ["leg"])["image"]
    assert image.shape == (1, 3, SIDE, SIDE)
    assert np.allclose(image[..., : SIDE // 2, :], 1)
    assert np.allclose(image[..., SIDE // 2 :, :], PADDING / 255)


def outputs(boxes: list[list[float]], scores: list[list[float]]) -> dict[str, np.ndarray]:
    return {"boxes": np.array([boxes], np.float32), "scores": np.array([scores], np.float32)}


def test_boxes_are_in_pixels_of_the_photo_named_and_sorted() -> None:
    found = named_boxes(
        outputs([[0.25, 0.1, 0.2, 0.1], [0.5, 0.25, 1.0, 0.5]], [[0.3, 0.1], [0.1, 0.8]]), ["leg", "top"], 400, 200
    )
    assert [(part.name, part.confidence) for part in found] == [
        ("top", pytest.approx(0.8)),
        ("leg", pytest.approx(0.3)),
    ]
    assert vars(found[0].box) == pytest.approx({"left": 0, "top": 0, "right": 400, "bottom": 200})
    assert vars(found[1].box) == pytest.approx({"left": 60, "top": 20, "right": 140, "bottom": 60})


def test_repeated_unlikely_and_empty_boxes_and_boxes_in_the_padding_are_dropped() -> None:
    box, shifted, padding = [0.3, 0.2, 0.2, 0.2], [0.31, 0.2, 0.2, 0.2], [0.5, 0.9, 0.2, 0.1]
    elsewhere, empty = [0.7, 0.3, 0.2, 0.2], [0.5, 0.5, 0.0, 0.1]
    found = named_boxes(
        outputs([box, shifted, padding, elsewhere, empty], [[0.9], [0.8], [0.9], [0.05], [0.9]]), ["leg"], 400, 200
    )
    assert len(found) == 1
    assert found[0].confidence == pytest.approx(0.9)


def test_the_number_of_boxes_is_limited() -> None:
    centers = [[0.01 * x, 0.01 * y, 0.009, 0.009] for x in range(1, 12) for y in range(1, 12)]
    found = named_boxes(outputs(centers, [[0.5]] * len(centers)), ["leg"], 1000, 1000)
    assert len(found) == MAX_BOXES
