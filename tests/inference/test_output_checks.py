"""Checks of a version's outputs, and the difference between the outputs of two versions."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import CandidateRefused
from orchestrator.inference.output_checks import MAX_DIFFERENCE, check_outputs, difference
from orchestrator.inference.triton_client import Signature, TensorSpec

SIDE = 32
INPUTS = {"image": np.zeros((1, 3, SIDE, SIDE), np.float32)}
CHANNELS = {"albedo": 3, "shading": 3, "normal": 3, "roughness": 1, "ambient_occlusion": 1, "depth": 1, "material": 9}
SIGNATURE = Signature(
    (TensorSpec("image", "TYPE_FP32", (3, -1, -1)),),
    tuple(TensorSpec(name, "TYPE_FP32", (channels, -1, -1)) for name, channels in CHANNELS.items()),
)


def valid_outputs() -> dict[str, np.ndarray]:
    """Random outputs that pass every check."""
    random = np.random.default_rng(0)
    outputs = {name: random.random((1, count, SIDE, SIDE)).astype(np.float32) for name, count in CHANNELS.items()}
    outputs["normal"] = outputs["normal"] + np.float32(0.1)
    outputs["normal"] /= np.linalg.norm(outputs["normal"], axis=1, keepdims=True)
    outputs["shading"] *= 4
    outputs["depth"] += 1
    outputs["material"] = outputs["material"] * 20 - 12
    return outputs


OUT_OF_RANGE = {
    "albedo": ({"add": 1.0}, "from 0 to 1"),
    "shading": ({"add": -9.0}, "at least 0"),
    "normal": ({"times": 1.2}, "length deviates from 1 by up to 0.2"),
    "roughness": ({"times": -1.0}, "from 0 to 1"),
    "ambient_occlusion": ({"add": 0.5}, "from 0 to 1"),
    "depth": ({"add": -1.5}, "all values must be above 0"),
    "material": ({"times": np.inf}, "is not finite"),
}


def test_valid_outputs_pass() -> None:
    check_outputs(valid_outputs(), SIGNATURE, INPUTS)


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_value_out_of_range_is_refused_with_the_output_and_the_range(name: str) -> None:
    change, reason = OUT_OF_RANGE[name]
    outputs = valid_outputs()
    outputs[name] = outputs[name] * np.float32(change.get("times", 1)) + np.float32(change.get("add", 0))
    outputs[name] = outputs[name].astype(np.float32)
    with pytest.raises(CandidateRefused, match=reason) as caught:
        check_outputs(outputs, SIGNATURE, INPUTS)
    assert caught.value.facts["output"] == name


def test_unexpected_shape_and_missing_output_are_refused() -> None:
    outputs = valid_outputs()
    outputs["depth"] = outputs["depth"][:, :, :-1]
    with pytest.raises(CandidateRefused, match=r"depth has the shape \(1, 1, 31, 32\)"):
        check_outputs(outputs, SIGNATURE, INPUTS)
    del outputs["depth"]
    with pytest.raises(CandidateRefused, match="depth is missing"):
        check_outputs(outputs, SIGNATURE, INPUTS)


@pytest.mark.parametrize("name", CHANNELS)
def test_rounding_agrees_and_shifted_outputs_differ(name: str) -> None:
    values = valid_outputs()[name]
    rounded = values.astype(np.float16).astype(np.float32)
    assert difference(name, values, values) == 0
    assert difference(name, rounded, values) < MAX_DIFFERENCE / 10
    assert difference(name, np.roll(values, 7, axis=-1), values) > MAX_DIFFERENCE


def test_difference_ignores_the_scale_of_depth_and_the_offset_of_logits() -> None:
    outputs = valid_outputs()
    assert difference("depth", outputs["depth"] * 3, outputs["depth"]) < 1e-5
    assert difference("material", outputs["material"] + 5, outputs["material"]) < 1e-5


def test_the_number_of_prompts_determines_the_shape_of_the_outputs_of_a_prompted_model() -> None:
    signature = Signature(
        (TensorSpec("image", "TYPE_FP32", (3, 64, 64)), TensorSpec("points", "TYPE_FP32", (-1, -1, 2))),
        (TensorSpec("masks", "TYPE_FP32", (-1, 3, 16, 16)), TensorSpec("quality", "TYPE_FP32", (-1, 3))),
    )
    inputs = {"image": np.zeros((1, 3, 64, 64), np.float32), "points": np.zeros((1, 5, 7, 2), np.float32)}
    outputs = {"masks": np.zeros((1, 5, 3, 16, 16), np.float32), "quality": np.zeros((1, 5, 3), np.float32)}
    check_outputs(outputs, signature, inputs)
    with pytest.raises(CandidateRefused, match=r"quality has the shape \(1, 4, 3\); expected is \(1, 5, 3\)"):
        check_outputs(outputs | {"quality": outputs["quality"][:, :4]}, signature, inputs)
    with pytest.raises(CandidateRefused, match=r"quality has values from 0 to 1\.5"):
        check_outputs(outputs | {"quality": outputs["quality"] + np.linspace(0, 1.5, 3)}, signature, inputs)
