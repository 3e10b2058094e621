"""Read glTF's JSON and its URIs, which anybody may have written."""

from __future__ import annotations

import base64
import binascii
import json
import math
import posixpath
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np

from orchestrator.mesh_files.limits import MAX_BYTES, Refused, shown

MAX_JSON_BYTES = 32 << 20
"""Without its strings, which hold the data of a glTF without files beside it."""
MAX_JSON_VALUES = 2_000_000
"""Counted by commas and opening brackets; Python needs up to 250 bytes for one."""
MAX_JSON_DEPTH = 64
"""glTF needs about 10, extensions and extras included."""
MAX_URI = 1024
STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)  # possessive: linear, whatever comes
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
BREAK = re.compile(r"[\r\n\0]")
"""Programs print names, and we read what programs print line by line."""
DATA_URI = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
STEPS = bytes(1 if one in b"[{" else 255 if one in b"]}" else 0 for one in range(256))  # 255 is -1 as int8

Json = dict[str, Any]


def parsed(text: bytes) -> Json:
    """Return the JSON object in ``text``.

    Raises:
        Refused: it is no UTF-8, no JSON, no object, too large, too deep, or names a key twice.
    """
    bare = STRING.sub(b"", text)
    if len(bare) > MAX_JSON_BYTES:
        raise Refused(f"the JSON has {len(bare)} bytes; at most {MAX_JSON_BYTES} are allowed")
    values = bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if values > MAX_JSON_VALUES:
        raise Refused(f"the JSON has {values} commas and brackets; at most {MAX_JSON_VALUES} are allowed")
    depth = _depth(bare)
    if depth > MAX_JSON_DEPTH:
        raise Refused(f"the JSON is nested {depth} deep; at most {MAX_JSON_DEPTH} levels are allowed")
    try:
        made = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise Refused(f"the JSON is no UTF-8: byte {error.start} is {shown(error.object[error.start])}") from None
    except json.JSONDecodeError as error:
        raise Refused(f"the JSON is broken at character {error.pos}: {error.msg}") from None
    except ValueError:  # an integer of more than 4300 digits
        raise Refused("the JSON has a number of more than 4300 digits") from None
    if not isinstance(made, dict):
        raise Refused(f"the JSON is a {type(made).__name__}; it must be an object")
    return made


def _depth(bare: bytes) -> int:
    steps = np.frombuffer(bare.translate(STEPS), np.int8)
    return int(np.cumsum(steps, dtype=np.int32).max(initial=0))


def _once(pairs: list[tuple[str, Any]]) -> Json:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise Refused(f"the JSON names the key {shown(double)} twice in one object")
    name = made.get("name")
    if isinstance(name, str) and BREAK.search(name):
        raise Refused(f"the name {shown(name)} has a line break, which is not allowed")
    return made


def _no_number(word: str) -> float:
    raise Refused(f"the JSON has {word} for a number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Refused(f"the JSON has the number {shown(text)}, which is too large")
    return number


def decoded_data_uri(uri: str, allowed: Sequence[str], where: str) -> bytes | None:
    """The bytes in a ``data:`` URI, or None where ``uri`` is another.

    Raises:
        Refused: its media type is not allowed, or it is no base64.
    """
    if uri[:5].lower() != "data:":
        return None
    match = DATA_URI.match(uri[:MAX_URI])
    if match is None:
        raise Refused(f"the data: URI of {where} has no comma in its first {MAX_URI} characters")
    kind, options = match[1].strip().lower(), match[2].lower().split(";")
    if kind not in allowed:
        raise Refused(f"the data: URI of {where} is of type {shown(kind)}; allowed are {', '.join(allowed)}")
    if options[-1] != "base64":
        raise Refused(f"the data: URI of {where} is not base64; nothing else is allowed")
    if len(uri) > 2 * MAX_BYTES:
        raise Refused(f"the data: URI of {where} has {len(uri)} characters; at most {2 * MAX_BYTES} are allowed")
    try:
        return base64.b64decode(uri[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"the data: URI of {where} is no valid base64") from None


def entry_of_uri(uri: str, where: str) -> str:
    """The name of the entry beside the .gltf that a relative URI means.

    However often the URI is percent-decoded, it must stay a relative path that leads down: what one program takes for
    a name, another decodes once more.

    Raises:
        Refused: it leads elsewhere.
    """
    reason = ""
    if not uri or len(uri) > MAX_URI:
        reason = f"must have 1 to {MAX_URI} characters"
    form, name = uri, unquote(uri)
    for _ in range(8):
        reason = reason or leads_out(form)
        if (further := unquote(form)) == form:
            break
        form = further
    else:
        reason = reason or "is percent-encoded too many times"
    if reason:
        raise Refused(f"the URI {shown(uri)} of {where} {reason}; allowed are data: URIs and paths inside the archive")
    return posixpath.normpath(name)


def leads_out(path: str) -> str:
    """Why ``path`` may not be followed, or nothing."""
    if any(ord(one) < 32 or ord(one) == 127 for one in path):
        return "has a control character"
    if "\\" in path:
        return "has a backslash"
    if path.startswith("//"):
        return "names a host"
    if path.startswith("/"):
        return "is absolute"
    if SCHEME.match(path):
        return "has a scheme or a drive"
    if ".." in path.split("/"):
        return "leads out with .."
    return ""
