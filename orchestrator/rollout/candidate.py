"""The checks that a candidate goes through while it is loaded beside the version that serves."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.domain.images import FloatMap
from orchestrator.domain.model_versions import (
    CandidateReport,
    DeployOptions,
    Latency,
    ModelVersion,
    ShadowReport,
    Verdict,
)
from orchestrator.domain.progress import Progress, subrange
from orchestrator.errors import CandidateRefused, ModelFailed
from orchestrator.inference.golden import PHOTOS, golden_input, golden_inputs
from orchestrator.inference.models import TritonModels
from orchestrator.inference.output_checks import TOLERANCE, check_outputs, difference
from orchestrator.inference.shadow import Shadow
from orchestrator.inference.versions import Answer, Signature
from orchestrator.rollout.evaluation import Evaluation

TURNS = {512: 3, 768: 1, 1024: 1}
"""Side → turns of each version, after one that warms the candidate up. So few are for a first look, not a benchmark."""
SHADOW_POLL_S = 0.2


@dataclass(frozen=True)
class Pair:
    """A loaded candidate and the version that it is held against."""

    models: TritonModels
    candidate: ModelVersion
    serving: str
    signature: Signature

    def ask_candidate(self, image: FloatMap) -> Answer:
        """Its answer, which is of the right shape, finite and in range.

        Raises:
            CandidateRefused: it is not, or there is none.
        """
        try:
            answer = self._ask(self.candidate.triton_name, str(self.candidate.version), image)
        except ModelFailed as error:
            raise CandidateRefused(f"it does not answer: {error.message}") from None
        check_outputs(answer.outputs, self.signature, image.shape[-1])
        return answer

    def ask_serving(self, image: FloatMap) -> Answer:
        """The answer of the version that serves."""
        return self._ask(self.models.serving.name(self.candidate.model, self.serving), self.serving, image)

    def _ask(self, name: str, version: str, image: FloatMap) -> Answer:
        return self.models.triton.ask(name, version, image, self.models.timeout_s)


def check_candidate(pair: Pair, options: DeployOptions, evaluation: Evaluation | None, progress: Progress) -> CandidateReport:
    """Warm the candidate up, hold it against the golden inputs, and against live requests where that is asked for.

    Raises:
        CandidateRefused: it failed one of it.
        ModelUnavailable: Triton, or the version that serves, does not answer.
        Canceled: ``progress`` says so.
    """
    shadowed = options.shadow_share > 0
    golden_end = 0.6 if shadowed else 1.0
    latencies = warm_up(pair, subrange(progress, 0.0, 0.5 * golden_end))
    differences = hold_against_golden(pair, subrange(progress, 0.5 * golden_end, golden_end))
    verdict = judge(differences, int(pair.serving), options, evaluation)
    report = CandidateReport(int(pair.serving), verdict, differences, latencies)
    if not shadowed:
        return report
    shadow = hold_against_live(pair, options, subrange(progress, golden_end, 1.0))
    if verdict is Verdict.AGREES:
        judge(shadow.differences, int(pair.serving), options, evaluation)
    return replace(report, shadow=shadow)


def warm_up(pair: Pair, progress: Progress) -> tuple[Latency, ...]:
    """Ask the candidate at every size that photos are brought to, and time it turn by turn with the serving version."""
    found = []
    for place, (side, count) in enumerate(TURNS.items()):
        progress(place / len(TURNS), f"warming up at {side} × {side}")
        image = golden_input(PHOTOS[place % len(PHOTOS)], side)
        pair.ask_candidate(image)
        turns = [(pair.ask_candidate(image).seconds, pair.ask_serving(image).seconds) for _ in range(count)]
        candidate_ms, serving_ms = 1000 * np.median(turns, axis=0)
        found.append(Latency(side, float(candidate_ms), float(serving_ms)))
    return tuple(found)


def hold_against_golden(pair: Pair, progress: Progress) -> dict[str, float]:
    """By output, the mean difference from the serving version over the golden inputs."""
    found: dict[str, list[float]] = defaultdict(list)
    inputs = list(golden_inputs())
    for place, (name, image) in enumerate(inputs):
        progress(place / len(inputs), f"golden input {name}")
        try:
            mine = pair.ask_candidate(image).outputs
        except CandidateRefused as error:
            raise CandidateRefused(f"on the golden input {name}: {error.message}", **error.facts) from None
        theirs = pair.ask_serving(image).outputs
        for output, values in mine.items():
            found[output].append(difference(output, values, theirs[output]))
    return {output: float(np.mean(values)) for output, values in found.items()}


def judge(
    differences: dict[str, float], serving: int, options: DeployOptions, evaluation: Evaluation | None
) -> Verdict:
    """Why the candidate may answer as it does.

    Raises:
        CandidateRefused: it differs, is not measured better, and the operator did not accept it.
    """
    far = {name: value for name, value in differences.items() if value > TOLERANCE}
    if not far:
        return Verdict.AGREES
    against = "no evaluation came with it" if evaluation is None else evaluation.say_no(serving)
    if not against:
        return Verdict.MEASURED_BETTER
    if options.accept_difference:
        return Verdict.DIFFERENCE_ACCEPTED
    told = ", ".join(f"{name} by {value:.1%}" for name, value in far.items())
    raise CandidateRefused(
        f"it answers otherwise than version {serving} ({told} of the spread; {TOLERANCE:.0%} is the same), and "
        f"{against}. If it is meant to differ, give an evaluation.json in which it is better, or accept the difference"
    )


def hold_against_live(pair: Pair, options: DeployOptions, progress: Progress) -> ShadowReport:
    """Send a share of this process's live requests also to the candidate, until enough were answered.

    Raises:
        CandidateRefused: an answer was wrong, or too few requests came.
    """
    end = time.monotonic() + options.shadow_timeout_s
    wanted = options.shadow_requests
    shadow = Shadow(pair.ask_candidate, share=options.shadow_share, wanted=wanted)
    with shadow:
        pair.models.watch(pair.candidate.model, shadow)
        try:
            while shadow.count < wanted:
                progress(shadow.count / wanted, f"shadow: {shadow.count} of {wanted} live requests")
                if shadow.failure is not None:
                    raise CandidateRefused(f"on a live request: {shadow.failure.message}", **shadow.failure.facts)
                if time.monotonic() > end:
                    raise CandidateRefused(
                        f"only {shadow.count} of {wanted} live requests came in {options.shadow_timeout_s:.0f} s; "
                        "ask for fewer, a larger share or more time"
                    )
                time.sleep(SHADOW_POLL_S)
        finally:
            pair.models.watch(pair.candidate.model, None)
        return shadow.report()
