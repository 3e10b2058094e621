"""Converts typed options and results to JSON documents and back."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from orchestrator.domain.jobs import JsonObject

Value = TypeVar("Value")


def to_json(value: object) -> JsonObject:
    """The JSON document of a dataclass."""
    document: JsonObject = type_adapter(cast(Hashable, type(value))).dump_python(value, mode="json")
    return document


def from_json(kind: type[Value], document: JsonObject) -> Value:
    """Read a document that ``to_json`` wrote."""
    value: Value = type_adapter(cast(Hashable, kind)).validate_python(document)
    return value


@cache
def type_adapter(kind: Hashable) -> TypeAdapter[Any]:
    """The adapter of a type. Building one takes milliseconds."""
    return TypeAdapter(cast(type[Any], kind))
