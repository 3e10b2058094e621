"""Downloads are verified, licences must be accepted, and converted models give the same outputs as in torch.

The conversions run on random weights of the same architectures, because the tests do not download checkpoints.
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
from export_models.pull import download, moge2, sam2
from export_models.pull.checkpoints import CHECKPOINTS
from export_models.pull.repository_entry import RepositoryEntry, TensorSpec, max_difference, write_entry
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class FileServer:
    """An HTTPS server of one file.

    Attributes:
        stops_after: position in the file after which the server closes the connection.
        redirect: URL to which requests for ``/file`` are redirected.
        ranges: Range header of each request.
    """

    def __init__(self) -> None:
        self.content = CONTENT
        self.stops_after: int | None = None
        self.redirect = ""
        self.ranges: list[str | None] = []
        file_server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                file_server.ranges.append(self.headers["Range"])
                if file_server.redirect and self.path == "/file":
                    self.send_response(302)
                    self.send_header("Location", file_server.redirect)
                    self.end_headers()
                    return
                size = len(file_server.content)
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if self.headers["Range"] else 0
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                self.send_header("Content-Length", str(size - start))
                self.end_headers()
                self.wfile.write(file_server.content[start : file_server.stops_after])

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        authority = trustme.CA()
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.client_context = ssl.create_default_context()
        authority.issue_cert("localhost").configure_cert(server_context)
        authority.configure_trust(self.client_context)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = server_context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self.server.server_port}/file"

    def fetch(self, target: Path, sha256: str = SHA256) -> Path:
        client = httpx2.Client(verify=self.client_context, timeout=10)
        return download.fetch(self.url, target, len(CONTENT), sha256, client)


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    running = FileServer()
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_an_interrupted_download_resumes(file_server: FileServer, tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    file_server.stops_after = 700_000
    with pytest.raises(ToolFailed, match=f"after 700000 of {len(CONTENT)} bytes"):
        file_server.fetch(target)
    assert not target.exists()
    file_server.stops_after = None
    assert file_server.fetch(target).read_bytes() == CONTENT
    assert file_server.ranges == [None, "bytes=700000-"]
    assert file_server.fetch(target) == target
    assert len(file_server.ranges) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


def test_a_file_with_another_hash_or_size_is_rejected(file_server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=f"has the SHA-256 {SHA256}; expected {'0' * 64}"):
        file_server.fetch(tmp_path / "weights.bin", "0" * 64)
    file_server.content = CONTENT + b"more"
    with pytest.raises(ToolFailed, match=f"returned more than the expected {len(CONTENT)} bytes"):
        file_server.fetch(tmp_path / "weights.bin")
    assert not (tmp_path / "weights.bin").exists()


def test_redirects_to_plain_http_are_rejected(file_server: FileServer, tmp_path: Path) -> None:
    file_server.redirect = "http://localhost:1/file"
    with pytest.raises(InvalidInput, match="http://localhost:1/file is not HTTPS"):
        file_server.fetch(tmp_path / "weights.bin")
    file_server.redirect = file_server.url.replace("/file", "/moved")
    assert file_server.fetch(tmp_path / "weights.bin").read_bytes() == CONTENT


def test_each_checkpoint_is_listed_with_licence_source_and_hash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pull", "list"])
    command.main()
    output = capsys.readouterr().out
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.url.startswith("https://")
        assert len(bytes.fromhex(checkpoint.sha256)) == 32
        assert checkpoint.licence.startswith(("Apache-2.0", "MIT"))
        for word in (checkpoint.name, checkpoint.licence, checkpoint.licence_url, checkpoint.url, checkpoint.sha256):
            assert word in output
    assert "BiRefNet (foreground masks) is not supported" in output


def test_nothing_is_downloaded_before_the_licence_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pull", "sam2", "--out", str(tmp_path / "models")])
    with pytest.raises(SystemExit, match=r"SAM 2.1 Hiera Tiny is licensed under Apache-2.0; .* pass --accept-licence"):
        command.main()


def test_a_local_file_is_verified(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"something else")
    checkpoint = CHECKPOINTS["moge2"]
    with pytest.raises(InvalidInput, match=f"model.pt has 14 bytes; expected {checkpoint.size}"):
        command.pull(checkpoint, tmp_path / "models", licence_accepted=True, file=file)
    with pytest.raises(InvalidInput, match="expected " + "0" * 64):
        download.check(file, 14, "0" * 64)


def test_a_missing_architecture_is_reported_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(FailedPrecondition, match=r"transformers .*; install it with: pip install -e '\.\[pull\]'"):
        sam2.load(Path("model.safetensors"))


class Scaled(nn.Module):
    """Multiplies by 2, or by the maximum of the input, which becomes a constant of the exported graph."""

    def __init__(self, by_maximum: bool) -> None:
        super().__init__()
        self.by_maximum = by_maximum

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (image * (image.amax().item() if self.by_maximum else 2),)


def scaled_entry(by_maximum: bool = False) -> RepositoryEntry:
    image, scaled = (TensorSpec(name, (3, -1, -1), "numbers", ("height", "width")) for name in ("image", "scaled"))
    return RepositoryEntry(
        "scaled", Scaled(by_maximum), (image,), (scaled,), (torch.rand(2, 3, 32, 64),), 4, "It only scales."
    )


def test_an_entry_has_a_triton_config_and_a_card_and_is_not_overwritten(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    folder, difference = write_entry(scaled_entry(), repository, "Made by a test, under CC0.")
    assert difference <= 1e-6
    config = triton_config(folder)
    assert (config.name, config.backend, config.max_batch_size) == ("scaled", "onnxruntime", 4)
    assert [(tensor.name, list(tensor.dims)) for tensor in (*config.input, *config.output)] == [
        ("image", [3, -1, -1]),
        ("scaled", [3, -1, -1]),
    ]
    card = (folder / "README.md").read_text()
    assert "Made by a test, under CC0." in card
    assert "| out | `scaled` | B × 3 × -1 × -1 | numbers |" in card
    with pytest.raises(InvalidInput, match="contains 'scaled' already"):
        write_entry(scaled_entry(), repository, "")


def test_an_entry_with_other_outputs_in_onnx_than_in_torch_is_not_written(tmp_path: Path) -> None:
    entry = scaled_entry(by_maximum=True)
    examples = entry.examples[0]
    examples[1] = examples[0] + 1  # another maximum than in the traced example
    with pytest.raises(ToolFailed, match=r"outputs of ONNX and torch differ by .*; at most 1e-03 is allowed"):
        write_entry(entry, tmp_path / "models", "")
    assert not (tmp_path / "models" / "scaled").exists()


def triton_config(folder: Path) -> Any:
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def random_sam2(side: int) -> tuple[Any, Any]:
    """Return the configuration of SAM 2.1 Tiny for images of ``side``², and a network with random weights.

    The network has the class from which the published file was saved.
    """
    transformers = pytest.importorskip(
        "transformers", reason="SAM 2.1 needs the extra `pull`: pip install -e '.[pull]'"
    )
    parts = {
        "vision_config": {"backbone_feature_sizes": [[side // step] * 2 for step in (4, 8, 16)]},
        "prompt_encoder_config": {"image_size": side},
    }
    return transformers.Sam2Config(**parts), transformers.Sam2VideoModel(transformers.Sam2VideoConfig(**parts))


def test_converted_sam2_matches_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config, network = random_sam2(128)
    with torch.no_grad():
        for weights in network.parameters():  # some are initialised to zero, which would hide errors
            weights.add_(0.02 * torch.randn_like(weights))
    network.save_pretrained(tmp_path / "hub")
    encoder, decoder = sam2.convert(tmp_path / "hub" / "model.safetensors", config)
    encoder_folder, _ = write_entry(encoder, tmp_path / "models", "random")
    decoder_folder, difference = write_entry(decoder, tmp_path / "models", "random")
    assert difference <= 1e-4
    with torch.no_grad():
        features = encoder.network(torch.rand(3, 3, 128, 128))
        points, labels = torch.rand(3, 5, 2) * 128, torch.tensor([[2, 3, 1, 0, -10]] * 3, dtype=torch.int32)
        masks, quality = decoder.network(*features, points, labels)
    assert (masks.shape, quality.shape) == ((3, 3, 32, 32), (3, 3))
    assert masks.std() > 0
    assert max_difference(decoder, decoder_folder / "1" / "model.onnx", (*features, points, labels)) <= 1e-4
    inputs, outputs = triton_config(decoder_folder).input, triton_config(encoder_folder).output
    assert [(tensor.name, tensor.dims) for tensor in inputs][:3] == [(tensor.name, tensor.dims) for tensor in outputs]
    assert [(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in inputs][3:] == [
        ("points", model_config_pb2.TYPE_FP32, [-1, 2]),
        ("labels", model_config_pb2.TYPE_INT32, [-1]),
    ]


def test_an_incomplete_sam2_checkpoint_is_rejected(tmp_path: Path) -> None:
    config, _ = random_sam2(128)
    save = pytest.importorskip("safetensors.torch").save_file
    save({"no_memory_embedding": torch.zeros(1, 1, 256)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=r"is not a SAM 2\.1 of this size: it lacks "):
        sam2.load(tmp_path / "model.safetensors", config)


MOGE2_PARAMETERS = 35_103_656
"""Number of parameters of the published ViT-S with normals, as stated by public sources that pin it."""


def random_moge2() -> dict[str, Any]:
    """Return a checkpoint like the published MoGe-2 ViT-S with normals, with random weights."""
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


def test_converted_moge2_matches_torch_at_any_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    checkpoint = random_moge2()
    torch.save(checkpoint, tmp_path / "model.pt")
    network = moge2.load(tmp_path / "model.pt")
    assert sum(weights.numel() for weights in network.parameters()) == MOGE2_PARAMETERS
    (surface,) = moge2.entries(network, tokens=120)
    folder, difference = write_entry(surface, tmp_path / "models", "random")
    assert difference <= 1e-4
    image = torch.rand(1, 3, 192, 128)
    assert max_difference(surface, folder / "1" / "model.onnx", (image,)) <= 1e-4
    with torch.no_grad():
        normal, depth, valid = surface.network(image)
        original = network(image, torch.tensor(120))
    assert (normal.shape, depth.shape, valid.shape) == ((1, 3, 192, 128), (1, 1, 192, 128), (1, 1, 192, 128))
    assert torch.allclose(normal.norm(dim=1), torch.ones(1, 192, 128), atol=1e-4)
    assert torch.allclose(normal[:, 2], -original["normal"][..., 2])
    assert float(depth.min()) > 0


def test_a_moge2_checkpoint_without_normals_is_rejected(tmp_path: Path) -> None:
    checkpoint = random_moge2()
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
