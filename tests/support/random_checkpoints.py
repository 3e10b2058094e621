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
MASK_GAIN = 1000.0
"""Factor of the last weights of SAM's masks. Logits then have a standard deviation of 2; without it, 0.002."""


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


def sam2_parts(side: int) -> dict[str, Any]:
    """Return the parts of a ``Sam2Config`` of the Tiny model, for images of ``side``²."""
    return {
        "vision_config": {
            "backbone_feature_sizes": [[side // step] * 2 for step in (4, 8, 16)],
            "backbone_config": {"model_type": "sam2_hiera_det_model", "image_size": [side, side]},
        },
        "prompt_encoder_config": {"image_size": side},
    }


def small_sam2_parts(side: int) -> dict[str, Any]:
    """Return ``sam2_parts`` with few, narrow blocks, of which one has global attention as in the Tiny model."""
    parts = sam2_parts(side)
    widths = [8, 16, 32, 64]
    parts["vision_config"] |= {"backbone_channel_list": widths[::-1], "fpn_hidden_size": 64}
    parts["prompt_encoder_config"]["hidden_size"] = 64
    parts["mask_decoder_config"] = {"hidden_size": 64, "mlp_dim": 128, "iou_head_hidden_dim": 64}
    parts["vision_config"]["backbone_config"] |= {
        "hidden_size": widths[0],
        "embed_dim_per_stage": widths,
        "blocks_per_stage": [1, 1, 2, 1],
        "global_attention_blocks": [3],
    }
    return parts


def small_owlv2_config() -> Any:
    """Return the ``Owlv2Config`` of the base model with one narrow layer in each encoder."""
    from export_models.pull.owlv2 import base_config

    config = base_config()
    for part, width in ((config.vision_config, 96), (config.text_config, 64)):
        part.num_hidden_layers = 1
        part.hidden_size = width
        part.num_attention_heads = 2
        part.intermediate_size = 128
    config.projection_dim = 64
    return config


def write_sam2(folder: Path, parts: dict[str, Any]) -> tuple[Path, Any]:
    """Write a ``model.safetensors`` and return it with its ``Sam2Config``.

    The network has the class from which the published file was saved.
    """
    import transformers

    torch.manual_seed(0)
    network = transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**parts))
    _add_noise(network, 0.02)
    with torch.no_grad():
        for network_of_masks in network.mask_decoder.output_hypernetworks_mlps:  # makes masks with clear edges
            network_of_masks.proj_out.weight.mul_(MASK_GAIN)
            network_of_masks.proj_out.bias.mul_(MASK_GAIN)
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


def moge2(widths: tuple[int, ...] = (384, 256, 128, 64, 32)) -> dict[str, Any]:
    """Return the contents of a ``model.pt`` of MoGe-2 ViT-S with normals. The default widths are those of the heads."""
    from moge.model.v2 import MoGeModel

    torch.manual_seed(0)
    levels = list(widths)
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
        "encoder": {"backbone": "dinov2_vits14", "intermediate_layers": [5, 11], "dim_out": widths[0]},
        "neck": {**stack, "dim_in": [widths[0] + 2, 2, 2, 2, 2], "dim_out": None},
        **heads,
        "scale_head": {"dims": [384, 384, 384, 1]},
        "remap_output": "exp",
        "num_tokens_range": [1200, 3600],
    }
    weights = MoGeModel(**config).state_dict()
    weights["mask_head.output_blocks.4.bias"] += 3.0  # the network considers most pixels valid
    return {"model_config": config, "model": weights}


def _add_noise(network: Any, scale: float) -> None:
    """Change all weights: some are initialised to zero, which would hide errors."""
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(scale * torch.randn_like(weights))
