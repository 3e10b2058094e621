"""Export the models into the repository, or fit the repository to a machine.

python -m export_models.export [MODEL…] [--version 1]
python -m export_models.export --version 2 [--weights FILE]
python -m export_models.export --profile gpu --out DIR

Version 1 is closed form; version 2 needs weights that ``export_models.train`` learned: those of WEIGHTS, or one file.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import onnx
import onnxsim
import torch
from torch import Tensor, nn

from export_models import dali_preprocess
from export_models.baselines import intrinsic_decomposition, segmentation, surface_estimation
from export_models.networks import furniture
from orchestrator.errors import InvalidInput
from orchestrator.inference.profiles import derive, profiles

CHECKOUT = Path(__file__).resolve().parent.parent
REPOSITORY, PROFILES = CHECKOUT / "model_repository", CHECKOUT / "triton_config" / "profiles"
OPSET = 17
EXAMPLE = (2, 3, 256, 320)
"""Shape of the picture that is traced; batch, height and width stay free."""

Axes = dict[int, str]
"""Place and name of each free axis."""

NETWORKS: dict[str, tuple[type[nn.Module], ModuleType]] = {
    "intrinsic_decomposition": (intrinsic_decomposition.IntrinsicDecomposition, intrinsic_decomposition),
    "surface_estimation": (surface_estimation.SurfaceEstimation, surface_estimation),
    "segmentation": (segmentation.Segmentation, segmentation),
}

LEARNED: dict[str, type[furniture.Served]] = {
    "intrinsic_decomposition": furniture.IntrinsicDecomposition,
    "surface_estimation": furniture.SurfaceEstimation,
    "segmentation": furniture.Segmentation,
}
LEARNT = Path(__file__).with_name("weights")
WEIGHTS = {
    "intrinsic_decomposition": LEARNT / "light.pt",
    "surface_estimation": LEARNT / "furniture.pt",
    "segmentation": LEARNT / "furniture.pt",
}
"""What version 2 of each model is cut from."""


def network_of(model: str, version: int, weights: Path | None = None) -> nn.Module:
    """The torch module of a model's version, ready to be asked.

    Args:
        weights: what version 2 learned: ``weights.pt`` of ``train``. None is that of WEIGHTS.

    Raises:
        InvalidInput: ``weights`` are of another network.
    """
    if version == 1:
        return NETWORKS[model][0]().eval()
    file, served = weights or WEIGHTS[model], LEARNED[model]()
    known = torch.load(file, map_location="cpu", weights_only=True)
    lacking = served.network.load_state_dict(known, strict=False).missing_keys
    if lacking:
        raise InvalidInput("weights", f"{file} has no {lacking[0]}, which {model} needs; train it with this version")
    return served.eval()


def export_onnx(network: nn.Module, inputs: Sequence[str], outputs: Sequence[str], file: Path) -> None:
    """Write a network of pictures as ONNX with free batch, height and width; simplify it, check it."""
    free = {0: "batch", 2: "height", 3: "width"}
    trace(network, (torch.rand(EXAMPLE),), dict.fromkeys(inputs, free), dict.fromkeys(outputs, free), file)
    simple, same = onnxsim.simplify(onnx.load(str(file)))
    if not same:
        raise RuntimeError(f"{file.name}: simplified, it answers otherwise")
    onnx.save(simple, str(file))
    onnx.checker.check_model(str(file), full_check=True)


def trace(
    network: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Mapping[str, Axes],
    outputs: Mapping[str, Axes],
    file: Path,
) -> None:
    """Write ``network`` as ONNX and check it.

    Args:
        examples: what it is traced with, in the order of ``inputs``.
        inputs, outputs: by name the axes that stay free; all others are as in ``examples``.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        answers = network.eval()(*examples)
        torch.onnx.export(
            network,
            examples,
            str(file),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**inputs, **outputs},
            opset_version=OPSET,
            dynamo=False,
        )
    made = onnx.load(str(file))
    for output, answer, axes in zip(made.graph.output, answers, outputs.values(), strict=True):
        for place, size in enumerate(answer.shape):
            if place not in axes:  # resized outputs lose it on the way
                output.type.tensor_type.shape.dim[place].dim_value = size
    onnx.save(made, str(file))
    onnx.checker.check_model(str(file), full_check=True)


def export(model: str, repository: Path = REPOSITORY, version: int = 1, weights: Path | None = None) -> Path:
    """Export one model by its name; return the file."""
    folder = repository / model / str(version)
    if model == "image_preprocess":
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "model.dali"
        file.write_bytes(dali_preprocess.serialize())
        return file
    _, module = NETWORKS[model]
    export_onnx(network_of(model, version, weights), module.INPUTS, module.OUTPUTS, folder / "model.onnx")
    return folder / "model.onnx"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ["image_preprocess", *NETWORKS]
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(every)}; default: all")
    parser.add_argument("--version", type=int, choices=(1, 2), default=1)
    own = ", ".join(sorted({file.name for file in WEIGHTS.values()}))
    parser.add_argument("--weights", type=Path, help=f"of version 2, one file for all (default: each its own of {own})")
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    parser.add_argument("--profile", choices=profiles(PROFILES), help="export nothing; write a fitted copy to --out")
    parser.add_argument("--out", type=Path, help="a new folder for --profile, to be given to tritonserver")
    chosen = parser.parse_args()
    if chosen.profile:
        if chosen.out is None:
            parser.error("--profile needs --out DIR")
        try:
            print(derive(chosen.repository, PROFILES / chosen.profile, chosen.out))
        except InvalidInput as error:
            parser.error(error.message)
        return
    names = every if chosen.version == 1 else list(LEARNED)
    for model in chosen.models or names:
        if model not in names:
            parser.error(f"{model!r} has no version {chosen.version}; allowed are {', '.join(names)}")
        print(export(model, chosen.repository, chosen.version, chosen.weights))


if __name__ == "__main__":
    main()
