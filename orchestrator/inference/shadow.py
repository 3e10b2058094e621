"""Shadow traffic: also sends a share of the live requests to a candidate, in a thread of its own.

The candidate's outputs are only compared with those of the serving version; callers never receive them.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from orchestrator.domain.model_versions import ShadowReport
from orchestrator.errors import HeartwoodError
from orchestrator.inference.output_checks import difference
from orchestrator.inference.tensors import Tensors
from orchestrator.inference.triton_client import InferenceResult

MAX_QUEUED = 2
"""Maximum number of requests that wait for the candidate; further ones are skipped. A waiting request keeps its inputs
and result in memory. Not tuned."""
POLL_S = 0.2


class ShadowTraffic:
    """Observes a ``share`` (0 to 1) of a model's live requests until the candidate has answered ``required`` of them.

    ``infer`` runs the candidate on the inputs, and raises HeartwoodError if its outputs are invalid. The worker thread
    runs while the context manager is open.
    """

    def __init__(self, infer: Callable[[Tensors], InferenceResult], *, share: float, required: int) -> None:
        self._infer = infer
        self._share = share
        self._required = required
        self._queue: queue.Queue[tuple[Tensors, InferenceResult]] = queue.Queue(MAX_QUEUED)
        self._stop = threading.Event()
        self._comparisons: list[ShadowReport] = []  # one per request
        self.failure: HeartwoodError | None = None  # the error of the candidate that ended the comparison
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)

    def __enter__(self) -> ShadowTraffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def observe(self, inputs: Tensors, result: InferenceResult) -> None:
        """Queue a live request for comparison, or skip it. Returns immediately."""
        if random.random() >= self._share or self._stop.is_set():  # noqa: S311 - needs no cryptographic randomness
            return
        with suppress(queue.Full):
            self._queue.put_nowait((inputs, result))

    @property
    def count(self) -> int:
        """Number of requests compared so far."""
        return len(self._comparisons)

    def report(self) -> ShadowReport:
        """Return the mean differences and the median latencies. At least one request must have been compared."""
        reports = self._comparisons
        values = {name: [report.differences[name] for report in reports] for name in reports[0].differences}
        differences = {name: float(np.mean(each)) for name, each in values.items()}
        candidate_ms, serving_ms = np.median([(report.candidate_ms, report.serving_ms) for report in reports], axis=0)
        return ShadowReport(len(reports), differences, float(candidate_ms), float(serving_ms))

    def _work(self) -> None:
        while not self._stop.is_set() and self.count < self._required:
            try:
                inputs, live = self._queue.get(timeout=POLL_S)
                candidate = self._infer(inputs)
            except queue.Empty:
                continue
            except HeartwoodError as error:
                self.failure = error
                return
            differences = {name: difference(name, candidate.outputs[name], live.outputs[name]) for name in live.outputs}
            report = ShadowReport(1, differences, 1000 * candidate.seconds, 1000 * live.seconds)
            self._comparisons.append(report)
