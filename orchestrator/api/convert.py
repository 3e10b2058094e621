"""Converts dataclasses to protos and back, by the names of fields and enum members.

A dataclass field and a proto field correspond if they have the same name. Further rules:

- If a proto field is not set, the dataclass field has its default, or zero if it has no default. A proto field without
  presence counts as not set if it is zero.
- The enum value ``PREFIX_NAME`` corresponds to the member ``NAME``; ``PREFIX_UNSPECIFIED`` counts as not set.
- A repeated proto field becomes a tuple without duplicates.
- An ``SrgbColor`` is the text ``#RRGGBB``.
- In replies, a ``datetime`` becomes a ``Timestamp``, and an asset id becomes the ``Asset`` of the job, if it exists.
- A message field whose message would be empty is not set.

Callers convert fields that follow other rules and pass them as keyword arguments. A ``Codec`` does this for one stage.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import MISSING, dataclass, fields, is_dataclass
from dataclasses import field as dataclass_field
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeAlias, TypeVar, cast, get_args, get_type_hints

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from orchestrator.domain.assets import Asset
from orchestrator.domain.checks import Violations
from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.errors import InvalidInput
from orchestrator.jobs.job import Job
from orchestrator.jobs.stages import STAGES
from orchestrator.jobs.step import group_id
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2

MAX_ITEMS = 2000
"""Maximum length of a list in a request: ten masks for each of 200 photos. 12,000 entries took 0.2 s to convert."""

Fields: TypeAlias = dict[str, Any]
Proto = TypeVar("Proto", bound=Message)
Value = TypeVar("Value")


def from_proto(message: Message, kind: type[Value], path: str, /, **converted: Any) -> Value:
    """Convert the proto at ``path`` of a request to a dataclass. Raises InvalidInput if an enum or value is invalid."""
    types = _types(cast(Any, kind))
    with Violations() as violations:
        for field, content in message.ListFields():
            if field.name in types and field.name not in converted:
                with violations.collect():
                    converted[field.name] = _read(field, content, types[field.name], f"{path}.{field.name}".lstrip("."))
        unset = {name: getattr(message, name) for name in _required(cast(Any, kind)) if name not in converted}
        return kind(**converted, **unset)


def to_proto(value: Any, kind: type[Proto], job: Job | None = None, /, **converted: Any) -> Proto:
    """Convert a dataclass to the proto ``kind``. Asset ids become the assets of ``job``; deleted assets are omitted."""
    for field in kind.DESCRIPTOR.fields:
        content = getattr(value, field.name, None)
        if field.name not in converted and content is not None:
            converted[field.name] = _write(field, content, job)
    return kind(**converted)


def write_asset(asset: Asset) -> asset_pb2.Asset:
    """The proto of an asset."""
    return to_proto(asset, asset_pb2.Asset, kind=write_enum(asset.kind.upper(), asset_pb2.AssetKind.DESCRIPTOR))


def read_enum(number: int, proto: EnumDescriptor, kind: type[Enum], path: str) -> Any:
    """The member of ``kind`` for an enum number. Raises InvalidInput if the number is unspecified or unknown."""
    return kind[enum_name(number, proto, path, kind.__members__)]


def enum_name(number: int, proto: EnumDescriptor, path: str, members: Container[str] | None = None) -> str:
    """The name of an enum number. Raises InvalidInput if it is unknown, or not in ``members`` if they are given."""
    names = {value.number: value.name.removeprefix(_prefix(proto)) for value in proto.values if value.number}
    allowed = {number: name for number, name in names.items() if members is None or name in members}
    if number not in allowed:
        rule = ", ".join(f"{number} ({name})" for number, name in allowed.items())
        raise InvalidInput(path, f"{number} is not allowed; allowed are {rule}")
    return allowed[number]


def write_enum(name: str, proto: EnumDescriptor) -> Any:
    """The number of the enum value ``name``; 0 (unspecified) if the proto has no such value."""
    value = proto.values_by_name.get(_prefix(proto) + name)
    return value.number if value else 0


@dataclass(frozen=True)
class Codec:
    """Converts the options and the result of one stage. The functions convert the fields that need another rule."""

    name: str  # of the stage
    group_field: str  # the field of the result that contains the job's group id
    options_from_proto: Callable[[Any], Fields] = lambda _: {}
    options_to_proto: Callable[[Any], Fields] = lambda _: {}
    result_to_proto: Callable[[Any, Job], Fields] = lambda _, __: {}
    placeholders: Fields = dataclass_field(default_factory=dict)
    """Values that replace invalid ones of ``options_from_proto``, so that the other fields are checked, too."""

    def read_options(self, message: Message) -> Any:
        """Convert a proto to options. Raises InvalidInput, whose field path starts with the name of the stage."""
        converted = dict(self.placeholders)
        with Violations() as violations:
            with violations.collect():
                converted = self.options_from_proto(message)
            return from_proto(message, STAGES[self.name].options, self.name, **converted)

    def write_options(self, options: Any) -> Any:
        message_type = type(getattr(job_pb2.JobSpec(), self.name))
        return to_proto(options, message_type, **self.options_to_proto(options))

    def write_result(self, result: Any, job: Job) -> Any:
        fields = {self.group_field: group_id(job.record.id), **self.result_to_proto(result, job)}
        message_type = type(getattr(job_pb2.Job(), self.name))
        return to_proto(result, message_type, job, **fields)


def _read(field: Any, content: Any, annotation: Any, path: str) -> Any:
    if field.is_repeated:
        if len(content) > MAX_ITEMS:
            raise InvalidInput(path, f"it has {len(content)} entries; at most {MAX_ITEMS} are allowed")
        return tuple(dict.fromkeys(_read_value(field, item, get_args(annotation)[0], path) for item in content))
    return _read_value(field, content, annotation, path)


def _read_value(field: Any, content: Any, annotation: Any, path: str) -> Any:
    if field.enum_type is not None:
        return read_enum(content, field.enum_type, annotation, path)
    if annotation is SrgbColor:
        return SrgbColor.parse(content, path)
    if is_dataclass(annotation):
        return from_proto(content, cast(type[Any], annotation), path)
    return content


def _write(field: Any, content: Any, job: Job | None) -> Any:
    if field.is_repeated and not isinstance(content, dict):
        values = (_write_value(field, item, job) for item in content)
        return [value for value in values if value is not None]
    value = _write_value(field, content, job)
    return None if isinstance(value, Message) and value.ByteSize() == 0 else value


def _write_value(field: Any, content: Any, job: Job | None) -> Any:
    if field.enum_type is not None:
        return write_enum(content.name, field.enum_type)
    if job is not None and field.message_type is asset_pb2.Asset.DESCRIPTOR:
        asset = job.assets.get(content)
        return write_asset(asset) if asset else None
    if isinstance(content, SrgbColor):
        return content.hex
    if is_dataclass(content):
        return to_proto(content, GetMessageClass(field.message_type), job)
    return content


def _prefix(proto: EnumDescriptor) -> str:
    return proto.values_by_number[0].name.removesuffix("UNSPECIFIED")


@cache
def _types(kind: Any) -> dict[str, Any]:
    """The type of each field of a dataclass: ``T`` if it is ``T | None``."""
    return {
        name: get_args(hint)[0] if isinstance(hint, UnionType) and get_args(hint)[1:] == (NoneType,) else hint
        for name, hint in get_type_hints(kind).items()
    }


@cache
def _required(kind: Any) -> list[str]:
    """The fields of a dataclass that have no default."""
    return [field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING]
