"""Checks the outputs of a model version, and measures how much the outputs of two versions differ."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import softmax

from orchestrator.domain.images import FloatMap
from orchestrator.errors import CandidateRefused
from orchestrator.inference.tensors import Tensors
from orchestrator.inference.triton_client import Signature

RANGE_SLACK = 1e-3
"""Distance by which a value may exceed its range. It allows for float rounding, also in FP16. Not tuned."""
UNIT_LENGTH_SLACK = 10 * RANGE_SLACK
"""Deviation from length 1 that a normal may have. Not tuned."""
MAX_DIFFERENCE = 0.02
"""Two versions agree if ``difference`` is at most this for every output. Not tuned; the tests assert that outputs
rounded to FP16 differ by less than a tenth of it."""
MIN_SPREAD = 0.05
"""Minimum spread that a difference is divided by, because a nearly constant output would turn rounding errors into
large differences. Not tuned."""
LOGITS = ("component", "material")
RANGES = {"albedo": (0, 1), "shading": (0, np.inf), "roughness": (0, 1), "ambient_occlusion": (0, 1)}
RANGES |= {"foreground": (0, 1), "quality": (0, 1), "valid": (0, 1), "scores": (0, 1)}
"""Output → minimum and maximum of its values."""


def _violation(name: str, values: FloatMap) -> str:
    """Return how the values violate the rule of output ``name``, or an empty string. Logits and boxes have no rule."""
    lowest, highest = float(values.min()), float(values.max())
    if name == "depth" and lowest <= 0:
        return f"has values down to {lowest:.4g}; all values must be above 0"
    if name == "normal":
        deviation = float(np.abs(np.linalg.norm(values, axis=1) - 1).max())
        if deviation > UNIT_LENGTH_SLACK:
            allowed = f"allowed is {UNIT_LENGTH_SLACK:g}"
            return f"has vectors whose length deviates from 1 by up to {deviation:.4g}; {allowed}"
    minimum, maximum = RANGES.get(name, (-np.inf, np.inf))
    if lowest < minimum - RANGE_SLACK or highest > maximum + RANGE_SLACK:
        allowed = f"at least {minimum:g}" if maximum == np.inf else f"from {minimum:g} to {maximum:g}"
        return f"has values from {lowest:.4g} to {highest:.4g}; allowed are values {allowed}"
    return ""


def check_outputs(outputs: Mapping[str, FloatMap], signature: Signature, inputs: Tensors) -> None:
    """Raise CandidateRefused unless all outputs for the inputs exist, have the right shape and valid values.

    The dynamic sizes of an output are the height and width of ``image`` if the model has no other input. Otherwise the
    dynamic size is the number of prompts or queries, which is the first axis of the other inputs.
    """
    image_size = inputs["image"].shape[2:]
    counts = [values.shape[1] for name, values in inputs.items() if name != "image"]
    for tensor in signature.outputs:
        values = outputs.get(tensor.name)
        sizes = iter(counts[:1] or image_size)
        expected = (1, *(next(sizes) if size < 0 else size for size in tensor.dims))
        if values is None or values.shape != expected:
            actual = "is missing" if values is None else f"has the shape {values.shape}"
            violation = f"{actual}; expected is {expected}"
        elif not np.isfinite(values).all():
            violation = f"is not finite in {1 - np.isfinite(values).mean():.1%} of the values"
        else:
            violation = _violation(tensor.name, values)
        if violation:
            raise CandidateRefused(f"output {tensor.name} {violation}", output=tensor.name)


def difference(name: str, candidate: FloatMap, serving: FloatMap) -> float:
    """Return how much the candidate's output ``name`` differs from that of the serving version.

    For logits this is the mean total variation distance between the class probabilities. For every other output it is
    the mean absolute difference divided by the spread (1st to 99th percentile) of the serving version's values. Depth
    is divided by its median first, because its scale is arbitrary. Both outputs are [B, …].
    """
    candidate, serving = _normalized(name, candidate), _normalized(name, serving)
    if name in LOGITS:
        return float(np.abs(candidate - serving).sum(axis=1).mean() / 2)
    low, high = np.percentile(serving, (1, 99))
    return float(np.abs(candidate - serving).mean() / max(high - low, MIN_SPREAD))


def _normalized(name: str, values: FloatMap) -> FloatMap:
    if name in LOGITS:
        return np.asarray(softmax(values, axis=1), np.float32)
    return np.asarray(values / np.median(values), np.float32) if name == "depth" else values
