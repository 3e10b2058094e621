"""Checks of values from callers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import InvalidInput

MAX_VIOLATIONS = 100
"""Number of invalid values at which a block ends. A request of 240 kB has room for 30,000, and few such requests at a
time delayed the calls of all tenants by a second."""


class Violations:
    """Collects the InvalidInput errors of a block, so that a caller learns of all invalid values at once.

        with Violations() as violations:
            violations.check_range("stain.strength", strength, 0.0, 1.0)
            with violations.collect():
                check_the_mask()

    The block ends with one InvalidInput that lists all errors, if there are any. It ends early at ``MAX_VIOLATIONS``.
    """

    def __init__(self) -> None:
        self._errors: list[InvalidInput] = []
        self._count = 0

    def __enter__(self) -> Violations:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, InvalidInput) and error not in self._errors:
            self._errors.append(error)
        if self._errors and (error is None or isinstance(error, InvalidInput)):
            violations = dict.fromkeys(violation for error in self._errors for violation in error.violations)
            raise InvalidInput.listing(list(violations), self._errors[0].facts) from None

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Collect the InvalidInput that the block raises."""
        try:
            yield
        except InvalidInput as error:
            self._add(error)

    def check_range(self, field: str, value: float, minimum: float, maximum: float) -> None:
        """Collect an error unless the value of a field of the API, such as ``stain.strength``, is in the range."""
        is_allowed = math.isfinite(value) and minimum <= value <= maximum
        self.check(is_allowed, field, f"{value} is not allowed; it must be a number from {minimum:g} to {maximum:g}")

    def check(self, is_allowed: bool, field: str, message: str) -> None:
        """Collect an error unless a value is allowed."""
        if not is_allowed:
            self._add(InvalidInput(field, message))

    def _add(self, error: InvalidInput) -> None:
        self._errors.append(error)
        self._count += len(error.violations)
        if self._count >= MAX_VIOLATIONS:
            raise error
