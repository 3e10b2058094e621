"""A candidate that answers otherwise passes only where it is measured better, or the operator accepts it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.model_versions import DeployOptions, Verdict
from orchestrator.errors import CandidateRefused, InvalidInput
from orchestrator.rollout.candidate import judge
from orchestrator.rollout.evaluation import MAX_BYTES, Evaluation
from tests.support.candidates import evaluation

FILE, MODEL = b"a network", "segmentation"
GOOD = evaluation(MODEL, FILE)
FAR, NEAR = {"component": 0.3}, {"component": 0.001}


def read(value: dict[str, Any]) -> Evaluation:
    return Evaluation.read(json.dumps(value).encode(), MODEL, GOOD["sha256"])


def figure(candidate: float, baseline: float, better: str = "higher") -> dict[str, Any]:
    return {"candidate": candidate, "baseline": baseline, "better": better}


def test_what_agrees_needs_nothing() -> None:
    assert judge(NEAR, 1, DeployOptions(), None) is Verdict.AGREES


def test_what_differs_passes_where_it_is_measured_better() -> None:
    assert judge(FAR, 1, DeployOptions(), read(GOOD)) is Verdict.MEASURED_BETTER
    lower = {**GOOD, "figures": {"error": figure(0.2, 0.3, "lower"), "iou": figure(0.5, 0.5)}}
    assert judge(FAR, 1, DeployOptions(), read(lower)) is Verdict.MEASURED_BETTER


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"figures": {"iou": figure(0.6, 0.5), "error": figure(0.4, 0.3, "lower")}}, "worse figures: error 0.4"),
        ({"figures": {"iou": figure(0.5, 0.5)}}, "no better figure"),
        ({"against_version": 3}, "against version 3, but version 1 serves"),
    ],
)
def test_what_differs_and_is_not_better_is_refused_unless_accepted(change: dict[str, Any], reason: str) -> None:
    measured = read({**GOOD, **change})
    with pytest.raises(CandidateRefused, match=reason):
        judge(FAR, 1, DeployOptions(), measured)
    assert judge(FAR, 1, DeployOptions(accept_difference=True), measured) is Verdict.DIFFERENCE_ACCEPTED


@pytest.mark.parametrize(("name", "value"), [("model", "surface_estimation"), ("sha256", "0" * 64)])
def test_an_evaluation_of_something_else_is_refused(name: str, value: str) -> None:
    with pytest.raises(CandidateRefused, match="its evaluation is of"):
        read({**GOOD, name: value})


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"\xff",
        b" " * (MAX_BYTES + 1),
        json.dumps({**GOOD, "figures": {}}).encode(),
        json.dumps({**GOOD, "figures": {"iou": figure(float("nan"), 0.5)}}).encode(),
        json.dumps({**GOOD, "note": "nobody reads this"}).encode(),
        json.dumps({name: value for name, value in GOOD.items() if name != "test_split"}).encode(),
    ],
)
def test_what_is_no_evaluation_is_told(data: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        Evaluation.read(data, MODEL, GOOD["sha256"])
    assert refused.value.field == "header.evaluation_json"
