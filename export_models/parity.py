"""Hold every exported version of the models against its torch module: ``python -m export_models.parity``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from skimage import data

from export_models.export import NETWORKS, REPOSITORY, network_of

TOLERANCE = 1e-4
"""The largest difference allowed, in each output's own units; logits are compared as the likelihoods they stand for."""
LOGITS = ("component", "material")
SHAPES = ((1, 256, 320), (3, 128, 96), (1, 512, 512))
"""Batch, height, width; the first differs from what was traced in its batch, the others in all."""

Run = Callable[[str, int, NDArray[np.float32]], dict[str, NDArray[np.float32]]]
"""Runs a version of a model."""


def versions(repository: Path = REPOSITORY) -> list[tuple[str, int]]:
    """Every model and version that is in the repository."""
    return [
        (model, int(file.parent.name)) for model in NETWORKS for file in sorted(repository.glob(f"{model}/*/*.onnx"))
    ]


def pictures() -> Iterator[NDArray[np.float32]]:
    """[B, 3, H, W] pieces of scikit-image's photograph: parity matters on pictures, and noise is none."""
    photo: NDArray[np.uint8] = data.coffee()  # type: ignore[no-untyped-call]
    whole = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    for batch, height, width in SHAPES:
        turned = [torch.roll(whole, shift, dims=3) for shift in range(0, 40 * batch, 40)]
        pieces = torch.nn.functional.interpolate(torch.cat(turned), (height, width), mode="area")
        yield pieces.numpy()


def with_torch(model: str, version: int, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The outputs of the torch module."""
    with torch.no_grad():
        outputs = network_of(model, version)(torch.from_numpy(image))
    return {name: output.numpy() for name, output in zip(NETWORKS[model][1].OUTPUTS, outputs, strict=True)}


def with_onnxruntime(model: str, version: int, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The outputs of the committed ONNX file, on the CPU."""
    file = REPOSITORY / model / str(version) / "model.onnx"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def difference(model: str, version: int, one: Run, other: Run) -> float:
    """The largest absolute difference over all outputs and pictures."""
    worst = 0.0
    for image in pictures():
        first, second = _likelihoods(one(model, version, image)), _likelihoods(other(model, version, image))
        worst = max(worst, *(float(np.abs(first[name] - second[name]).max()) for name in first))
    return worst


def _likelihoods(outputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    return {
        name: torch.softmax(torch.from_numpy(values.copy()), dim=1).numpy() if name in LOGITS else values
        for name, values in outputs.items()
    }


if __name__ == "__main__":
    for name, number in versions():
        found = difference(name, number, with_torch, with_onnxruntime)
        print(f"{name:24} {number}  {found:.1e}  {'ok' if found <= TOLERANCE else f'more than {TOLERANCE}'}")
