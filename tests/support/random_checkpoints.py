"""Checkpoints with random weights, in the formats of the published ones.

SAM 2.1, MoGe-2 and OWLv2 have the published architectures; depth, width or input size are reduced where a test says so.
BiRefNet's architecture is in no package index: its file is a small network with the published inputs and outputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

BIREFNET_SIDE = 1024
MOGE2_PARAMETERS = 35_103_656
"""Number of parameters of the published ViT-S with normals, as stated by public sources that pin it."""
OWLV2_BYTES = 619_918_824
"""Size of the published base model."""


def birefnet(seed: int = 0, batch: int = 1) -> bytes:
    """Return an ONNX file with the tensors of rembg's BiRefNet, and the input normalisation of ImageNet."""
    random = np.random.default_rng(seed)
    shapes = {"w1": (8, 3, 4, 4), "b1": (8,), "w2": (1, 8, 3, 3), "b2": (1,)}
    weights = [
        numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "scales")
    nodes = [
        helper.make_node("Conv", ["input_image", "w1", "b1"], ["h1"], strides=[4, 4]),
        helper.make_node("Relu", ["h1"], ["h2"]),
        helper.make_node("Conv", ["h2", "w2", "b2"], ["h3"], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["h3", "", "scales"], ["output_image"], mode="linear"),
    ]
    side = BIREFNET_SIDE
    image = helper.make_tensor_value_info("input_image", TensorProto.FLOAT, [batch, 3, side, side])
    logits = helper.make_tensor_value_info("output_image", TensorProto.FLOAT, [batch, 1, side, side])
    graph = helper.make_graph(nodes, "birefnet", [image], [logits], [*weights, scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def sam2_parts(side: int, blocks: tuple[int, ...] = (1, 2, 7, 2)) -> dict[str, Any]:
    """Return the parts of a ``Sam2Config`` for images of ``side``². The default ``blocks`` are those of the Tiny model."""
    return {
        "vision_config": {
            "backbone_feature_sizes": [[side // step] * 2 for step in (4, 8, 16)],
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "image_size": [side, side],
                "blocks_per_stage": list(blocks),
                "global_attention_blocks": [5, 7, 9] if sum(blocks) > 9 else [sum(blocks[:3]) - 1],
            },
        },
        "prompt_encoder_config": {"image_size": side},
    }


def write_sam2(folder: Path, parts: dict[str, Any]) -> tuple[Path, Any]:
    """Write a ``model.safetensors`` and return it with its ``Sam2Config``.

    The network has the class from which the published file was saved.
    """
    import transformers

    torch.manual_seed(0)
    network = transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**parts))
    _add_noise(network, 0.02)
    network.save_pretrained(folder)
    return folder / "model.safetensors", transformers.Sam2Config(**parts)


def write_owlv2(folder: Path, config: Any) -> Path:
    """Write a ``model.safetensors``."""
    import transformers

    torch.manual_seed(0)
    network = transformers.Owlv2ForObjectDetection(config)
    _add_noise(network, 0.02)
    network.save_pretrained(folder)
    return folder / "model.safetensors"


def moge2() -> dict[str, Any]:
    """Return the contents of a ``model.pt`` of MoGe-2 ViT-S with normals."""
    from moge.model.v2 import MoGeModel

    torch.manual_seed(0)
    levels = [384, 256, 128, 64, 32]
    stack = {
        "dim_res_blocks": levels,
        "num_res_blocks": [0, 1, 1, 1, 0],
        "res_block_in_norm": "none",
        "res_block_hidden_norm": "none",
        "resamplers": ["conv_transpose", "conv_transpose", "conv_transpose", "bilinear"],
    }
    heads = {
        name: {**stack, "dim_in": levels, "dim_out": [None, None, None, None, channels]}
        for name, channels in (("points_head", 3), ("normal_head", 3), ("mask_head", 1))
    }
    config = {
        "encoder": {"backbone": "dinov2_vits14", "intermediate_layers": [5, 11], "dim_out": 384},
        "neck": {**stack, "dim_in": [386, 2, 2, 2, 2], "dim_out": None},
        **heads,
        "scale_head": {"dims": [384, 384, 384, 1]},
        "remap_output": "exp",
        "num_tokens_range": [1200, 3600],
    }
    return {"model_config": config, "model": MoGeModel(**config).state_dict()}


def _add_noise(network: Any, scale: float) -> None:
    """Change all weights: some are initialised to zero, which would hide errors."""
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(scale * torch.randn_like(weights))
