"""Export the models into the repository: ``python -m export_models.export [MODEL…]``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import onnx
import torch
from torch import nn

from export_models import dali_preprocess
from export_models.baselines import intrinsic_decomposition, segmentation, surface_estimation

REPOSITORY = Path(__file__).resolve().parent.parent / "model_repository"
OPSET = 17
EXAMPLE = (2, 3, 256, 320)
"""Shape of the picture that is traced; batch, height and width stay free."""

NETWORKS: dict[str, tuple[type[nn.Module], ModuleType]] = {
    "intrinsic_decomposition": (intrinsic_decomposition.IntrinsicDecomposition, intrinsic_decomposition),
    "surface_estimation": (surface_estimation.SurfaceEstimation, surface_estimation),
    "segmentation": (segmentation.Segmentation, segmentation),
}


def export_onnx(network: nn.Module, inputs: Sequence[str], outputs: Sequence[str], file: Path) -> None:
    """Write ``network`` as ONNX with free batch, height and width, and check it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    free = {0: "batch", 2: "height", 3: "width"}
    with torch.no_grad():
        torch.onnx.export(
            network.eval(),
            (torch.rand(EXAMPLE),),
            str(file),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=dict.fromkeys((*inputs, *outputs), free),
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(file), full_check=True)


def export(model: str, repository: Path = REPOSITORY, version: int = 1) -> Path:
    """Export one model by its name; return the file."""
    folder = repository / model / str(version)
    if model == "image_preprocess":
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "model.dali"
        file.write_bytes(dali_preprocess.serialize())
        return file
    network, module = NETWORKS[model]
    export_onnx(network(), module.INPUTS, module.OUTPUTS, folder / "model.onnx")
    return folder / "model.onnx"


def main() -> None:
    """Command line."""
    names = ["image_preprocess", *NETWORKS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(names)}; default: all")
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    chosen = parser.parse_args()
    for model in chosen.models or names:
        if model not in names:
            parser.error(f"{model!r} is not known; allowed are {', '.join(names)}")
        print(export(model, chosen.repository))


if __name__ == "__main__":
    main()
