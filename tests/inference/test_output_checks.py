"""What a model may answer, and how far two answers are apart."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import CandidateRefused
from orchestrator.inference.output_checks import TOLERANCE, check_outputs, difference
from orchestrator.inference.versions import Signature, Tensor

SIDE = 32
CHANNELS = {"albedo": 3, "shading": 3, "normal": 3, "roughness": 1, "ambient_occlusion": 1, "depth": 1, "material": 9}
SIGNATURE = Signature(
    (Tensor("image", "TYPE_FP32", (3, -1, -1)),),
    tuple(Tensor(name, "TYPE_FP32", (channels, -1, -1)) for name, channels in CHANNELS.items()),
)


def answer() -> dict[str, np.ndarray]:
    """A good one."""
    random = np.random.default_rng(0)
    made = {name: random.random((1, count, SIDE, SIDE)).astype(np.float32) for name, count in CHANNELS.items()}
    made["normal"] = made["normal"] + np.float32(0.1)
    made["normal"] /= np.linalg.norm(made["normal"], axis=1, keepdims=True)
    made["shading"] *= 4
    made["depth"] += 1
    made["material"] = made["material"] * 20 - 12
    return made


WRONG = {
    "albedo": ({"add": 1.0}, "from 0 to 1"),
    "shading": ({"add": -9.0}, "at least 0"),
    "normal": ({"times": 1.2}, "length is off 1 by up to 0.2"),
    "roughness": ({"times": -1.0}, "from 0 to 1"),
    "ambient_occlusion": ({"add": 0.5}, "from 0 to 1"),
    "depth": ({"add": -1.5}, "all must be above 0"),
    "material": ({"times": np.inf}, "is not finite"),
}


def test_a_good_answer_passes() -> None:
    check_outputs(answer(), SIGNATURE, SIDE)


@pytest.mark.parametrize("name", WRONG)
def test_a_value_out_of_its_range_is_told(name: str) -> None:
    change, reason = WRONG[name]
    made = answer()
    made[name] = (made[name] * np.float32(change.get("times", 1)) + np.float32(change.get("add", 0))).astype(np.float32)
    with pytest.raises(CandidateRefused, match=reason) as refused:
        check_outputs(made, SIGNATURE, SIDE)
    assert refused.value.facts["output"] == name


def test_another_shape_and_a_missing_output_are_told() -> None:
    made = answer()
    made["depth"] = made["depth"][:, :, :-1]
    with pytest.raises(CandidateRefused, match=r"depth has the shape \(1, 1, 31, 32\)"):
        check_outputs(made, SIGNATURE, SIDE)
    del made["depth"]
    with pytest.raises(CandidateRefused, match="depth is missing"):
        check_outputs(made, SIGNATURE, SIDE)


@pytest.mark.parametrize("name", CHANNELS)
def test_rounding_is_the_same_answer_and_another_is_not(name: str) -> None:
    values = answer()[name]
    rounded = values.astype(np.float16).astype(np.float32)
    assert difference(name, values, values) == 0
    assert difference(name, rounded, values) < TOLERANCE / 10
    assert difference(name, np.roll(values, 7, axis=-1), values) > TOLERANCE


def test_the_scale_of_depth_and_the_level_of_logits_are_free() -> None:
    made = answer()
    assert difference("depth", made["depth"] * 3, made["depth"]) < 1e-5
    assert difference("material", made["material"] + 5, made["material"]) < 1e-5
