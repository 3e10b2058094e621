"""Compare every exported ONNX file with its torch module: ``python -m export_models.parity``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from skimage import data

from export_models.export import MODELS, REPOSITORY, load_network

TOLERANCE = 1e-4
"""Largest allowed difference, in the unit of each output. Logits are compared after the softmax."""
LOGITS = ("component", "material")
SHAPES = ((1, 256, 320), (3, 128, 96), (1, 512, 512))
"""Batch, height and width of the images. The first differs from the traced shape in its batch, the others in all
three."""

Run = Callable[[str, int, NDArray[np.float32]], dict[str, NDArray[np.float32]]]
"""Runs a version of a model on images [B, 3, H, W] and returns its outputs by name."""


def exported_versions(repository: Path = REPOSITORY) -> list[tuple[str, int]]:
    """Return every model and version with an ONNX file in the repository."""
    return [(model, int(file.parent.name)) for model in MODELS for file in sorted(repository.glob(f"{model}/*/*.onnx"))]


def parity_images() -> Iterator[NDArray[np.float32]]:
    """Yield images [B, 3, H, W] made from a photograph of scikit-image, with another shift at each batch position.

    Noise would not represent photographs: it gives larger differences (see the model cards).
    """
    photo: NDArray[np.uint8] = data.coffee()
    image = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    for batch, height, width in SHAPES:
        shifted = [torch.roll(image, shift, dims=3) for shift in range(0, 40 * batch, 40)]
        yield torch.nn.functional.interpolate(torch.cat(shifted), (height, width), mode="area").numpy()


def run_torch(model: str, version: int, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Run the torch module."""
    with torch.no_grad():
        outputs = load_network(model, version)(torch.from_numpy(image))
    return {name: output.numpy() for name, output in zip(MODELS[model].outputs, outputs, strict=True)}


def run_onnxruntime(model: str, version: int, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Run the committed ONNX file on the CPU."""
    file = REPOSITORY / model / str(version) / "model.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def max_difference(model: str, version: int, run: Run, reference: Run) -> float:
    """Return the largest absolute difference over all outputs and images."""
    largest = 0.0
    for image in parity_images():
        outputs = _with_likelihoods(run(model, version, image))
        expected = _with_likelihoods(reference(model, version, image))
        largest = max(largest, *(float(np.abs(outputs[name] - expected[name]).max()) for name in outputs))
    return largest


def _with_likelihoods(outputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Replace logits by likelihoods."""
    return {
        name: torch.softmax(torch.from_numpy(values.copy()), dim=1).numpy() if name in LOGITS else values
        for name, values in outputs.items()
    }


if __name__ == "__main__":
    for name, number in exported_versions():
        difference = max_difference(name, number, run_onnxruntime, run_torch)
        verdict = "ok" if difference <= TOLERANCE else f"exceeds {TOLERANCE}"
        print(f"{name:24} {number}  {difference:.1e}  {verdict}")
