"""Hypothesis strategies for serialized protobuf messages: valid ones with extreme values, damaged ones, and noise."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

TEXTS = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\u202e",
        "é" * 70,
        "a" * 129,
        "a" * 5000,
        "%s%n",
        "' OR 1=1 --",
        "{}",
        "🪑",
        "\x7f",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "%2e%2e",
        "00000000-0000-0000-0000-000000000000",
        "-1",
        "1e999",
        "nan",
        "null",
    ),
    *('"', 'a"b', "a'b", "\\", "$.a[0]", "[", "]", "0", "*"),
    *("walnut", "#5A3B2E", "#5a3b2", "#GGGGGG", "segmentation", "leg", "leg-1", "wood", "foreground", "gold"),
    *("https://example.com/hook", "http://127.0.0.1/", "https://[::1]/", "https://[", "https://a:99999/", "https://é/"),
)
"""Texts that are valid in some field, and texts that programs often handle wrongly."""
INTEGERS = (0, 1, 2, 3, 5, 12, 36, 63, 64, 127, 512, 1000, 1001, 1920, 4096, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
FLOATS = (
    *(0.0, -0.0, 0.5, 1.0, -1.0, 0.1, 10.0, 60.0, 640.0, 1e9, 1e38, -1e38, 5e-324, 1e-40, 1e308, 3.4028234663852886e38),
    *(float("nan"), float("inf"), float("-inf")),
)
BOUNDS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
MAX_REPEATED = 4
MAX_DEPTH = 5


def requests(descriptor: Descriptor, words: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Serialized messages of a type, of which about a quarter is damaged.

    Args:
        words: further texts for its fields, such as ids that exist.
    """
    valid = _messages(descriptor, tuple(words)).map(lambda message: message.SerializeToString())
    unknown_field = st.builds(
        lambda number, value: _varint(number << 3) + _varint(value), st.integers(1, 2**29), _UINT64
    )
    extended = st.builds(lambda data, extra: data + extra, valid, unknown_field)
    cut = st.builds(lambda data, kept: data[: int(kept * len(data))], valid, st.floats(0, 1))
    flipped = st.builds(_with_byte, valid, st.floats(0, 1, exclude_max=True), st.integers(0, 255))
    return st.one_of(valid, valid, valid, valid, valid, valid, extended, cut, flipped, st.binary(max_size=40))


@cache
def _messages(descriptor: Descriptor, words: tuple[str, ...], depth: int = 0) -> st.SearchStrategy[Message]:
    kind = GetMessageClass(descriptor)
    if descriptor.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        return st.builds(kind, seconds=st.one_of(st.sampled_from(_SECONDS), _INT64), nanos=_INT32)
    fields = {field.name: _values(field, words, depth) for field in descriptor.fields}
    if not fields or depth > MAX_DEPTH:
        return st.just(kind())
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: _message(descriptor, values))


def _message(descriptor: Descriptor, values: dict[str, Any]) -> Message:
    """Create a message. Of the fields of a oneof, the last one remains."""
    message = GetMessageClass(descriptor)()
    for name, value in values.items():
        field = descriptor.fields_by_name[name]
        target = getattr(message, name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is None:
                target.update(value)
        elif field.is_repeated:
            target.extend(value)
        elif field.message_type:
            target.CopyFrom(value)
            target.SetInParent()
        else:
            setattr(message, name, value)
    return message


def _values(field: FieldDescriptor, words: tuple[str, ...], depth: int) -> st.SearchStrategy[Any]:
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = (_value(field.message_type.fields_by_name[name], words, depth) for name in ("key", "value"))
        return st.dictionaries(key, value, max_size=MAX_REPEATED)
    value = _value(field, words, depth)
    return st.lists(value, max_size=MAX_REPEATED) if field.is_repeated else value


def _value(field: FieldDescriptor, words: tuple[str, ...], depth: int) -> st.SearchStrategy[Any]:
    if field.message_type:
        return _messages(field.message_type, words, depth + 1)
    if field.enum_type:
        return _enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_STRING:
        own = page_tokens() if field.name == "page_token" else st.sampled_from(words or ("",))
        return st.one_of(own, own, st.sampled_from(TEXTS), st.text(max_size=20))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=64)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        width = 32 if field.type == FieldDescriptor.TYPE_FLOAT else 64
        return st.one_of(st.sampled_from(FLOATS), st.floats(width=width), st.floats(0, 1, width=width))
    low, high = BOUNDS[field.type]
    edges = [value for edge in INTEGERS for value in (edge, -edge) if low <= value <= high]
    return st.one_of(st.sampled_from(edges), st.integers(low, high))


def _enum(descriptor: EnumDescriptor) -> st.SearchStrategy[int]:
    known = [value.number for value in descriptor.values]
    return st.one_of(st.sampled_from(known), st.sampled_from(known), st.sampled_from((-1, 99, 2**31 - 1, -(2**31))))


@cache
def page_tokens() -> st.SearchStrategy[str]:
    """Tokens as the service encodes them, with contents that it did not encode."""
    times = st.one_of(
        st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()),
        st.sampled_from(("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "1e10", "now")),
        st.integers(-(10**13), 10**13),
    )
    part = st.one_of(times, st.text(max_size=8), st.sampled_from(("\0", "a" * 300)), st.none(), st.booleans())
    content = st.one_of(st.tuples(times, part), st.lists(part, max_size=3), part)
    encoded = content.map(lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode())
    surrogate = st.just(base64.urlsafe_b64encode(rb'["2026-01-01T00:00:00Z", "\ud800"]').decode())
    return st.one_of(encoded, encoded, encoded.map(lambda token: token[:-2]), surrogate)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _with_byte(data: bytes, place: float, value: int) -> bytes:
    changed = bytearray(data)
    changed[int(place * len(data)) : int(place * len(data)) + 1] = bytes([value])
    return bytes(changed)


_INT32 = st.integers(-(2**31), 2**31 - 1)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_UINT64 = st.integers(0, 2**64 - 1)
_SECONDS = (0, 1, 3600, -1, 10**9, 4_102_444_800, 253_402_300_799, 253_402_300_800, -62_135_596_800, -62_135_596_801)
"""The last ones are the years 2100, 9999 and 1, and the seconds after and before them."""
