"""Writes a third-party model as a version in a model repository: ONNX file, config, provenance and model card."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime

from orchestrator.errors import CandidateRefused, InvalidInput, ToolFailed
from orchestrator.inference.output_checks import check_outputs
from orchestrator.inference.profiles import MAX_INSTANCES
from orchestrator.inference.triton_client import MODEL_FILE, Signature
from orchestrator.inference.triton_client import TensorSpec as SignatureTensor
from orchestrator.rollout.candidate import PHOTOS, ROLE_MODEL_SIDE, golden_input

TOLERANCE = 5e-3
"""Largest allowed difference between the source and the ONNX file, relative to the largest value of an output. With
random weights at full size, it is 1.3e-3 for OWLv2 and at most 4e-5 for SAM and MoGe. A constant of the trace that
should be dynamic changes the outputs by far more."""
MAX_BATCH = 4
"""Maximum batch size of every model. Not tuned."""
PROVENANCE_FILE = "provenance.json"
FLOAT = "TYPE_FP32"
INTEGER = "TYPE_INT32"


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Attributes:
        dims: shape without the batch, -1 for dynamic axes.
        dynamic: names of the dynamic axes.
    """

    name: str
    dims: tuple[int, ...]
    meaning: str
    dynamic: tuple[str, ...] = ()
    data_type: str = FLOAT

    @property
    def axes(self) -> dict[int, str]:
        """Names of the dynamic axes by index, including the batch."""
        indices = [index for index, size in enumerate(self.dims, start=1) if size == -1]
        return {0: "batch", **dict(zip(indices, self.dynamic, strict=True))}


@dataclass(frozen=True)
class RepositoryEntry:
    """A model to write.

    Attributes:
        export: writes the ONNX file, and returns by how much its outputs differ from those of the source; see
            TOLERANCE. It compares batches of two, because Triton batches requests.
        limits: paragraph of the model card on use and limits.
        tools: versions of the packages that make the ONNX file, by name.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    export: Callable[[Path], float]
    limits: str
    tools: dict[str, str]

    @property
    def signature(self) -> Signature:
        """The inputs and outputs as Triton's config describes them."""
        inputs, outputs = (
            tuple(SignatureTensor(tensor.name, tensor.data_type, tensor.dims) for tensor in tensors)
            for tensors in (self.inputs, self.outputs)
        )
        return Signature(inputs, outputs)


@dataclass(frozen=True)
class Provenance:
    """Where a version comes from, and how it was made.

    Attributes:
        tools: see ``RepositoryEntry``.
        difference: result of ``RepositoryEntry.export``.
        onnx_sha256: hash of the ONNX file.
    """

    checkpoint: str
    title: str
    authors: str
    url: str
    size: int
    sha256: str
    licence: str
    licence_url: str
    tools: dict[str, str]
    difference: float = 0.0
    onnx_sha256: str = ""


def versions(folder: Path) -> dict[int, Provenance]:
    """Return the provenance of each version in the folder of a model."""
    files = sorted(folder.glob(f"*/{PROVENANCE_FILE}"))
    return {int(file.parent.name): Provenance(**json.loads(file.read_text(encoding="utf-8"))) for file in files}


def write_version(entry: RepositoryEntry, repository: Path, provenance: Provenance) -> Path:
    """Write the model as a new version, or find the version that was made from the same file.

    The version appears in the repository only when it is complete.

    Returns:
        The folder of the version.

    Raises:
        InvalidInput: the repository contains a model of this name with other inputs or outputs.
        ToolFailed: the outputs differ from those of the source, or the disk is full.
        CandidateRefused: an output on the golden inputs is invalid.
    """
    folder = repository / entry.name
    existing = versions(folder)
    for number, other in existing.items():
        if other.sha256 == provenance.sha256:
            return folder / str(number)
    config = triton_config(entry)
    config_file = folder / "config.pbtxt"
    if config_file.exists() and config_file.read_text(encoding="utf-8") != config:
        rule = "the versions of a model have the same config; name another folder"
        raise InvalidInput("out", f"{folder} contains a model with other inputs, outputs or settings; {rule}")
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=repository.parent, prefix=".pull.") as scratch:
            return _write(entry, folder, Path(scratch), existing, provenance)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ToolFailed(f"the disk of {repository} is full; nothing was written; free space and try again") from error


def _write(
    entry: RepositoryEntry, folder: Path, scratch: Path, existing: dict[int, Provenance], provenance: Provenance
) -> Path:
    """Make the version in ``scratch``, check it, and move it to ``folder``."""
    number = max(existing, default=0) + 1
    model = scratch / entry.name
    file = model / str(number) / MODEL_FILE
    file.parent.mkdir(parents=True)
    difference = entry.export(file)
    if not difference <= TOLERANCE:  # also rejects NaN
        problem = f"{entry.name}: the outputs of the ONNX file differ from those of the source by {difference:.1e}"
        raise ToolFailed(f"{problem}; at most {TOLERANCE:.0e} is allowed")
    check_golden_inputs(entry, file)
    facts = asdict(provenance) | {"difference": difference, "onnx_sha256": _sha256(file)}
    made = existing | {number: Provenance(**facts)}
    (file.parent / PROVENANCE_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    (model / "config.pbtxt").write_text(triton_config(entry), encoding="utf-8")
    (model / "README.md").write_text(model_card(entry, made), encoding="utf-8")
    if folder.exists():
        file.parent.rename(folder / str(number))
        (model / "README.md").replace(folder / "README.md")
    else:
        model.rename(folder)
    return folder / str(number)


def check_golden_inputs(entry: RepositoryEntry, file: Path) -> None:
    """Run the ONNX file on the golden inputs of the rollout. Raises CandidateRefused if an output is invalid."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in entry.outputs]
    for photo in PHOTOS:
        inputs = golden_input(entry.name, photo, ROLE_MODEL_SIDE)
        outputs: dict[str, Any] = dict(zip(names, session.run(names, dict(inputs)), strict=True))
        try:
            check_outputs(outputs, entry.signature, inputs)
        except CandidateRefused as error:
            problem = f"{entry.name}: on the golden input {photo.stem}: {error.message}"
            raise CandidateRefused(problem, **error.facts) from None


def triton_config(entry: RepositoryEntry) -> str:
    """Return the content of ``config.pbtxt``. Like the committed configs, it has no instance groups."""

    def tensors(specs: tuple[TensorSpec, ...]) -> str:
        lines = (
            f'  {{ name: "{spec.name}" data_type: {spec.data_type} dims: [ {", ".join(map(str, spec.dims))} ] }}'
            for spec in specs
        )
        return ",\n".join(lines)

    return (
        f'name: "{entry.name}"\nbackend: "onnxruntime"\nmax_batch_size: {MAX_BATCH}\n'
        f"input [\n{tensors(entry.inputs)}\n]\noutput [\n{tensors(entry.outputs)}\n]\n"
        "dynamic_batching { max_queue_delay_microseconds: 2000 }\n"
        "version_policy { latest { num_versions: 2 } }\n"
        f'parameters {{ key: "{MAX_INSTANCES}" value {{ string_value: "1" }} }}\n'
    )


def model_card(entry: RepositoryEntry, made: dict[int, Provenance]) -> str:
    """Return the content of ``README.md``."""
    rows = [("in", tensor) for tensor in entry.inputs] + [("out", tensor) for tensor in entry.outputs]
    table = "\n".join(
        f"| {direction} | `{tensor.name}` | {' × '.join(['B', *map(str, tensor.dims)])} | {tensor.meaning} |"
        for direction, tensor in rows
    )
    sections = "".join(
        f"\n## Version {number}\n\n"
        f"{source.title} ({source.authors}), made by `heartwood models pull {source.checkpoint}` from {source.url} "
        f"(SHA-256 {source.sha256}).\n\nLicence: {source.licence}, {source.licence_url}.\n\n"
        f"The outputs of the ONNX file (SHA-256 {source.onnx_sha256}) differ from those of the source by at most "
        f"{source.difference:.1e} of an output's largest value, and are valid on the golden inputs.\n"
        for number, source in sorted(made.items(), reverse=True)
    )
    header = "| | name | shape (-1 is dynamic) | meaning |\n|---|---|---|---|"
    return f"# {entry.name}\n\n{header}\n{table}\n\n{entry.limits}\n{sections}"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
