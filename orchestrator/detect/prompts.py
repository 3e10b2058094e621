"""The prompts of the caller: boxes and points, checked against the photos."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.detect.detector import Candidate, Detection
from orchestrator.domain.checks import Violations
from orchestrator.domain.images import Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress
from orchestrator.domain.segment import Box, Prompt, SegmentOptions
from orchestrator.domain.vocabulary import component_name
from orchestrator.errors import InvalidInput

MAX_PROMPTS = 64
"""Maximum number of prompts for an upload."""
MAX_POINTS = 256
"""Maximum number of points of a prompt."""


class PromptDetector:
    """Returns the caller's prompts for a photo."""

    def detect(
        self, photo_srgb: Image, maps: MaterialMaps, options: SegmentOptions, photo_index: int, progress: Progress
    ) -> Detection:
        """See ``Detector.detect``. Uses only ``options.prompts``."""
        del photo_srgb, maps, progress
        candidates = (
            Candidate(component_name(prompt.name), prompt.confidence, prompt.material, prompt=prompt)
            for prompt in options.prompts
            if prompt.photo == photo_index
        )
        return Detection(tuple(candidates))


def check_prompts(prompts: Sequence[Prompt], sizes: Sequence[tuple[int, int]]) -> None:
    """Raise InvalidInput if prompts do not fit the photos of the upload, whose ``sizes`` are (width, height)."""
    if len(prompts) > MAX_PROMPTS:
        raise InvalidInput("segment.prompts", f"there are {len(prompts)} prompts; at most {MAX_PROMPTS} are allowed")
    with Violations() as violations:
        for index, prompt in enumerate(prompts):
            with violations.collect():
                _check_prompt(f"segment.prompts[{index}]", prompt, sizes)


def _check_prompt(field: str, prompt: Prompt, sizes: Sequence[tuple[int, int]]) -> None:
    if not 0 <= prompt.photo < len(sizes):
        rule = f"the upload has photos 0 to {len(sizes) - 1}"
        raise InvalidInput(f"{field}.photo", f"{prompt.photo} is not allowed; {rule}")
    width, height = sizes[prompt.photo]
    if prompt.box is None and not any(point.inside for point in prompt.points):
        raise InvalidInput(field, "give a box, or at least one point on the component")
    if len(prompt.points) > MAX_POINTS:
        rule = f"at most {MAX_POINTS} are allowed"
        raise InvalidInput(f"{field}.points", f"there are {len(prompt.points)} points; {rule}")
    with Violations() as violations:
        if prompt.box is not None:
            with violations.collect():
                _check_box(f"{field}.box", prompt.box, width, height)
        for number, point in enumerate(prompt.points):
            problem = f"({point.x}, {point.y}) is outside the photo, which has {width}×{height} pixels"
            is_inside = _in_range(point.x, width) and _in_range(point.y, height)
            violations.check(is_inside, f"{field}.points[{number}]", problem)


def _check_box(field: str, box: Box, width: int, height: int) -> None:
    sides = ((box.left, width), (box.right, width), (box.top, height), (box.bottom, height))
    if not (all(_in_range(*side) for side in sides) and box.left < box.right and box.top < box.bottom):
        problem = f"(left, top, right, bottom) = {(box.left, box.top, box.right, box.bottom)} is not allowed"
        rule = f"0 ≤ left < right ≤ {width} and 0 ≤ top < bottom ≤ {height} must hold"
        raise InvalidInput(field, f"{problem}; {rule}")


def _in_range(value: float, size: int) -> bool:
    return math.isfinite(value) and 0 <= value <= size
