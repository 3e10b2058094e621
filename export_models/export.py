"""Export the models to a model repository, or adapt a model repository to a machine.

python -m export_models.export [MODEL…] [--version 1]
python -m export_models.export --version 2 [--weights FILE]
python -m export_models.export --profile gpu --out DIR

Version 1 is a closed-form method without weights. Version 2 is a network with weights from `export_models.train`: by
default the committed ones, otherwise those of --weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxsim
import torch
from torch import nn

from export_models import dali_preprocess
from export_models.baselines import intrinsic_decomposition, segmentation, surface_estimation
from export_models.networks import served_models
from export_models.onnx_trace import trace
from orchestrator.errors import InvalidInput
from orchestrator.inference.profiles import apply_profile, list_profiles

CHECKOUT = Path(__file__).resolve().parent.parent
REPOSITORY = CHECKOUT / "model_repository"
PROFILES = CHECKOUT / "triton_config" / "profiles"
WEIGHTS = Path(__file__).with_name("weights")
EXAMPLE_SHAPE = (2, 3, 256, 320)
"""Shape of the image with which models are traced. Batch, height and width stay dynamic."""


@dataclass(frozen=True)
class ModelSource:
    """The two versions of a model that takes ``image`` [B, 3, H, W].

    Attributes:
        inputs, outputs: names in the model repository, in the order in which both modules take and return them.
        closed_form: version 1.
        learned: version 2.
        weights: weights of version 2.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    closed_form: type[nn.Module]
    learned: type[served_models.ServedModel]
    weights: Path


MODELS = {
    "intrinsic_decomposition": ModelSource(
        inputs=intrinsic_decomposition.INPUTS,
        outputs=intrinsic_decomposition.OUTPUTS,
        closed_form=intrinsic_decomposition.IntrinsicDecomposition,
        learned=served_models.IntrinsicDecomposition,
        weights=WEIGHTS / "light.pt",
    ),
    "surface_estimation": ModelSource(
        inputs=surface_estimation.INPUTS,
        outputs=surface_estimation.OUTPUTS,
        closed_form=surface_estimation.SurfaceEstimation,
        learned=served_models.SurfaceEstimation,
        weights=WEIGHTS / "furniture.pt",
    ),
    "segmentation": ModelSource(
        inputs=segmentation.INPUTS,
        outputs=segmentation.OUTPUTS,
        closed_form=segmentation.Segmentation,
        learned=served_models.Segmentation,
        weights=WEIGHTS / "segmentation.pt",
    ),
}
PREPROCESSING = "image_preprocess"
"""Model without a network; it has version 1 only."""


def load_network(model: str, version: int, weights: Path | None = None) -> nn.Module:
    """Return a version of a model as a torch module in evaluation mode.

    Args:
        weights: weights of version 2, as ``train`` writes them. Default: the committed ones.

    Raises:
        InvalidInput: ``weights`` lack parameters of the network.
    """
    source = MODELS[model]
    if version == 1:
        return source.closed_form().eval()
    file = weights or source.weights
    served = source.learned()
    state = torch.load(file, map_location="cpu", weights_only=True)
    missing = served.network.load_state_dict(state, strict=False).missing_keys
    if missing:
        raise InvalidInput(
            "weights",
            f"{file} lacks {len(missing)} parameters that {model} needs, such as {missing[0]!r}; "
            "train the weights with the current network",
        )
    return served.eval()


def export_onnx(network: nn.Module, inputs: Sequence[str], outputs: Sequence[str], file: Path) -> None:
    """Write a network that takes images as a simplified ONNX file with dynamic batch, height and width.

    Raises:
        RuntimeError: simplification changed the outputs.
    """
    dynamic = {0: "batch", 2: "height", 3: "width"}
    trace(network, (torch.rand(EXAMPLE_SHAPE),), dict.fromkeys(inputs, dynamic), dict.fromkeys(outputs, dynamic), file)
    simplified, is_equivalent = onnxsim.simplify(onnx.load(str(file)))
    if not is_equivalent:
        raise RuntimeError(f"{file}: onnxsim changed the outputs of the graph")
    onnx.save(simplified, str(file))
    onnx.checker.check_model(str(file), full_check=True)


def export(model: str, repository: Path = REPOSITORY, version: int = 1, weights: Path | None = None) -> Path:
    """Export a version of a model to ``repository`` and return the file. ``weights`` as in ``load_network``."""
    folder = repository / model / str(version)
    if model == PREPROCESSING:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "model.dali"
        file.write_bytes(dali_preprocess.serialize())
        return file
    source = MODELS[model]
    file = folder / "model.onnx"
    export_onnx(load_network(model, version, weights), source.inputs, source.outputs, file)
    return file


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    all_names = [PREPROCESSING, *MODELS]
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(all_names)} (default: all)")
    parser.add_argument("--version", type=int, choices=(1, 2), default=1)
    parser.add_argument("--weights", type=Path, help="weights of version 2 (default: the committed ones)")
    parser.add_argument("--repository", type=Path, default=REPOSITORY, help="default: model_repository/")
    parser.add_argument("--profile", choices=list_profiles(PROFILES), help="write an adapted copy to --out instead")
    parser.add_argument("--out", type=Path, help="new folder for --profile, the model repository for tritonserver")
    options = parser.parse_args()
    if options.profile:
        if options.out is None:
            parser.error("--profile needs --out DIR")
        try:
            print(apply_profile(options.repository, PROFILES / options.profile, options.out))
        except InvalidInput as error:
            parser.error(error.message)
        return
    available = all_names if options.version == 1 else list(MODELS)
    for model in options.models or available:
        if model not in available:
            parser.error(f"{model!r} has no version {options.version}; allowed are {', '.join(available)}")
        print(export(model, options.repository, options.version, options.weights))


if __name__ == "__main__":
    main()
