"""Enum tables between protos and the domain, derived from the names of the members."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar

from orchestrator.errors import InvalidInput

Value = TypeVar("Value", bound=Enum)


class EnumCodec(Generic[Value]):
    """Maps ``PREFIX_NAME`` of a proto enum to the member ``NAME`` of a Python enum.

    ``PREFIX_UNSPECIFIED`` maps to ``default``. A proto value without a Python member is not allowed; a Python member
    without a proto value is written as unspecified.
    """

    def __init__(self, proto: Any, prefix: str, kind: type[Value], default: Value | None = None) -> None:
        names = {name.removeprefix(f"{prefix}_"): number for name, number in proto.items()}
        self._values = {names[member.name]: member for member in kind if member.name in names}
        self._numbers = {member: number for number, member in self._values.items()}
        if default is not None:
            self._values[names["UNSPECIFIED"]] = default
        self._allowed = ", ".join(f"{number} ({name})" for name, number in names.items() if number in self._values)

    def read(self, field: str, number: int) -> Value:
        """The member of a proto number.

        Raises:
            InvalidInput: the number has no member.
        """
        if number not in self._values:
            raise InvalidInput(field, f"{number} is not allowed; allowed are {self._allowed}")
        return self._values[number]

    def write(self, value: Value) -> Any:
        """The proto number of a member."""
        return self._numbers.get(value, 0)
