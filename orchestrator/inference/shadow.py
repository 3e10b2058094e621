"""Sends a share of the live requests also to a candidate, beside the road: its answers are only looked at."""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable

import numpy as np

from orchestrator.domain.images import FloatMap
from orchestrator.domain.model_versions import ShadowReport
from orchestrator.errors import HeartwoodError
from orchestrator.inference.output_checks import difference
from orchestrator.inference.versions import Answer

WAITING = 2
"""Requests that may wait for the candidate; each holds its picture and the answer to it. Others are let go."""
POLL_S = 0.2


class Shadow:
    """Watches one model's live requests until ``wanted`` answers of the candidate were looked at.

    ``ask`` gives the candidate's answer to a picture, and raises what is wrong with it.
    """

    def __init__(self, ask: Callable[[FloatMap], Answer], *, share: float, wanted: int) -> None:
        self._ask = ask
        self._share = share
        self._wanted = wanted
        self._waiting: queue.Queue[tuple[FloatMap, Answer]] = queue.Queue(WAITING)
        self._random = random.Random()  # noqa: S311 - which requests are looked at is no secret
        self._stop = threading.Event()
        self._seen: list[tuple[dict[str, float], float, float]] = []
        self._failure: HeartwoodError | None = None
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)

    def __enter__(self) -> Shadow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def offer(self, image: FloatMap, answer: Answer) -> None:
        """Take the request or leave it, at once."""
        if self._random.random() >= self._share or self._stop.is_set():
            return
        try:
            self._waiting.put_nowait((image, answer))
        except queue.Full:
            return

    @property
    def count(self) -> int:
        """How many answers were looked at."""
        return len(self._seen)

    @property
    def failure(self) -> HeartwoodError | None:
        """What was wrong with the candidate's answer, or None so far."""
        return self._failure

    def report(self) -> ShadowReport:
        """What was seen: mean differences, median milliseconds."""
        names = self._seen[0][0]
        return ShadowReport(
            requests=len(self._seen),
            differences={name: float(np.mean([one[0][name] for one in self._seen])) for name in names},
            candidate_ms=float(np.median([one[1] for one in self._seen])),
            serving_ms=float(np.median([one[2] for one in self._seen])),
        )

    def _work(self) -> None:
        while not self._stop.is_set() and self._failure is None and len(self._seen) < self._wanted:
            try:
                image, live = self._waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            try:
                mine = self._ask(image)
            except HeartwoodError as error:
                self._failure = error
                return
            differences = {name: difference(name, mine.outputs[name], live.outputs[name]) for name in live.outputs}
            self._seen.append((differences, 1000 * mine.seconds, 1000 * live.seconds))
