"""Finds the components of a piece of furniture and the wood in a photo, as masks at the resolution of the photo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np

from orchestrator.detect import open_vocabulary, prompts
from orchestrator.detect.detector import Candidate
from orchestrator.detect.detectors import create_detector
from orchestrator.domain.checks import Violations
from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.model_roles import NO_PHOTO_MODELS, ROLE_MODELS, PartFinder, PhotoModels, PromptModel, Role
from orchestrator.domain.progress import Progress, no_progress, subrange
from orchestrator.domain.segment import Box, DetectorCost, DetectorName, OpenAISettings, SegmentOptions
from orchestrator.domain.stain import Region
from orchestrator.imaging.guided import Guide
from orchestrator.imaging.refine import PIECE_EDGE, mask_from_likelihood, mask_from_prompt, mask_guide
from orchestrator.imaging.wood import wood_probability
from orchestrator.stages.known_materials import at_model_resolution, known_materials
from orchestrator.stages.segment.overlay import LabeledMask, draw_masks

NO_PIECE = "no piece of furniture was found; the whole piece must be visible and stand out from its surroundings"
"""Warning about a photo without a piece."""


@dataclass(frozen=True)
class ComponentMask:
    """One component in one photo."""

    name: str
    instance: str  # unique in the photo, such as leg-2
    mask: Image  # [H, W] 255 on the component
    material: str
    confidence: float
    box: Box
    area_px: int
    detector: str


@dataclass(frozen=True)
class SegmentResult:
    """The segmentation of one photo. Masks are [H, W] uint8 at the resolution of the photo."""

    components: tuple[ComponentMask, ...]
    foreground: Image  # the piece
    wood: Image | None  # None if the options do not request it
    overlay: Image  # see draw_masks
    cost: DetectorCost
    model_versions: dict[str, str]
    warnings: tuple[str, ...] = ()


def check_options(
    options: SegmentOptions,
    sizes: Sequence[tuple[int, int]],
    openai: OpenAISettings | None,
    finder: PartFinder | None = None,
) -> None:
    """Check the options against the photos and the settings.

    Args:
        sizes: (width, height) of each photo.
        openai: the vision endpoint, None if it is not configured.
        finder: the open-vocabulary model, None if there is none.

    Raises:
        InvalidInput: a prompt does not fit its photo, prompts are missing, or the detector is not configured.
    """
    with Violations() as violations:
        with violations.collect():
            prompts.check_prompts(options.prompts, sizes)
        lacks_prompts = options.detector is DetectorName.PROMPTS and not options.prompts
        rule = "there are no prompts; the detector 'prompts' needs at least one"
        violations.check(not lacks_prompts, "segment.prompts", rule)
        with violations.collect():
            open_vocabulary.check_part_names(options.part_names)
        create_detector(options.detector, openai, finder)


def segment(
    photo_srgb: Image,
    maps: MaterialMaps,
    options: SegmentOptions,
    photo_index: int,
    openai: OpenAISettings | None,
    progress: Progress = no_progress,
    models: PhotoModels = NO_PHOTO_MODELS,
    on_cost: Callable[[DetectorCost], None] = lambda _: None,
) -> SegmentResult:
    """Segment one photo.

    Args:
        photo_srgb: [H, W, 3] uint8.
        maps: model outputs for this photo.
        photo_index: index of the photo in the upload. It selects the prompts.
        openai: the vision endpoint for the ``openai`` detector.
        models: the models of roles that the stage calls.
        on_cost: called with the cost of the detection, even if the photo fails later.

    Raises:
        InvalidInput: the detector is not configured.
        ModelUnavailable, ModelFailed, DeadlineExceeded: a model of ``models`` failed.
        DetectorUnavailable: the vision endpoint does not answer or is overloaded.
        DetectorFailed: the vision endpoint rejected the request, or its answer is invalid.
    """
    components: list[ComponentMask] = []
    cost = DetectorCost()
    used: set[Role] = set()
    guide = mask_guide(photo_srgb, maps.foreground.shape)
    known = known_materials(maps, options.made_of)
    if options.detect_components:
        detector = create_detector(options.detector, openai, models.open_vocabulary)
        detection = detector.detect(photo_srgb, maps, options, photo_index, subrange(progress, 0.0, 0.2))
        cost = detection.cost
        on_cost(cost)
        candidates = detection.candidates
        if options.detector is DetectorName.OPEN_VOCABULARY:
            used.add(Role.OPEN_VOCABULARY)
        if models.prompt is not None and any(candidate.prompt for candidate in candidates):
            used.add(Role.PROMPT)
            candidates = _with_likelihoods(photo_srgb, candidates, models.prompt, maps.foreground.shape)
        for number, candidate in enumerate(candidates):
            progress(0.2 + 0.6 * number / len(candidates), f"mask of {candidate.name}")
            mask = _candidate_mask(photo_srgb, candidate, maps, guide)
            if (mask > 127).any():
                instance = 1 + sum(component.name == candidate.name for component in components)
                components.append(_component(candidate, instance, mask, known, options))
    progress(0.85, "wood and overlay")
    maps = known_materials(maps, options.made_of, _masks_of_known_parts(components, maps, options))
    foreground = mask_from_likelihood(photo_srgb, maps.foreground, PIECE_EDGE, guide)
    wood_likelihood = wood_probability(maps, Region.AUTO)
    wood = mask_from_likelihood(photo_srgb, wood_likelihood, guide=guide) if options.detect_wood else None
    masks = _labeled_masks(components)
    if wood is not None and _mostly_outside(wood, components):
        masks.insert(0, LabeledMask("wood", "wood", wood))
    overlay = draw_masks(photo_srgb, masks)
    versions = {ROLE_MODELS[role]: models.versions[ROLE_MODELS[role]] for role in used}
    warnings = () if (foreground > 127).any() else (NO_PIECE,)
    return SegmentResult(tuple(components), foreground, wood, overlay, cost, maps.model_versions | versions, warnings)


def components_json(result: SegmentResult) -> dict[str, Any]:
    """Return the result as a JSON document that describes each mask file."""
    height, width = result.foreground.shape
    return {
        "width": width,
        "height": height,
        "model_versions": result.model_versions,
        "components": [
            {
                "name": component.name,
                "instance": component.instance,
                "file": f"mask-{component.instance}.png",
                "material": component.material,
                "confidence": round(component.confidence, 4),
                "box": asdict(component.box),
                "area_px": component.area_px,
                "area_share": round(component.area_px / (width * height), 5),
                "detector": component.detector,
            }
            for component in result.components
        ],
    }


def _with_likelihoods(
    photo_srgb: Image, candidates: Sequence[Candidate], model: PromptModel, shape: tuple[int, ...]
) -> tuple[Candidate, ...]:
    """Return the candidates with the likelihoods of the prompt model, of height and width ``shape``, for prompts."""
    prompted = [candidate.prompt for candidate in candidates if candidate.prompt is not None]
    likelihoods = iter(model.masks(photo_srgb, prompted, shape))
    return tuple(
        candidate if candidate.prompt is None else replace(candidate, likelihood=next(likelihoods))
        for candidate in candidates
    )


def _candidate_mask(photo_srgb: Image, candidate: Candidate, maps: MaterialMaps, guide: Guide) -> Image:
    """Return the mask of a candidate; it may be empty."""
    if candidate.likelihood is not None:
        return mask_from_likelihood(photo_srgb, candidate.likelihood, guide=guide)
    if candidate.prompt is not None:
        return mask_from_prompt(photo_srgb, candidate.prompt.box, candidate.prompt.points, maps.foreground)
    return np.zeros(photo_srgb.shape[:2], np.uint8)


def _component(
    candidate: Candidate, instance: int, mask: Image, maps: MaterialMaps, options: SegmentOptions
) -> ComponentMask:
    """Return the component of a non-empty mask. ``instance`` is its number among those with its name, from 1."""
    solid = (mask > 127).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(solid)
    stated = {known.part: known.material for known in options.made_of}.get(candidate.name)
    return ComponentMask(
        name=candidate.name,
        instance=f"{candidate.name}-{instance}",
        mask=mask,
        material=stated or candidate.material or _material(mask, maps),
        confidence=candidate.confidence,
        box=Box(float(left), float(top), float(left + width), float(top + height)),
        area_px=int(np.count_nonzero(solid)),
        detector=options.detector.value,
    )


def _masks_of_known_parts(
    components: Sequence[ComponentMask], maps: MaterialMaps, options: SegmentOptions
) -> dict[str, FloatMap]:
    """Return the [h, w] masks, in [0, 1], of the parts whose material the caller knows, by name."""
    masks: dict[str, FloatMap] = {}
    for component in components:
        if any(known.part == component.name for known in options.made_of):
            mask = at_model_resolution(component.mask, maps)
            masks[component.name] = np.maximum(mask, masks.get(component.name, mask))
    return masks


def _labeled_masks(components: Sequence[ComponentMask]) -> list[LabeledMask]:
    """Return the masks for the overlay. Of several components with the same name, only the largest has a label."""
    counts = Counter(component.name for component in components)
    # A later component replaces an earlier one with the same name.
    largest = {component.name: component for component in sorted(components, key=lambda component: component.area_px)}
    masks = []
    for component in components:
        count = f" x{counts[component.name]}" if counts[component.name] > 1 else ""
        label = f"{component.name}{count} · {component.material}" if component is largest[component.name] else ""
        masks.append(LabeledMask(component.name, label, component.mask))
    return masks


def _mostly_outside(wood: Image, components: Sequence[ComponentMask]) -> bool:
    """Return whether most of the wood is outside the components, so that the overlay must show it separately."""
    solid = wood > 127
    outside = solid.copy()
    for component in components:
        outside &= component.mask <= 127
    return bool(solid.any() and outside.sum() > 0.5 * solid.sum())


def _material(mask: Image, maps: MaterialMaps) -> str:
    """Return the material with the highest total probability inside a mask."""
    return maps.material_names[int((maps.material * at_model_resolution(mask, maps)).sum(axis=(1, 2)).argmax())]
