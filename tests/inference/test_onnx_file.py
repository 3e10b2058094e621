"""A file that can't take the place of a model's other versions is refused before anything loads it."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from orchestrator.errors import CandidateRefused
from orchestrator.inference.onnx_file import check_onnx
from orchestrator.inference.versions import Signature, Tensor
from tests.support import candidates

MODEL = "intrinsic_decomposition"
SIGNATURE = Signature(
    (Tensor("image", "TYPE_FP32", (3, -1, -1)),),
    (Tensor("albedo", "TYPE_FP32", (3, -1, -1)), Tensor("shading", "TYPE_FP32", (3, -1, -1))),
)
FREE = ("batch", 3, "height", "width")


def small(
    output: tuple[str | int, ...] = FREE, kind: int = TensorProto.FLOAT, nodes: list[onnx.NodeProto] | None = None
) -> bytes:
    """A network of two nodes with the model's tensors."""
    made = [helper.make_node("Identity", ["image"], [name]) for name in ("albedo", "shading")]
    outputs = [
        helper.make_tensor_value_info("albedo", kind, output),
        helper.make_tensor_value_info("shading", TensorProto.FLOAT, FREE),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, FREE)
    graph = helper.make_graph(nodes or made, "small", [image], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def hidden(domain: str) -> bytes:
    """An operator of ``domain`` in the branch of an If."""
    branch = helper.make_graph(
        [helper.make_node("Secret", ["image"], ["inner"], domain=domain)],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, FREE)],
    )
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=true),
        helper.make_node("If", ["yes"], ["albedo"], then_branch=branch, else_branch=branch),
        helper.make_node("Identity", ["image"], ["shading"]),
    ]
    return small(nodes=nodes)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "its inputs are none|not valid ONNX"),
    "cut off": (lambda: candidates.original(MODEL).SerializeToString()[:9000], "not a whole ONNX file"),
    "external weights": (lambda: candidates.with_weights_elsewhere(MODEL, "/etc/passwd"), "lies in another file"),
    "unknown operators": (lambda: candidates.with_operator(MODEL, "albedo", "evil"), "of the domain 'evil'"),
    "unknown operators in a branch": (lambda: hidden("evil"), "of the domain 'evil'"),
    "another model": (lambda: candidates.original("segmentation").SerializeToString(), "its outputs are component"),
    "channels": (lambda: small(("batch", 4, "height", "width")), r"has the shape \[-1, 4, -1, -1\]"),
    "one size": (lambda: small(("batch", 3, 64, 64)), r"has the shape \[-1, 3, 64, 64\]"),
    "one batch": (lambda: small((1, 3, "height", "width")), "any batch"),
    "rank": (lambda: small(("batch", 3)), "any batch"),
    "type": (lambda: small(kind=TensorProto.DOUBLE), "not of TYPE_FP32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_serve_is_refused(name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(CandidateRefused, match=reason):
        check_onnx(make(), SIGNATURE)


def test_a_version_of_the_model_passes() -> None:
    check_onnx(candidates.same(MODEL, "albedo"), SIGNATURE)
    check_onnx(small(), SIGNATURE)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_makes_anything_but_a_refusal(data: st.DataObject) -> None:
    whole = bytearray(small())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        check_onnx(bytes(whole), SIGNATURE)
    except CandidateRefused as refused:
        assert refused.message  # noqa: PT017 - it may also pass, where the damage does not matter
