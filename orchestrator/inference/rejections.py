"""Decides whether a model that rejected an input is at fault, or only disturbed for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from orchestrator.errors import ModelFailed, ModelUnavailable

Result = TypeVar("Result")

REPETITION_DELAYS_S = (0.2, 1.0)
"""Delays before a rejected request is sent again. Under load or after a crash of a backend, Triton rejects requests for
about a second."""


def repeat_rejected(
    model: str, first: Callable[[], Result], again: Callable[[], Result], probe: Callable[[], object]
) -> Result:
    """Return the result of a request, which is repeated if the model rejects it.

    Args:
        model: its name, for the error.
        first: waits for the result of the request.
        again: sends the same request again and waits for its result.
        probe: sends a valid request with another input and waits for its result.

    Raises:
        ModelFailed: the model rejected the input every time, but answered the probe.
        ModelUnavailable: the model rejected the probe too.
    """
    try:
        return first()
    except ModelFailed as error:
        rejection = error
    for delay in REPETITION_DELAYS_S:
        time.sleep(delay)
        try:
            return again()
        except ModelFailed as error:
            rejection = error
    try:
        probe()
    except ModelFailed:
        message = f"model {model!r} rejects every input at the moment; try again later"
        raise ModelUnavailable(message, model=model) from rejection
    raise rejection
