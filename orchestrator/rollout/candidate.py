"""Compares a candidate, on a Triton of its own, with the serving version: outputs, speed and evaluation."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from orchestrator.domain.model_versions import (
    CandidateReport,
    DeployOptions,
    Latency,
    ShadowReport,
    Verdict,
)
from orchestrator.domain.progress import Progress, subrange
from orchestrator.errors import CandidateRefused, InvalidInput
from orchestrator.imaging.filters import shrink
from orchestrator.imaging.photo import read_photo
from orchestrator.inference.candidate_triton import LoadedCandidate
from orchestrator.inference.letterbox import pad_to_square, to_model_input
from orchestrator.inference.models import TritonModels
from orchestrator.inference.output_checks import MAX_DIFFERENCE, check_outputs, difference
from orchestrator.inference.roles.role_models import GOLDEN_INPUTS
from orchestrator.inference.shadow import ShadowTraffic
from orchestrator.inference.tensors import Tensors
from orchestrator.inference.triton_client import InferenceResult, Signature
from orchestrator.settings import DEMO_PHOTOS

PHOTOS = tuple(sorted(DEMO_PHOTOS.glob("*.jpg")))
GOLDEN_SIDES = (256, 512)
"""The golden inputs are all ``PHOTOS``, three path-traced images, as squares of these sides in pixels."""
ROLE_MODEL_SIDE = 512
"""Longer side in pixels of the ``PHOTOS`` from which the golden inputs of a role's model are made."""
TIMED_REQUESTS = {512: 3, 768: 1, 1024: 1}
"""Side in pixels → number of timed requests per version, after one warm-up request. So few requests show only large
differences in speed; they do not replace a benchmark."""
GOLDEN_END = 0.6
"""Share of the progress that warm-up and golden inputs take if live requests follow."""
SHADOW_POLL_S = 0.2
EVALUATION_FIELD = "header.evaluation_json"
MAX_EVALUATION_BYTES = 64 << 10


class Figure(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """One figure, measured for both versions."""

    candidate: float
    baseline: float
    better: Literal["higher", "lower"]

    @property
    def gain(self) -> float:
        """How much better the candidate is than the baseline; negative if it is worse."""
        return (self.candidate - self.baseline) * (1 if self.better == "higher" else -1)


class Evaluation(BaseModel, extra="forbid", frozen=True, protected_namespaces=()):
    """``evaluation.json``: measured figures of a candidate and of the version that it would replace.

        {"model": "segmentation",
         "sha256": "9f2c…",
         "against_version": 1,
         "test_split": "furniture-test, 120 images of pieces that are in no training image",
         "figures": {"component_iou": {"candidate": 0.61, "baseline": 0.44, "better": "higher"},
                     "material_error": {"candidate": 0.12, "baseline": 0.12, "better": "lower"}}}

    ``sha256`` is that of the candidate's ONNX file. Both values of a figure must be measured on the same split.
    Heartwood does not repeat the measurement. It checks that the file describes this candidate and the serving version,
    that no figure is worse, and that at least one figure is better.
    """

    model: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    against_version: int = Field(ge=1)
    test_split: str = Field(min_length=1, max_length=400)
    figures: dict[str, Figure] = Field(min_length=1, max_length=100)

    @classmethod
    def read(cls, data: bytes, model: str, sha256: str) -> Evaluation:
        """Parse the file. Raises InvalidInput if it is malformed, CandidateRefused if it is for another ONNX file."""
        if len(data) > MAX_EVALUATION_BYTES:
            raise InvalidInput(EVALUATION_FIELD, f"{len(data)} bytes; allowed are at most {MAX_EVALUATION_BYTES}")
        try:
            evaluation = cls.model_validate(json.loads(data))
        except ValidationError as error:
            first = error.errors()[0]
            location = ".".join(str(key) for key in first["loc"]) or "the file"
            raise InvalidInput(EVALUATION_FIELD, f"{location}: {first['msg']}") from None
        except ValueError:
            raise InvalidInput(EVALUATION_FIELD, "the file is not valid JSON") from None
        if evaluation.model != model:
            raise CandidateRefused(f"the evaluation is for model {evaluation.model[:60]!r}, not for {model!r}")
        if evaluation.sha256 != sha256:
            hashes = f"the SHA-256 is {sha256}, the evaluation has {evaluation.sha256}"
            raise CandidateRefused(f"the evaluation is for another ONNX file: {hashes}")
        return evaluation

    def objection(self, serving_version: int) -> str:
        """Return why the evaluation does not show that the candidate is better, or an empty string if it does."""
        if self.against_version != serving_version:
            return f"the evaluation is against version {self.against_version}, but version {serving_version} serves"
        worse = {name: figure for name, figure in self.figures.items() if figure.gain < 0}
        if worse:
            listed = (f"{name} {figure.candidate:g} (baseline {figure.baseline:g})" for name, figure in worse.items())
            return f"the evaluation has worse figures: {', '.join(listed)}"
        is_better = any(figure.gain > 0 for figure in self.figures.values())
        return "" if is_better else "the evaluation has no better figure"


@dataclass(frozen=True)
class Comparison:
    """A loaded candidate, and the serving version that it is compared with, on the serving Triton."""

    models: TritonModels
    loaded: LoadedCandidate
    serving_version: str
    signature: Signature

    @property
    def model(self) -> str:
        """The name of the model."""
        return self.loaded.candidate.model

    def infer_candidate(self, inputs: Tensors) -> InferenceResult:
        """Run the candidate on one image. Raises CandidateRefused if inference fails or the outputs are invalid."""
        result = self.loaded.infer(inputs)
        check_outputs(result.outputs, self.signature, inputs)
        return result

    def infer_serving(self, inputs: Tensors) -> InferenceResult:
        """Run the serving version."""
        name = self.models.serving.triton_name(self.model, self.serving_version)
        return self.models.triton.infer(name, self.serving_version, inputs, self.models.timeout_s)


def check_candidate(
    comparison: Comparison, options: DeployOptions, evaluation: Evaluation | None, progress: Progress
) -> CandidateReport:
    """Compare the candidate on golden inputs and, if requested, live requests. Raises CandidateRefused if it fails."""
    uses_shadow = options.shadow_share > 0
    golden_end = GOLDEN_END if uses_shadow else 1.0
    serving_version = int(comparison.serving_version)
    latencies = warm_up(comparison, subrange(progress, 0.0, 0.5 * golden_end))
    differences = compare_on_golden_inputs(comparison, subrange(progress, 0.5 * golden_end, golden_end))
    verdict = decide_verdict(differences, serving_version, options, evaluation)
    report = CandidateReport(serving_version, verdict, differences, latencies)
    if not uses_shadow:
        return report
    shadow = compare_on_live_requests(comparison, options, subrange(progress, golden_end, 1.0))
    if verdict is Verdict.AGREES:  # the other verdicts allow a difference
        verdict = decide_verdict(shadow.differences, serving_version, options, evaluation)
    return replace(report, verdict=verdict, shadow=shadow)


def warm_up(comparison: Comparison, progress: Progress) -> tuple[Latency, ...]:
    """Run the candidate at every size that photos are padded to, and time both versions with alternating requests.

    The model of a role runs only at the size of its golden inputs.
    """
    latencies = []
    versions = (comparison.infer_candidate, comparison.infer_serving)
    model = comparison.model
    timed = {ROLE_MODEL_SIDE: 1} if model in GOLDEN_INPUTS else TIMED_REQUESTS
    for index, (side, count) in enumerate(timed.items()):
        inputs = golden_input(model, PHOTOS[index % len(PHOTOS)], side)
        height, width = inputs["image"].shape[2:]
        progress(index / len(timed), f"warming up at {width} × {height}")
        comparison.infer_candidate(inputs)
        seconds = [[infer(inputs).seconds for infer in versions] for _ in range(count)]
        candidate_ms, serving_ms = 1000 * np.median(seconds, axis=0)
        latencies.append(Latency(max(height, width), float(candidate_ms), float(serving_ms)))
    return tuple(latencies)


def compare_on_golden_inputs(comparison: Comparison, progress: Progress) -> dict[str, float]:
    """Return the mean difference of every output over the golden inputs."""
    differences: dict[str, list[float]] = defaultdict(list)
    model = comparison.model
    sides = (ROLE_MODEL_SIDE,) if model in GOLDEN_INPUTS else GOLDEN_SIDES
    golden = [(photo, side) for side in sides for photo in PHOTOS]
    for index, (photo, side) in enumerate(golden):
        name, inputs = f"{photo.stem} at {side}", golden_input(model, photo, side)
        progress(index / len(golden), f"golden input {name}")
        try:
            candidate = comparison.infer_candidate(inputs).outputs
        except CandidateRefused as error:
            raise CandidateRefused(f"on the golden input {name}: {error.message}", **error.facts) from None
        serving = comparison.infer_serving(inputs).outputs
        for output, values in candidate.items():
            differences[output].append(difference(output, values, serving[output]))
    return {output: float(np.mean(values)) for output, values in differences.items()}


def golden_input(model: str, photo: Path, side: int) -> Tensors:
    """Return the inputs of a model for a photo whose longer side is ``side`` pixels.

    The input of Heartwood's own models is the photo, padded to a square: [1, 3, side, side] float32, sRGB in [0, 1].
    """
    small = shrink(read_photo(photo.read_bytes()), side)
    make = GOLDEN_INPUTS.get(model)
    return make(small) if make else {"image": to_model_input(pad_to_square(small, side))}


def decide_verdict(
    differences: dict[str, float], serving_version: int, options: DeployOptions, evaluation: Evaluation | None
) -> Verdict:
    """Return why the candidate may replace the serving version, or raise CandidateRefused.

    A candidate whose outputs differ needs an evaluation with better figures, or the operator's acceptance.
    """
    exceeding = {name: value for name, value in differences.items() if value > MAX_DIFFERENCE}
    if not exceeding:
        return Verdict.AGREES
    objection = "there is no evaluation" if evaluation is None else evaluation.objection(serving_version)
    if not objection:
        return Verdict.MEASURED_BETTER
    if options.accept_difference:
        return Verdict.DIFFERENCE_ACCEPTED
    listed = ", ".join(f"{name} by {value:.1%}" for name, value in exceeding.items())
    rule = f"{listed} of the spread; at most {MAX_DIFFERENCE:.0%} is allowed"
    remedy = "provide an evaluation.json with better figures, or accept the difference (--accept-difference)"
    problem = f"the outputs differ from version {serving_version} ({rule}), and {objection}"
    raise CandidateRefused(f"{problem}; if the difference is intended, {remedy}")


def compare_on_live_requests(comparison: Comparison, options: DeployOptions, progress: Progress) -> ShadowReport:
    """Also send live requests to the candidate. Raises CandidateRefused if an output is invalid or too few arrive."""
    deadline = time.monotonic() + options.shadow_timeout_s
    required = options.shadow_requests
    model = comparison.model
    with ShadowTraffic(comparison.infer_candidate, share=options.shadow_share, required=required) as shadow:
        comparison.models.observers[model] = shadow.observe
        try:
            while shadow.count < required:
                progress(shadow.count / required, f"shadow: {shadow.count} of {required} live requests")
                if shadow.failure is not None:
                    raise CandidateRefused(f"on a live request: {shadow.failure.message}", **shadow.failure.facts)
                if time.monotonic() > deadline:
                    arrived = f"only {shadow.count} of {required} live requests arrived"
                    remedy = "reduce the number of requests, or increase the share or the timeout"
                    raise CandidateRefused(f"{arrived} in {options.shadow_timeout_s:.0f} s; {remedy}")
                time.sleep(SHADOW_POLL_S)
        finally:
            del comparison.models.observers[model]
        return shadow.report()
