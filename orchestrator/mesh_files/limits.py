"""What a 3D file from outside may hold, and the checks of geometry that all formats share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 200 << 20
"""As large as product scans get; what is larger is no file for a shop."""
MAX_TRIANGLES = 5_000_000
"""Blender needs about 1 KB of memory for one: 5 GB, which fits beside the rest of the service."""
MAX_VERTICES = 3 * MAX_TRIANGLES
"""No model that shares no vertex at all has more."""
MAX_UNPACKED_BYTES = 500 << 20
"""All of an archive or of compressed parts together, unpacked."""
MAX_COORDINATE = 1e9
"""Its square and the sum of three of them are still exact enough in float32; a piece in micrometres is far below."""
MAX_NAME = 200

Vertices = NDArray[Any]  # [V, 3]
Corners = NDArray[Any]  # [T, 3] indices of vertices
CHUNK = 1 << 18


class Refused(Exception):
    """The file can't be taken; the message is one sentence for its sender. ``check_model`` makes it InvalidInput."""


def shown(value: object) -> str:
    """A value from the file as it may stand in a message: short, on one line, without control characters."""
    text = ascii(value) if not isinstance(value, str) else "'" + printable(value[:80]) + "'"
    return text if len(text) <= 90 else text[:87] + "..."


def printable(text: str) -> str:
    """The text without control characters and broken surrogates, at most MAX_NAME long."""
    return "".join(one if one.isprintable() else "?" for one in text[:MAX_NAME])


def check_triangles(count: int) -> None:
    """Refuse more triangles than may be read; called before any of them is."""
    if count > MAX_TRIANGLES:
        raise Refused(f"{count} triangles are too many; at most {MAX_TRIANGLES} are allowed: simplify the model")


def check_vertices(vertices: Vertices, where: str) -> None:
    """Refuse coordinates that no point in space has.

    Args:
        vertices: [V, 3] of any number type.
        where: what has them, for the message.
    """
    for start in range(0, len(vertices), CHUNK):
        with np.errstate(invalid="ignore"):  # a signalling NaN is what we look for
            part = np.asarray(vertices[start : start + CHUNK], np.float64)
        wrong = ~(np.abs(part) <= MAX_COORDINATE).all(1)  # true for NaN as well
        if wrong.any():
            first = int(np.argmax(wrong))
            place = ", ".join(f"{one:g}" for one in part[first])
            raise Refused(
                f"vertex {start + first} of {where} is ({place}); each must be a number within ±{MAX_COORDINATE:g}"
            )


def check_corners(corners: NDArray[Any], count: int, where: str) -> None:
    """Refuse indices, of any shape, that name none of ``count`` vertices."""
    if not corners.size:
        return
    low, high = int(corners.min()), int(corners.max())
    if low < 0 or high >= count:
        raise Refused(f"an index of {where} is {low if low < 0 else high}; allowed are 0 to {count - 1}")


def has_area(vertices: Vertices, corners: Corners) -> bool:
    """Whether at least one triangle is more than a point or a line. The indices must be in range."""
    for start in range(0, len(corners), CHUNK):
        part = np.asarray(vertices[corners[start : start + CHUNK]], np.float64)
        if np.cross(part[:, 1] - part[:, 0], part[:, 2] - part[:, 0]).any():
            return True
    return False


def check_extent(vertices: Vertices) -> None:
    """Refuse points that all lie in one place or on one axis."""
    sides = vertices.max(0) - vertices.min(0) if len(vertices) else np.zeros(3)
    if np.count_nonzero(sides) < 2:
        raise flat()


def flat() -> Refused:
    """What is said of geometry without a surface."""
    return Refused("no triangle has an area: all vertices lie in one point or on one line")


def empty(what: str) -> Refused:
    """What is said of a file that shows nothing."""
    return Refused(f"the scene is empty: {what}; a model needs at least one triangle")
