"""Searches examples of a Hypothesis strategy for one that breaks a rule, and makes it small."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.errors import Flaky

Example = TypeVar("Example")


def smallest_problem(
    examples: st.SearchStrategy[Example], problem: Callable[[Example], str], count: int, seed: str
) -> tuple[Example, str] | None:
    """Return the smallest of ``count`` examples that has a problem, and the problem. None if no example has one.

    Args:
        problem: describes the rule that an example breaks; empty if it breaks none.
        seed: the same seed gives the same examples.
    """
    found: list[tuple[Example, str]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        report_multiple_bugs=False,
    )
    @hypothesis.given(examples)
    def check(example: Example) -> None:
        if text := problem(example):
            found.append((example, text))
            raise AssertionError(text)

    try:
        check()
    except (AssertionError, Flaky):  # Flaky: a second call had another result, because the state had changed
        return found[-1]
    return None
