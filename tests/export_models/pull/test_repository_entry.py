"""A converted model is a version in a model repository, with config, provenance and model card, or nothing at all."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from google.protobuf import text_format
from torch import nn
from tritonclient.grpc import model_config_pb2

from export_models.pull.repository_entry import Provenance, RepositoryEntry, TensorSpec, versions, write_version
from export_models.pull.torch_network import exporter
from orchestrator.errors import CandidateRefused, InvalidInput, ToolFailed

PROVENANCE = Provenance(
    "scaled",
    "A scale",
    "A. Uthor",
    "https://example.org/1",
    8,
    "a" * 64,
    "CC0",
    "https://example.org/cc0",
    {"torch": "2"},
)


class Scaled(nn.Module):
    """Multiplies by a factor, or by the maximum of the input, which becomes a constant of the exported graph."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (image * (self.factor or image.amax().item()),)


def scaled_entry(factor: float = 2.0, examples: torch.Tensor | None = None, output: str = "scaled") -> RepositoryEntry:
    image, scaled = (TensorSpec(name, (3, -1, -1), "numbers", ("height", "width")) for name in ("image", output))
    batch = torch.rand(2, 3, 32, 64) if examples is None else examples
    export = exporter(Scaled(factor), (image,), (scaled,), (batch,))
    return RepositoryEntry("scaled", (image,), (scaled,), export, "It only scales.", PROVENANCE.tools)


def test_a_version_has_a_config_with_dynamic_batching_a_provenance_and_a_card(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    assert write_version(scaled_entry(), repository, PROVENANCE) == repository / "scaled" / "1"
    config: Any = text_format.Parse(
        (repository / "scaled" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert (config.name, config.backend, config.max_batch_size) == ("scaled", "onnxruntime", 4)
    assert config.HasField("dynamic_batching")
    assert config.parameters["max_instances"].string_value == "1"
    assert not config.instance_group
    assert [(tensor.name, list(tensor.dims)) for tensor in (*config.input, *config.output)] == [
        ("image", [3, -1, -1]),
        ("scaled", [3, -1, -1]),
    ]
    written = versions(repository / "scaled")[1]
    assert written.difference <= 1e-6
    assert replace(written, difference=0.0, onnx_sha256="") == PROVENANCE
    card = (repository / "scaled" / "README.md").read_text()
    assert "| out | `scaled` | B × 3 × -1 × -1 | numbers |" in card
    assert f"(SHA-256 {written.onnx_sha256})" in card
    assert f"from https://example.org/1 (SHA-256 {'a' * 64})" in card
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_the_same_file_is_not_converted_twice_and_another_one_becomes_the_next_version(tmp_path: Path) -> None:
    write_version(scaled_entry(), tmp_path, PROVENANCE)
    assert write_version(scaled_entry(), tmp_path, PROVENANCE) == tmp_path / "scaled" / "1"
    other = replace(PROVENANCE, sha256="b" * 64, url="https://example.org/2")
    assert write_version(scaled_entry(3.0), tmp_path, other) == tmp_path / "scaled" / "2"
    assert sorted(versions(tmp_path / "scaled")) == [1, 2]
    card = (tmp_path / "scaled" / "README.md").read_text()
    assert card.index("## Version 2") < card.index("https://example.org/2") < card.index("## Version 1")


def test_a_model_with_other_tensors_is_not_added_as_a_version(tmp_path: Path) -> None:
    write_version(scaled_entry(), tmp_path, PROVENANCE)
    with pytest.raises(InvalidInput, match="contains a model with other inputs, outputs or settings"):
        write_version(scaled_entry(output="other"), tmp_path, replace(PROVENANCE, sha256="b" * 64))


def test_other_outputs_in_onnx_than_in_the_source_are_rejected(tmp_path: Path) -> None:
    examples = torch.rand(2, 3, 32, 64)
    examples[1] = examples[0] + 1  # another maximum than in the traced example
    with pytest.raises(ToolFailed, match=r"differ from those of the source by .*; at most 5e-03 is allowed"):
        write_version(scaled_entry(0.0, examples), tmp_path / "models", PROVENANCE)
    assert list((tmp_path / "models").iterdir()) == []


def test_an_invalid_output_on_the_golden_inputs_is_rejected(tmp_path: Path) -> None:
    entry = scaled_entry(2.0, output="albedo")  # white becomes 2, but an albedo is at most 1
    with pytest.raises(CandidateRefused, match=r"golden input \w+: output albedo has values from .* to 2"):
        write_version(entry, tmp_path / "models", PROVENANCE)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    def export_to_a_full_disk(file: Path) -> float:
        file.write_bytes(b"the first half")
        with Path("/dev/full").open("wb") as full:
            full.write(b"the second half")
        return 0.0

    with pytest.raises(ToolFailed, match="is full; nothing was written"):
        write_version(replace(scaled_entry(), export=export_to_a_full_disk), tmp_path / "models", PROVENANCE)
    assert list((tmp_path / "models").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_other_errors_of_the_system_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file, not a folder")
    with pytest.raises(OSError, match="File exists") as caught:
        write_version(scaled_entry(), tmp_path / "models", PROVENANCE)
    assert caught.value.errno == errno.EEXIST
