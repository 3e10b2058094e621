"""What a model may answer: shapes, finite numbers and ranges of each output, and how far two answers are apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from orchestrator.domain.images import FloatMap
from orchestrator.errors import CandidateRefused
from orchestrator.inference.models import softmax
from orchestrator.inference.versions import Signature

SLACK = 1e-3
"""By how much a value may leave its range: float rounding, also in FP16."""
TOLERANCE = 0.02
"""A mean difference of at most this share of an output's spread counts as the same answer."""
MIN_SPREAD = 0.05
"""An output that is nearly constant is held against this spread."""
LOGITS = ("component", "material")


def _within(low: float, high: float) -> Callable[[FloatMap], str]:
    def check(values: FloatMap) -> str:
        least, most = float(values.min()), float(values.max())
        if low - SLACK <= least and most <= high + SLACK:
            return ""
        allowed = f"at least {low:g}" if high == np.inf else f"from {low:g} to {high:g}"
        return f"holds values from {least:.4g} to {most:.4g}; allowed are values {allowed}"

    return check


def _unit(values: FloatMap) -> str:
    lengths = np.linalg.norm(values, axis=1)
    worst = float(np.abs(lengths - 1).max())
    return "" if worst <= 10 * SLACK else f"holds vectors whose length is off 1 by up to {worst:.4g}"


def _positive(values: FloatMap) -> str:
    least = float(values.min())
    return "" if least > 0 else f"holds values down to {least:.4g}; all must be above 0"


RANGES: Mapping[str, Callable[[FloatMap], str]] = {
    "albedo": _within(0, 1),
    "shading": _within(0, np.inf),
    "normal": _unit,
    "roughness": _within(0, 1),
    "ambient_occlusion": _within(0, 1),
    "depth": _positive,
}
"""Output → what is wrong with its values, or "". Logits need only be finite."""


def check_outputs(outputs: Mapping[str, FloatMap], signature: Signature, side: int) -> None:
    """Let an answer to one picture of ``side`` × ``side`` pass that could be served.

    Raises:
        CandidateRefused: an output is missing, of another shape, not finite or out of its range.
    """
    for tensor in signature.outputs:
        values = outputs.get(tensor.name)
        wanted = (1, *(side if size < 0 else size for size in tensor.dims))
        if values is None or values.shape != wanted:
            found = "is missing" if values is None else f"has the shape {values.shape}"
            raise CandidateRefused(f"its {tensor.name} {found}; it must have {wanted}", output=tensor.name)
        if not np.isfinite(values).all():
            share = float(1 - np.isfinite(values).mean())
            raise CandidateRefused(f"its {tensor.name} is not finite in {share:.1%} of the values", output=tensor.name)
        wrong = RANGES[tensor.name](values) if tensor.name in RANGES else ""
        if wrong:
            raise CandidateRefused(f"its {tensor.name} {wrong}", output=tensor.name)


def difference(name: str, candidate: FloatMap, serving: FloatMap) -> float:
    """The mean absolute difference, as a share of the spread (1st to 99th percentile) of the serving answer.

    Logits are compared as likelihoods, depth after its scale, which is free.
    """
    one, other = (_comparable(name, values) for values in (candidate, serving))
    if name in LOGITS:
        return float(np.abs(one - other).sum(axis=1).mean() / 2)  # the share of likelihood that went elsewhere
    low, high = np.percentile(other, (1, 99))
    return float(np.abs(one - other).mean() / max(high - low, MIN_SPREAD))


def _comparable(name: str, values: FloatMap) -> FloatMap:
    if name in LOGITS:
        return softmax(values, axis=1)
    return np.asarray(values / np.median(values), np.float32) if name == "depth" else values
