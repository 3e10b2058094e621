"""Converts typed options and results to JSON documents and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from orchestrator.domain.jobs import JsonObject

Value = TypeVar("Value")

type_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
"""Returns the pydantic adapter of a type. Adapters are cached because creating one takes milliseconds."""


def to_json(value: object, kind: object = None) -> JsonObject:
    """The JSON document of a dataclass. ``kind`` is its type, which is required if the dataclass is generic."""
    return cast(JsonObject, type_adapter(kind or type(value)).dump_python(value, mode="json"))


def from_json(kind: type[Value], document: object) -> Value:
    """Read a document that ``to_json`` wrote."""
    return cast(Value, type_adapter(kind).validate_python(document))


def copy_fields(kind: type[Value], source: object, **values: Any) -> Value:
    """Create a ``kind`` from ``values``. Its other fields come from the attributes of ``source`` of the same names."""
    names = {field.name for field in fields(kind)} - values.keys()  # type: ignore[arg-type]
    return kind(**{name: getattr(source, name) for name in names if hasattr(source, name)}, **values)
