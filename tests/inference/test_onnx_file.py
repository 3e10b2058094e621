"""A file that cannot replace a model's other versions is refused before it is loaded."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from orchestrator.errors import CandidateRefused
from orchestrator.inference.onnx_file import check_onnx
from orchestrator.inference.triton_client import Signature, TensorSpec
from tests.support import candidates

MODEL = "intrinsic_decomposition"
SIGNATURE = Signature(
    (TensorSpec("image", "TYPE_FP32", (3, -1, -1)),),
    (TensorSpec("albedo", "TYPE_FP32", (3, -1, -1)), TensorSpec("shading", "TYPE_FP32", (3, -1, -1))),
)
ANY_SIZE = ("batch", 3, "height", "width")


def small_network(
    albedo_shape: tuple[str | int, ...] = ANY_SIZE,
    albedo_type: int = TensorProto.FLOAT,
    nodes: list[onnx.NodeProto] | None = None,
) -> bytes:
    """A network of two Identity nodes (or ``nodes``) with the tensors of the model."""
    identities = [helper.make_node("Identity", ["image"], [name]) for name in ("albedo", "shading")]
    outputs = [
        helper.make_tensor_value_info("albedo", albedo_type, albedo_shape),
        helper.make_tensor_value_info("shading", TensorProto.FLOAT, ANY_SIZE),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ANY_SIZE)
    graph = helper.make_graph(nodes or identities, "small", [image], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def operator_in_branch(domain: str) -> bytes:
    """A network with an operator of ``domain`` in the branch of an If node."""
    branch = helper.make_graph(
        [helper.make_node("Secret", ["image"], ["inner"], domain=domain)],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, ANY_SIZE)],
    )
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=true),
        helper.make_node("If", ["yes"], ["albedo"], then_branch=branch, else_branch=branch),
        helper.make_node("Identity", ["image"], ["shading"]),
    ]
    return small_network(nodes=nodes)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the inputs are none|not valid ONNX"),
    "truncated": (lambda: candidates.original(MODEL).SerializeToString()[:9000], "not a complete ONNX file"),
    "external weights": (
        lambda: candidates.with_external_weights(MODEL, "/etc/passwd"),
        "is stored in another file",
    ),
    "unknown domain": (lambda: candidates.with_operator(MODEL, "albedo", "evil"), "of the domain 'evil'"),
    "unknown domain in a branch": (lambda: operator_in_branch("evil"), "of the domain 'evil'"),
    "another model": (lambda: candidates.original("segmentation").SerializeToString(), "the outputs are component"),
    "channels": (lambda: small_network(("batch", 4, "height", "width")), r"has the shape \[-1, 4, -1, -1\]"),
    "fixed size": (lambda: small_network(("batch", 3, 64, 64)), r"has the shape \[-1, 3, 64, 64\]"),
    "fixed batch": (lambda: small_network((1, 3, "height", "width")), "a free batch size"),
    "rank": (lambda: small_network(("batch", 3)), "a free batch size"),
    "type": (lambda: small_network(albedo_type=TensorProto.DOUBLE), "not of type TYPE_FP32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_file_that_cannot_be_served_is_refused(name: str) -> None:
    make_file, reason = REFUSED[name]
    with pytest.raises(CandidateRefused, match=reason):
        check_onnx(make_file(), SIGNATURE)


def test_valid_version_of_the_model_passes() -> None:
    check_onnx(candidates.equivalent(MODEL, "albedo"), SIGNATURE)
    check_onnx(small_network(), SIGNATURE)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_corrupted_file_raises_only_candidate_refused(data: st.DataObject) -> None:
    content = bytearray(small_network())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        check_onnx(bytes(content), SIGNATURE)
    except CandidateRefused as error:
        assert error.message  # noqa: PT017 - the check may also pass, if the changed bytes do not matter
