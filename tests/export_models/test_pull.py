"""What is pulled is the file that was meant, under a licence that was read, and answers in ONNX as it does in torch.

The conversions run on randomly drawn weights of the same architectures, as no checkpoint can be had in a test.
"""

from __future__ import annotations

import hashlib
import ssl
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
import trustme
from google.protobuf import text_format
from torch import nn
from tritonclient.grpc import model_config_pb2

from export_models.pull import __main__ as command
from export_models.pull import download, entry, moge2, sam2
from export_models.pull.checkpoints import CHECKPOINTS
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Shelf:
    """An https server of one file."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.stops_after: int | None = None
        self.moved_to = ""
        self.ranges: list[str | None] = []
        shelf = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shelf.ranges.append(self.headers["Range"])
                if shelf.moved_to and self.path == "/file":
                    self.send_response(302)
                    self.send_header("Location", shelf.moved_to)
                    self.end_headers()
                    return
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers["Range"] else 0
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(shelf.content) - 1}/{len(shelf.content)}")
                self.send_header("Content-Length", str(len(shelf.content) - start))
                self.end_headers()
                self.wfile.write(shelf.content[start : shelf.stops_after])

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        authority = trustme.CA()
        serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        authority.issue_cert("localhost").configure_cert(serving)
        authority.configure_trust(trusting)
        self.trusting = trusting
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = serving.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self.server.server_port}/file"

    def fetch(self, target: Path, sha256: str = SHA256) -> Path:
        client = httpx2.Client(verify=self.trusting, timeout=10)
        return download.fetch(self.url, target, len(CONTENT), sha256, client)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    served = Shelf()
    yield served
    served.server.shutdown()
    served.server.server_close()


def test_a_broken_download_is_gone_on_with_and_ends_in_the_right_file(shelf: Shelf, tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    shelf.stops_after = 700_000
    with pytest.raises(ToolFailed, match=f"after 700000 of {len(CONTENT)} bytes"):
        shelf.fetch(target)
    assert not target.exists()
    shelf.stops_after = None
    assert shelf.fetch(target).read_bytes() == CONTENT
    assert shelf.ranges == [None, "bytes=700000-"]
    assert shelf.fetch(target) == target
    assert len(shelf.ranges) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


def test_another_file_than_the_one_that_was_meant_is_thrown_away(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=f"has the SHA-256 {SHA256}, and must have {'0' * 64}"):
        shelf.fetch(tmp_path / "weights.bin", "0" * 64)
    shelf.content = CONTENT + b"more"
    with pytest.raises(ToolFailed, match=f"sends more than {len(CONTENT)} bytes"):
        shelf.fetch(tmp_path / "weights.bin")
    assert not (tmp_path / "weights.bin").exists()


def test_nothing_but_https_is_followed(shelf: Shelf, tmp_path: Path) -> None:
    shelf.moved_to = "http://localhost:1/file"
    with pytest.raises(InvalidInput, match="http://localhost:1/file is not https"):
        shelf.fetch(tmp_path / "weights.bin")
    shelf.moved_to = shelf.url.replace("/file", "/moved")
    assert shelf.fetch(tmp_path / "weights.bin").read_bytes() == CONTENT


def test_each_checkpoint_is_listed_with_all_that_one_must_know(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pull", "list"])
    command.main()
    shown = capsys.readouterr().out
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.url.startswith("https://")
        assert len(bytes.fromhex(checkpoint.sha256)) == 32
        assert checkpoint.licence.startswith(("Apache-2.0", "MIT"))
        for word in (checkpoint.name, checkpoint.licence, checkpoint.licence_url, checkpoint.url, checkpoint.sha256):
            assert word in shown
    assert "BiRefNet (foregrounds) is not here" in shown


def test_nothing_is_fetched_before_the_licence_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pull", "sam2", "--out", str(tmp_path / "models")])
    with pytest.raises(SystemExit, match=r"SAM 2.1 Hiera Tiny is under Apache-2.0; read it, and say --accept-licence"):
        command.main()


def test_a_file_brought_by_hand_must_be_the_right_one(tmp_path: Path) -> None:
    brought = tmp_path / "model.pt"
    brought.write_bytes(b"something else")
    wanted = CHECKPOINTS["moge2"]
    with pytest.raises(InvalidInput, match=f"model.pt has 14 bytes, and must have {wanted.size}"):
        command.pull(wanted, tmp_path / "models", accepted=True, file=brought)
    with pytest.raises(InvalidInput, match="must have " + "0" * 64):
        download.check(brought, 14, "0" * 64)


def test_a_missing_architecture_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(FailedPrecondition, match=r"needs transformers .*; pip install -e '\.\[pull\]'"):
        sam2.load(Path("model.safetensors"))


class Doubled(nn.Module):
    """Twice what comes in, or in ONNX what was true of the first example only."""

    def __init__(self, honest: bool) -> None:
        super().__init__()
        self.honest = honest

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (image * (2 if self.honest else float(image[0, 0, 0, 0] * 10)),)


def doubled(honest: bool) -> entry.Entry:
    slots = [entry.Slot(name, (3, -1, -1), "numbers", ("height", "width")) for name in ("image", "twice")]
    return entry.Entry(
        "doubled", Doubled(honest), (slots[0],), (slots[1],), (torch.rand(2, 3, 32, 64),), 4, "It only doubles."
    )


def test_an_entry_is_what_triton_reads_and_is_written_once(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    folder, apart = entry.write(doubled(honest=True), repository, "Made by a test, under CC0.")
    assert apart <= 1e-6
    config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.name, config.backend, config.max_batch_size) == ("doubled", "onnxruntime", 4)
    assert [(slot.name, list(slot.dims)) for slot in (*config.input, *config.output)] == [
        ("image", [3, -1, -1]),
        ("twice", [3, -1, -1]),
    ]
    card = (folder / "README.md").read_text()
    assert "Made by a test, under CC0." in card
    assert "| out | `twice` | B × 3 × -1 × -1 | numbers |" in card
    with pytest.raises(InvalidInput, match="'doubled' is there already"):
        entry.write(doubled(honest=True), repository, "")


def test_what_answers_otherwise_in_onnx_is_not_written(tmp_path: Path) -> None:
    changing = doubled(honest=False)
    once = changing.examples[0]
    once[1] = once[0] + 1
    changing.network.forward = lambda image: (image * image.amax().item(),)  # type: ignore[method-assign]
    with pytest.raises(ToolFailed, match=r"doubled: ONNX and torch differ by .*; at most 1e-03 is allowed"):
        entry.write(changing, tmp_path / "models", "")
    assert not (tmp_path / "models" / "doubled").exists()


def random_sam2(side: int) -> tuple[Any, Any]:
    """SAM 2.1 Tiny's configuration for pictures of ``side``, and the class that the published file was saved from."""
    transformers = pytest.importorskip(
        "transformers", reason="SAM 2.1 needs the extra `pull`: pip install -e '.[pull]'"
    )
    parts = {
        "vision_config": {"backbone_feature_sizes": [[side // step] * 2 for step in (4, 8, 16)]},
        "prompt_encoder_config": {"image_size": side},
    }
    return transformers.Sam2Config(**parts), transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**parts))


def test_sam2_answers_prompts_in_onnx_as_in_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config, whole = random_sam2(128)
    with torch.no_grad():
        for weights in whole.parameters():  # positions start at zero, and would hide a wrong one
            weights.add_(0.02 * torch.randn_like(weights))
    whole.save_pretrained(tmp_path / "hub")
    encoder, decoder = sam2.convert(tmp_path / "hub" / "model.safetensors", config)
    encoded, _ = entry.write(encoder, tmp_path / "models", "random")
    decoded, apart = entry.write(decoder, tmp_path / "models", "random")
    assert apart <= 1e-4
    with torch.no_grad():
        seen = encoder.network(torch.rand(3, 3, 128, 128))
        points, labels = torch.rand(3, 5, 2) * 128, torch.tensor([[2, 3, 1, 0, -10]] * 3, dtype=torch.int32)
        masks, quality = decoder.network(*seen, points, labels)
    assert (masks.shape, quality.shape) == ((3, 3, 32, 32), (3, 3))
    assert masks.std() > 0
    assert entry.difference(decoder, decoded / "1" / "model.onnx", (*seen, points, labels)) <= 1e-4
    inputs = text_format.Parse((decoded / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()).input
    outputs = text_format.Parse((encoded / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()).output
    assert [(slot.name, slot.dims) for slot in inputs][:3] == [(slot.name, slot.dims) for slot in outputs]
    assert [(slot.name, slot.data_type, list(slot.dims)) for slot in inputs][3:] == [
        ("points", model_config_pb2.TYPE_FP32, [-1, 2]),
        ("labels", model_config_pb2.TYPE_INT32, [-1]),
    ]


def test_sam2_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    config, _ = random_sam2(128)
    save = pytest.importorskip("safetensors.torch").save_file
    save({"no_memory_embedding": torch.zeros(1, 1, 256)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=r"is no SAM 2\.1 of this size: it lacks "):
        sam2.load(tmp_path / "model.safetensors", config)


MOGE2_PARAMETERS = 35_103_656
"""Of the published ViT-S with normals, as those count who pin it."""


def random_moge2() -> dict[str, Any]:
    """A checkpoint of MoGe-2 ViT-S with normals, as it is published, with random weights."""
    moge = pytest.importorskip("moge.model.v2", reason=f"MoGe-2 needs its architecture: {moge2.INSTALL}")
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
    return {"model_config": config, "model": moge.MoGeModel(**config).state_dict()}


def test_moge2_answers_in_onnx_as_in_torch_at_any_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    checkpoint = random_moge2()
    torch.save(checkpoint, tmp_path / "model.pt")
    network = moge2.load(tmp_path / "model.pt")
    assert sum(weights.numel() for weights in network.parameters()) == MOGE2_PARAMETERS
    (surface,) = moge2.entries(network, tokens=120)
    folder, apart = entry.write(surface, tmp_path / "models", "random")
    assert apart <= 1e-4
    image = torch.rand(1, 3, 192, 128)
    assert entry.difference(surface, folder / "1" / "model.onnx", (image,)) <= 1e-4
    with torch.no_grad():
        normal, depth, valid = surface.network(image)
        found = network(image, torch.tensor(120))
    assert (normal.shape, depth.shape, valid.shape) == ((1, 3, 192, 128), (1, 1, 192, 128), (1, 1, 192, 128))
    assert torch.allclose(normal.norm(dim=1), torch.ones(1, 192, 128), atol=1e-4)
    assert torch.allclose(normal[:, 2], -found["normal"][..., 2])
    assert float(depth.min()) > 0


def test_moge2_without_normals_is_refused(tmp_path: Path) -> None:
    checkpoint = random_moge2()
    del checkpoint["model_config"]["normal_head"]
    torch.save(checkpoint, tmp_path / "model.pt")
    with pytest.raises(InvalidInput, match="it lacks the normal head"):
        moge2.load(tmp_path / "model.pt")


@pytest.mark.parametrize(("shift", "focal"), [(-0.6, 0.8), (0.0, 1.5), (3.0, 1.1)])
def test_the_depth_shift_puts_points_back_on_the_rays_of_one_camera(shift: float, focal: float) -> None:
    height, width = 96, 160
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    depth = 2 + torch.sin(columns / 25) * torch.cos(rows / 17) + (columns > 80)
    across, down = (columns - width / 2) / width, (rows - height / 2) / width
    points = torch.stack([across * depth / focal, down * depth / focal, depth - shift])[None]
    valid = torch.ones(1, 1, height, width)
    valid[..., :30, :40] = 0
    points[..., :30, :40] = 50  # what is not valid has no say
    both = torch.cat([points, points * 7])  # nor has the scale
    found = moge2.depth_shift(both, valid.expand(2, -1, -1, -1))
    assert torch.allclose(found, torch.tensor([shift, 7 * shift]), atol=0.02)
