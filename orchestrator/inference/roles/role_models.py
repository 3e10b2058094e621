"""Which model serves a role, the tensors of each model, and the objects through which stages call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.model_roles import (
    AUTO,
    ROLE_MODELS,
    SMALL,
    NamedBox,
    PartFinder,
    PhotoModels,
    PromptModel,
    Role,
    pull_command,
    setting_name,
)
from orchestrator.domain.segment import Box, Point, Prompt
from orchestrator.errors import FailedPrecondition, ModelUnavailable
from orchestrator.inference.roles import birefnet, moge2, owlv2, sam2
from orchestrator.inference.tensors import Tensors

Infer = Callable[[Tensors], Mapping[str, FloatMap]]
"""Runs a model on the inputs of one photo, and returns its outputs by name."""

OUTPUTS = {
    "birefnet": ("foreground",),
    "sam2": ("masks", "quality"),
    "moge2": ("normal", "depth", "valid"),
    "owlv2": ("scores", "boxes"),
}
"""Model → its outputs."""
ANALYSIS: dict[
    str, tuple[Callable[[Image], Tensors], Callable[[MaterialMaps, Mapping[str, FloatMap]], MaterialMaps]]
] = {
    "birefnet": (birefnet.to_inputs, birefnet.with_foreground),
    "moge2": (moge2.to_inputs, moge2.with_geometry),
}
"""Model that contributes maps → functions that make its inputs from a photo [H, W, 3], and that put its
outputs into the maps."""
GOLDEN_NAMES = ("leg", "seat", "table top", "drawer", "door handle")
"""The queries of the golden inputs of ``owlv2``."""
GOLDEN_INPUTS: dict[str, Callable[[Image], Tensors]] = {
    "birefnet": birefnet.to_inputs,
    "sam2": lambda photo_srgb: sam2.to_inputs(photo_srgb, golden_prompts(photo_srgb)),
    "moge2": moge2.to_inputs,
    "owlv2": lambda photo_srgb: owlv2.to_inputs(photo_srgb, GOLDEN_NAMES),
}
"""Model → function that makes a golden input from a photo [H, W, 3]; see ``rollout.candidate``."""


def golden_prompts(photo_srgb: Image) -> tuple[Prompt, ...]:
    """Return a point in the centre of the photo, and the box of its middle half with a point outside."""
    height, width = photo_srgb.shape[:2]
    box = Box(0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height)
    outside = Point(0.05 * width, 0.05 * height, inside=False)
    return Prompt("", points=(Point(0.5 * width, 0.5 * height),)), Prompt("", box, (outside,))


def role_versions(choices: Mapping[Role, str], version_of: Callable[[str], str]) -> dict[str, str]:
    """Return the Triton name and the version of the model of each role that does not use its fallback.

    Args:
        choices: the setting of each role; without one, a role is AUTO.
        version_of: returns the version of a model to use now, or raises ModelUnavailable.

    Raises:
        ModelUnavailable: the settings require a model that is not ready.
    """
    versions = {}
    for role, model in ROLE_MODELS.items():
        choice = choices.get(role, AUTO)
        if choice == SMALL:
            continue
        try:
            versions[model] = version_of(model)
        except ModelUnavailable:
            if choice != AUTO:
                raise ModelUnavailable(_required(role, "is not ready on Triton"), model=model) from None
    return versions


def check_choices(choices: Mapping[Role, str], in_repository: Callable[[str], bool]) -> None:
    """Raise FailedPrecondition if the settings require a model that the model repository does not contain."""
    for role, choice in choices.items():
        if choice not in (AUTO, SMALL) and not in_repository(choice):
            raise FailedPrecondition(_required(role, "is not in the model repository"))


def _required(role: Role, problem: str) -> str:
    model, setting = ROLE_MODELS[role], f"HEARTWOOD_{setting_name(role).upper()}"
    remedy = f"run `{pull_command(model)}` and restart the service, or set {setting}={AUTO} to allow the fallback"
    return f"{setting_name(role)}: {model!r} is required, but it {problem}; {remedy}"


@dataclass(frozen=True)
class Sam2Prompts(PromptModel):
    """``PromptModel`` of SAM 2.1."""

    infer: Infer

    def masks(self, photo_srgb: Image, prompts: Sequence[Prompt], shape: tuple[int, ...]) -> tuple[FloatMap, ...]:
        """See ``PromptModel.masks``."""
        return sam2.best_masks(self.infer(sam2.to_inputs(photo_srgb, prompts)), shape) if prompts else ()

    def regions(self, photo_srgb: Image, foreground: FloatMap) -> tuple[FloatMap, ...]:
        """See ``PromptModel.regions``."""
        height, width = photo_srgb.shape[:2]
        points = sam2.region_points(foreground)
        prompts = [Prompt("", points=(Point(float(x) * width, float(y) * height),)) for x, y in points]
        return sam2.regions(self.infer(sam2.to_inputs(photo_srgb, prompts)), foreground.shape) if prompts else ()


@dataclass(frozen=True)
class Owlv2Finder(PartFinder):
    """``PartFinder`` of OWLv2."""

    infer: Infer

    def find(self, photo_srgb: Image, names: Sequence[str]) -> tuple[NamedBox, ...]:
        """See ``PartFinder.find``."""
        height, width = photo_srgb.shape[:2]
        return owlv2.named_boxes(self.infer(owlv2.to_inputs(photo_srgb, names)), names, width, height)


def photo_models(versions: Mapping[str, str], infer_with: Callable[[str], Infer]) -> PhotoModels:
    """Return the models that stages call.

    Args:
        versions: see ``role_versions``.
        infer_with: returns the function that runs a model.
    """
    prompt, finder = ROLE_MODELS[Role.PROMPT], ROLE_MODELS[Role.OPEN_VOCABULARY]
    return PhotoModels(
        prompt=Sam2Prompts(infer_with(prompt)) if prompt in versions else None,
        open_vocabulary=Owlv2Finder(infer_with(finder)) if finder in versions else None,
        versions={model: version for model, version in versions.items() if model in (prompt, finder)},
    )
