"""Find the components of a piece of furniture and the wood in a photo, as masks at the photo's resolution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from orchestrator.detect import local, openai, prompts
from orchestrator.detect.vocabulary import component_name
from orchestrator.domain.images import Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.segment import Box, Detection, Detector, DetectorCost, OpenAISettings, SegmentOptions
from orchestrator.errors import InvalidInput
from orchestrator.imaging.refine import PIECE_EDGE, mask_from_likelihood, mask_from_prompt
from orchestrator.stages.segment.overlay import draw_masks


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
    """What was found in one photo; masks [H, W] uint8 at its resolution."""

    components: tuple[ComponentMask, ...]
    foreground: Image
    wood: Image | None
    overlay: Image
    cost: DetectorCost
    model_versions: dict[str, str]


def check_prompts(options: SegmentOptions, sizes: Sequence[tuple[int, int]], openai: OpenAISettings | None) -> None:
    """Refuse options that can't be followed on photos of these (width, height).

    Raises:
        InvalidInput: with the field.
    """
    prompts.check_prompts(options.prompts, sizes)
    if options.detector is Detector.PROMPTS and not options.prompts:
        raise InvalidInput("segment.prompts", "there are none; the detector 'prompts' needs at least one")
    if options.detector is Detector.OPENAI and openai is None:
        raise InvalidInput("segment.detector", "'openai' is not set up on this service; allowed are local and prompts")


def segment(
    photo_srgb: Image,
    maps: MaterialMaps,
    options: SegmentOptions,
    photo_index: int,
    openai: OpenAISettings | None,
    progress: Progress = no_progress,
) -> SegmentResult:
    """Segment one photo.

    Args:
        photo_srgb: [H, W, 3] uint8.
        maps: what the models say of it.
        photo_index: which photo of the upload it is: prompts name theirs.
        openai: the vision endpoint, for the ``openai`` detector.

    Raises:
        DetectorUnavailable, DetectorFailed: from the ``openai`` detector.
    """
    found: list[ComponentMask] = []
    cost = DetectorCost()
    if options.detect_components and options.detector is Detector.LOCAL:
        regions = local.detect(maps)
        for number, region in enumerate(regions):
            progress(0.8 * number / len(regions), f"mask of {region.name}")
            mask = mask_from_likelihood(photo_srgb, region.likelihood)
            found += _component(region.name, mask, "", region.confidence, maps, Detector.LOCAL, found)
    elif options.detect_components:
        detection = _detect(photo_srgb, options, photo_index, openai)
        cost = detection.cost
        for number, prompt in enumerate(detection.prompts):
            progress(0.8 * number / len(detection.prompts), f"mask of {prompt.name}")
            mask = mask_from_prompt(photo_srgb, prompt.box, prompt.points, maps.foreground)
            name, detector = component_name(prompt.name), options.detector
            found += _component(name, mask, prompt.material, prompt.confidence, maps, detector, found)
    progress(0.85, "wood and overlay")
    foreground = mask_from_likelihood(photo_srgb, maps.foreground, PIECE_EDGE)
    wood = mask_from_likelihood(photo_srgb, maps.wood) if options.detect_wood else None
    labels = _labels(found)
    if wood is not None and _mostly_outside(wood, found):
        labels.insert(0, ("wood", "wood", wood))
    overlay = draw_masks(photo_srgb, labels)
    return SegmentResult(tuple(found), foreground, wood, overlay, cost, maps.model_versions)


def _detect(photo_srgb: Image, options: SegmentOptions, photo_index: int, settings: OpenAISettings | None) -> Detection:
    if options.detector is Detector.PROMPTS:
        return prompts.detect(options, photo_index)
    if settings is None:
        raise InvalidInput("segment.detector", "'openai' is not set up on this service; allowed are local and prompts")
    return openai.detect(photo_srgb, settings)


def _component(
    name: str,
    mask: Image,
    material: str,
    confidence: float,
    maps: MaterialMaps,
    detector: Detector,
    before: Sequence[ComponentMask],
) -> list[ComponentMask]:
    """The component, or nothing where the mask is empty."""
    solid = mask > 127
    area = int(np.count_nonzero(solid))
    if area == 0:
        return []
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    box = Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    number = Counter(part.name for part in before)[name] + 1
    made_of = material or _material(mask, maps)
    return [ComponentMask(name, f"{name}-{number}", mask, made_of, confidence, box, area, detector.value)]


def _labels(found: Sequence[ComponentMask]) -> list[tuple[str, str, Image]]:
    """Name, label and mask of each component; of several of a name the largest is labelled for all."""
    each = Counter(part.name for part in found)
    largest = {part.name: part for part in sorted(found, key=lambda part: part.area_px)}
    labels = {
        name: f"{name} x{each[name]} · {part.material}" if each[name] > 1 else f"{name} · {part.material}"
        for name, part in largest.items()
    }
    return [(part.name, labels[part.name] if part is largest[part.name] else "", part.mask) for part in found]


def _mostly_outside(wood: Image, found: Sequence[ComponentMask]) -> bool:
    """Whether most of the wood is on no component, so that the overlay must show it by itself."""
    solid = wood > 127
    free = solid.copy()
    for part in found:
        free &= part.mask <= 127
    return bool(free.sum() > 0.5 * solid.sum() > 0)


def _material(mask: Image, maps: MaterialMaps) -> str:
    height, width = maps.wood.shape
    weight = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    return maps.material_names[int((maps.material * weight).sum(axis=(1, 2)).argmax())]


def components_json(result: SegmentResult) -> dict[str, Any]:
    """The result as a JSON document: what each mask file shows."""
    height, width = result.foreground.shape
    return {
        "width": width,
        "height": height,
        "model_versions": result.model_versions,
        "components": [
            {
                "name": part.name,
                "instance": part.instance,
                "file": f"mask-{part.instance}.png",
                "material": part.material,
                "confidence": round(part.confidence, 4),
                "box": {"left": part.box.left, "top": part.box.top, "right": part.box.right, "bottom": part.box.bottom},
                "area_px": part.area_px,
                "area_share": round(part.area_px / (width * height), 5),
                "detector": part.detector,
            }
            for part in result.components
        ],
    }
