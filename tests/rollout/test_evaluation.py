"""A candidate whose outputs differ passes only if its evaluation shows better figures or the operator accepts it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.domain.model_versions import DeployOptions, Verdict
from orchestrator.errors import CandidateRefused, InvalidInput
from orchestrator.rollout.candidate import MAX_EVALUATION_BYTES, Evaluation, decide_verdict
from tests.support.candidates import evaluation

MODEL = "segmentation"
VALID = evaluation(MODEL, b"a network")
LARGE_DIFFERENCE = {"component": 0.3}
SMALL_DIFFERENCE = {"component": 0.001}


def read(value: dict[str, Any]) -> Evaluation:
    return Evaluation.read(json.dumps(value).encode(), MODEL, VALID["sha256"])


def figure(candidate: float, baseline: float, better: str = "higher") -> dict[str, Any]:
    return {"candidate": candidate, "baseline": baseline, "better": better}


def test_candidate_that_agrees_needs_no_evaluation() -> None:
    assert decide_verdict(SMALL_DIFFERENCE, 1, DeployOptions(), None) is Verdict.AGREES


def test_candidate_that_differs_passes_with_better_figures() -> None:
    assert decide_verdict(LARGE_DIFFERENCE, 1, DeployOptions(), read(VALID)) is Verdict.MEASURED_BETTER
    lower_is_better = {**VALID, "figures": {"error": figure(0.2, 0.3, "lower"), "iou": figure(0.5, 0.5)}}
    assert decide_verdict(LARGE_DIFFERENCE, 1, DeployOptions(), read(lower_is_better)) is Verdict.MEASURED_BETTER


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"figures": {"iou": figure(0.6, 0.5), "error": figure(0.4, 0.3, "lower")}}, "worse figures: error 0.4"),
        ({"figures": {"iou": figure(0.5, 0.5)}}, "no better figure"),
        ({"against_version": 3}, "against version 3, but version 1 serves"),
    ],
)
def test_candidate_that_differs_without_better_figures_is_refused_unless_accepted(
    change: dict[str, Any], reason: str
) -> None:
    measured = read({**VALID, **change})
    with pytest.raises(CandidateRefused, match=reason):
        decide_verdict(LARGE_DIFFERENCE, 1, DeployOptions(), measured)
    accepting = DeployOptions(accept_difference=True)
    assert decide_verdict(LARGE_DIFFERENCE, 1, accepting, measured) is Verdict.DIFFERENCE_ACCEPTED


@pytest.mark.parametrize(("name", "value"), [("model", "surface_estimation"), ("sha256", "0" * 64)])
def test_evaluation_of_another_model_or_file_is_refused(name: str, value: str) -> None:
    with pytest.raises(CandidateRefused, match="the evaluation is for"):
        read({**VALID, name: value})


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"\xff",
        b" " * (MAX_EVALUATION_BYTES + 1),
        json.dumps({**VALID, "figures": {}}).encode(),
        json.dumps({**VALID, "figures": {"iou": figure(float("nan"), 0.5)}}).encode(),
        json.dumps({**VALID, "note": "an unknown key"}).encode(),
        json.dumps({name: value for name, value in VALID.items() if name != "test_split"}).encode(),
    ],
)
def test_malformed_evaluation_raises_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        Evaluation.read(data, MODEL, VALID["sha256"])
    assert caught.value.field == "header.evaluation_json"
