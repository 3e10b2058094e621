"""The caller as the detector: boxes and points, checked against the photos."""

from __future__ import annotations

import math
from collections.abc import Sequence

from orchestrator.domain.segment import Box, Detection, Prompt, SegmentOptions
from orchestrator.errors import InvalidInput

MAX_PROMPTS, MAX_POINTS = 64, 256


def check_prompts(prompts: Sequence[Prompt], sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse what no photo can hold.

    Args:
        sizes: (width, height) of each photo of the upload.

    Raises:
        InvalidInput: with the prompt's field.
    """
    if len(prompts) > MAX_PROMPTS:
        raise InvalidInput("segment.prompts", f"{len(prompts)} prompts; at most {MAX_PROMPTS} are allowed")
    for index, prompt in enumerate(prompts):
        field = f"segment.prompts[{index}]"
        if not 0 <= prompt.photo < len(sizes):
            raise InvalidInput(
                f"{field}.photo", f"{prompt.photo} is not allowed; the upload has photos 0 to {len(sizes) - 1}"
            )
        width, height = sizes[prompt.photo]
        if prompt.box is None and not any(point.inside for point in prompt.points):
            raise InvalidInput(field, "give a box, or a point that is on the component")
        if prompt.box is not None:
            _check_box(f"{field}.box", prompt.box, width, height)
        if len(prompt.points) > MAX_POINTS:
            raise InvalidInput(f"{field}.points", f"{len(prompt.points)} points; at most {MAX_POINTS} are allowed")
        for number, point in enumerate(prompt.points):
            if not (_within(point.x, width) and _within(point.y, height)):
                raise InvalidInput(
                    f"{field}.points[{number}]",
                    f"({point.x}, {point.y}) is outside the photo's {width}×{height} pixels",
                )


def _check_box(field: str, box: Box, width: int, height: int) -> None:
    corners = (box.left, box.top, box.right, box.bottom)
    ordered = box.left < box.right and box.top < box.bottom
    if not (_within(box.left, width) and _within(box.right, width) and ordered):
        raise InvalidInput(
            field, f"{corners} is not allowed; 0 ≤ left < right ≤ {width} and 0 ≤ top < bottom ≤ {height}"
        )
    if not (_within(box.top, height) and _within(box.bottom, height)):
        raise InvalidInput(
            field, f"{corners} is not allowed; 0 ≤ left < right ≤ {width} and 0 ≤ top < bottom ≤ {height}"
        )


def _within(value: float, size: int) -> bool:
    return math.isfinite(value) and 0 <= value <= size


def detect(options: SegmentOptions, photo_index: int) -> Detection:
    """The prompts of one photo."""
    return Detection(tuple(prompt for prompt in options.prompts if prompt.photo == photo_index))
