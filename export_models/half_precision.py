"""Converts an ONNX graph to mixed precision: FP16 for convolutions and matrix products, FP32 for most of the rest."""

from __future__ import annotations

import onnx

FP16_OPERATORS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators that are faster in FP16. Sums, logarithms and differences of similar numbers stay in FP32."""
FP16_FOLLOWERS = frozenset({"Relu", "Clip", "Add", "Concat"})
"""Operators that run in FP16 if all of their inputs are FP16 already."""


def to_half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert a model to mixed precision. Its inputs and outputs stay in FP32, as ``config.pbtxt`` declares them."""
    # Imported here because both modules take long to load.
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted: onnx.ModelProto = convert_float_to_float16(
        model, keep_io_types=True, op_block_list=[], node_block_list=_fp32_nodes(model)
    )
    # The converter gives outputs of different sizes the same symbolic shape, and onnxruntime relies on these shapes.
    del converted.graph.value_info[:]
    _remove_round_trips(converted)
    OnnxModel(converted).topological_sort()
    onnx.checker.check_model(converted)
    return converted


def _fp32_nodes(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that stay in FP32, after giving a name to each node without one."""
    fp16_values: set[str] = set()
    fp32_nodes: list[str] = []
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"node {index}"
        data_inputs = node.input[:1] if node.op_type == "Clip" else node.input  # the bounds of Clip are constants
        follows = node.op_type in FP16_FOLLOWERS and fp16_values.issuperset(data_inputs)
        if node.op_type in FP16_OPERATORS or follows:
            fp16_values.update(node.output)
        else:
            fp32_nodes.append(node.name)
    return fp32_nodes


def _remove_round_trips(model: onnx.ModelProto) -> None:
    """Replace casts from FP32 to FP16 and back by the original value, which is more accurate."""
    original_values = {
        node.output[0]: node.input[0] for node in model.graph.node if _casts_to(node, onnx.TensorProto.FLOAT16)
    }
    for node in model.graph.node:
        if _casts_to(node, onnx.TensorProto.FLOAT) and node.input[0] in original_values:
            node.input[0] = original_values[node.input[0]]
            node.op_type = "Identity"
            del node.attribute[:]


def _casts_to(node: onnx.NodeProto, data_type: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == data_type
