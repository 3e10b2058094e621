"""Reads single request fields."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2

DEFAULT_PAGE = 100
MAX_PAGE = 1000
DEFAULT_LIFETIME = timedelta(hours=1)
MIN_LIFETIME = timedelta(seconds=1)
MAX_LIFETIME = timedelta(days=7)
ASSET_KINDS: dict[int, str] = {
    number: name.removeprefix("ASSET_KIND_").lower() for name, number in asset_pb2.AssetKind.items() if number
}


def required(field: str, text: str) -> str:
    """The text, which must not be empty."""
    if not text:
        raise InvalidInput(field, "it is empty; a value is required")
    return text


def asset_kind(field: str, number: int, default: str) -> str:
    """The asset kind of a proto number; ``default`` if it is unspecified."""
    if number == asset_pb2.ASSET_KIND_UNSPECIFIED:
        return default
    if number not in ASSET_KINDS:
        allowed = ", ".join(f"{number} ({kind.upper()})" for number, kind in ASSET_KINDS.items())
        raise InvalidInput(field, f"{number} is not allowed; allowed are {allowed}")
    return ASSET_KINDS[number]


def page_size(number: int) -> int:
    """The number of rows on a page."""
    if not 0 <= number <= MAX_PAGE:
        allowed = f"it must be from 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}"
        raise InvalidInput("page_size", f"{number} is not allowed; {allowed}")
    return number or DEFAULT_PAGE


def write_page_token(values: list[str]) -> str:
    """An opaque token for the page that starts after ``values``."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def read_page_token(token: str, count: int) -> list[str]:
    """The ``count`` values of a page token; none if the token is empty."""
    if not token:
        return []
    try:
        values = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError):
        values = None
    if not isinstance(values, list) or len(values) != count or not all(isinstance(value, str) for value in values):
        raise invalid_page_token()
    return values


def invalid_page_token() -> InvalidInput:
    return InvalidInput("page_token", "it was not returned by this service; leave it empty for the first page")


def lifetime(duration: Duration | None) -> timedelta:
    """The lifetime of a signed URL."""
    if duration is None:
        return DEFAULT_LIFETIME
    value = timedelta(seconds=min(max(duration.seconds, -1), 10**9))
    if not MIN_LIFETIME <= value <= MAX_LIFETIME:
        raise InvalidInput("lifetime", f"{duration.seconds} s is not allowed; it must be from 1 s to 7 days")
    return value


def read_time(field: str, stamp: Timestamp) -> datetime:
    """A time in UTC."""
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        allowed = "it must be seconds since 1970, before the year 10000"
        raise InvalidInput(field, f"{stamp.seconds} s is not a valid time; {allowed}") from None
