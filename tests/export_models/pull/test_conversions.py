"""Converted models give the outputs of the source, for other batches, prompts and sizes than the traced ones.

The conversions run on random weights, because the tests do not download checkpoints. Images are small, and OWLv2 has
two layers; ``tests.benchmarks.role_models`` converts the full sizes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from export_models.pull import birefnet, moge2, owlv2, sam2
from export_models.pull.repository_entry import RepositoryEntry
from export_models.pull.torch_network import max_difference
from orchestrator.errors import FailedPrecondition, InvalidInput
from orchestrator.inference.roles.owlv2 import tokenize
from tests.support import random_checkpoints


def exported(entry: RepositoryEntry, folder: Path) -> tuple[Path, float]:
    file = folder / "exported" / "model.onnx"
    file.parent.mkdir()
    return file, entry.export(file)


def test_converted_sam2_matches_torch_for_any_number_of_prompts(tmp_path: Path) -> None:
    file, config = random_checkpoints.write_sam2(tmp_path / "hub", random_checkpoints.sam2_parts(128))
    network = sam2.load(file, config)
    entry = sam2.entry(network)
    onnx_file, difference = exported(entry, tmp_path)
    assert difference <= 1e-4
    labels = torch.tensor([[2, 3, 1, 0, -10]], dtype=torch.int32).repeat(4, 1)
    inputs = (torch.rand(3, 3, 128, 128), torch.rand(3, 4, 5, 2) * 128, torch.stack([labels] * 3))
    with torch.no_grad():
        masks, quality = sam2.PromptedMasks(network).eval()(*inputs)
    assert (masks.shape, quality.shape) == ((3, 4, 3, 32, 32), (3, 4, 3))
    assert float(masks.std()) > 0
    assert max_difference(sam2.PromptedMasks(network), entry.inputs, onnx_file, inputs) <= 1e-4


def test_an_incomplete_sam2_checkpoint_is_rejected(tmp_path: Path) -> None:
    import transformers
    from safetensors.torch import save_file

    save_file(
        {"no_memory_embedding": torch.zeros(1, 1, 256)}, tmp_path / "model.safetensors", metadata={"format": "pt"}
    )
    config = transformers.Sam2Config(**random_checkpoints.sam2_parts(128))
    with pytest.raises(InvalidInput, match=r"is not a SAM 2\.1 of this size: it lacks "):
        sam2.load(tmp_path / "model.safetensors", config)


def test_a_missing_architecture_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(FailedPrecondition, match=r"transformers .*; install it with: pip install 'heartwood\[pull\]'"):
        sam2.load(Path("model.safetensors"))


def test_converted_owlv2_matches_torch_and_gives_empty_queries_a_score_of_0(tmp_path: Path) -> None:
    config = owlv2.base_config()
    config.vision_config.image_size = 160
    config.vision_config.num_hidden_layers = config.text_config.num_hidden_layers = 2
    network = owlv2.load(random_checkpoints.write_owlv2(tmp_path / "hub", config), config)
    entry = owlv2.entry(network)
    onnx_file, difference = exported(entry, tmp_path)
    assert difference <= 1e-3
    tokens = torch.from_numpy(tokenize([f"part {number}" for number in range(11)]))
    inputs = (torch.rand(3, 3, 160, 160), torch.stack([tokens] * 3))
    assert max_difference(owlv2.NamedBoxes(network), entry.inputs, onnx_file, inputs) <= 1e-3
    scores, boxes = onnxruntime.InferenceSession(str(onnx_file)).run(
        ["scores", "boxes"], {"image": inputs[0].numpy(), "tokens": inputs[1].numpy()}
    )
    assert (scores.shape, boxes.shape) == ((3, 100, 16), (3, 100, 4))
    assert scores[..., :11].std() > 0
    assert np.all(scores[..., 11:] == 0)


def test_converted_moge2_matches_torch_at_any_size(tmp_path: Path) -> None:
    torch.save(random_checkpoints.moge2(), tmp_path / "model.pt")
    network = moge2.load(tmp_path / "model.pt")
    assert sum(weights.numel() for weights in network.parameters()) == random_checkpoints.MOGE2_PARAMETERS
    entry = moge2.entry(network, tokens=48)
    onnx_file, difference = exported(entry, tmp_path)
    assert difference <= 1e-4
    image = torch.rand(1, 3, 192, 128)
    surface = moge2.Surface(network, 48)
    assert max_difference(surface, entry.inputs, onnx_file, (image,)) <= 1e-4
    with torch.no_grad():
        normal, depth, valid = surface(image)
        original = network(image, torch.tensor(48))
    assert (normal.shape, depth.shape, valid.shape) == ((1, 3, 192, 128), (1, 1, 192, 128), (1, 1, 192, 128))
    assert torch.allclose(normal.norm(dim=1), torch.ones(1, 192, 128), atol=1e-4)
    assert torch.allclose(normal[:, 2], -original["normal"][..., 2])
    assert float(depth.min()) > 0


def test_a_moge2_checkpoint_without_normals_is_rejected(tmp_path: Path) -> None:
    checkpoint = random_checkpoints.moge2()
    del checkpoint["model_config"]["normal_head"]
    torch.save(checkpoint, tmp_path / "model.pt")
    with pytest.raises(InvalidInput, match="it lacks the normal head"):
        moge2.load(tmp_path / "model.pt")


@pytest.mark.parametrize(("shift", "focal"), [(-0.6, 0.8), (0.0, 1.5), (3.0, 1.1)])
def test_depth_shift_recovers_the_offset_of_a_pinhole_camera(shift: float, focal: float) -> None:
    height, width = 96, 160
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    depth = 2 + torch.sin(columns / 25) * torch.cos(rows / 17) + (columns > 80)
    across, down = (columns - width / 2) / width, (rows - height / 2) / width
    points = torch.stack([across * depth / focal, down * depth / focal, depth - shift])[None]
    valid = torch.ones(1, 1, height, width)
    valid[..., :30, :40] = 0
    points[..., :30, :40] = 50  # invalid points must not matter
    both = torch.cat([points, points * 7])  # the shift scales with the points
    estimate = moge2.depth_shift(both, valid.expand(2, -1, -1, -1))
    assert torch.allclose(estimate, torch.tensor([shift, 7 * shift]), atol=0.02)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_adapted_birefnet_matches_the_published_graph_for_each_image_of_a_batch(tmp_path: Path, batch: int) -> None:
    file = tmp_path / "published.onnx"
    file.write_bytes(random_checkpoints.birefnet(batch=batch))
    onnx_file, difference = exported(birefnet.convert(file), tmp_path)
    assert difference <= 1e-5
    images = np.random.default_rng(1).random((3, 3, birefnet.SIDE, birefnet.SIDE), np.float32)
    (foreground,) = onnxruntime.InferenceSession(str(onnx_file)).run(["foreground"], {"image": images})
    assert foreground.shape == (3, 1, birefnet.SIDE, birefnet.SIDE)
    assert foreground.min() >= 0
    assert foreground.max() <= 1
    assert foreground.std() > 0.01
    assert len({float(image.mean()) for image in foreground}) == 3


def test_another_onnx_file_than_birefnet_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "other.onnx"
    file.write_bytes(b"not an ONNX file")
    with pytest.raises(InvalidInput, match=r"other\.onnx is not"):
        birefnet.convert(file).export(tmp_path / "model.onnx")
    entry = birefnet.convert(Path("model_repository/segmentation/2/model.onnx"))
    with pytest.raises(InvalidInput, match=r"is not BiRefNet: expected one input \[1, 3, 1024, 1024\]"):
        entry.export(tmp_path / "model.onnx")
