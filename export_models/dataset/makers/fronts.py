"""Doors and drawer fronts: slab, frame and panel, glass, louvres, cane, reeded.

``x`` and ``z`` are the (low, high) extents of a front. ``face`` is the y coordinate of its outer face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export_models.dataset.makers.handles import Handles
from export_models.dataset.makers.outlines import Floats
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, bar, board, sweep

DOOR_STYLES = {
    "slab": 4, "panel": 4, "raised": 1.5, "glass": 1.2, "muntins": 0.8, "louvre": 1, "cane": 1, "reeded": 0.8,
}  # fmt: skip
Span = tuple[float, float]
"""(low, high) in metres along one axis."""


@dataclass(frozen=True)
class FrontStyle:
    """The design that all doors and drawers of one piece share."""

    role: str  # of doors and drawers
    door_style: str  # one of DOOR_STYLES
    drawer_style: str  # "slab", "panel" or "reeded"
    handles: Handles
    inset: bool  # True: fronts lie between the boards of the carcass; False: in front of them
    gap: float  # metres between neighbouring fronts
    thickness: float
    bevel: float

    @staticmethod
    def random(
        builder: PieceBuilder, doors: dict[str, float] = DOOR_STYLES, roles: tuple[str, ...] = ("wood", "wood2")
    ) -> FrontStyle:
        """Choose a random design.

        Args:
            doors: door styles and their weights.
            roles: possible roles of the fronts. The first is twice as likely as the others.
        """
        door = builder.pick(doors)
        drawer = {"panel": builder.pick(("panel", "slab")), "raised": "panel", "reeded": "reeded"}.get(door, "slab")
        return FrontStyle(
            role=builder.pick({role: 2.0 if role == roles[0] else 1.0 for role in roles}),
            door_style=door,
            drawer_style=drawer,
            handles=Handles(builder),
            inset=builder.chance(0.45),
            gap=builder.uniform(0.002, 0.004),
            thickness=builder.uniform(0.016, 0.022),
            bevel=builder.pick((0.001, 0.002, 0.005)),
        )


def add_drawer_front(
    builder: PieceBuilder,
    x: Span,
    z: Span,
    face: float,
    thickness: float,
    handles: Handles,
    *,
    style: str = "slab",
    role: str = "wood",
    bevel: float = 0.002,
) -> None:
    """Add a drawer front with its handles. ``style``: ``slab``, ``panel`` or ``reeded``."""
    width, height = x[1] - x[0], z[1] - z[0]
    recess = 0.0
    if style == "panel" and min(width, height) > 0.12:
        recess = _add_framed_panel(builder, role, x, z, face, thickness, min(0.045, 0.25 * height), bevel)
    elif style == "reeded":
        _add_reeded_front(builder, "drawer", role, x, z, face, thickness)
    else:
        slab = board((x[0], face, z[0]), (x[1], face + thickness, z[1]), bevel=bevel, grain=(1, 0, 0))
        builder.add("drawer", role, slab)
    handles.add_to_drawer(builder, (x[0] + x[1]) / 2, face + recess, (z[0] + z[1]) / 2, width, height)


def add_door(
    builder: PieceBuilder, fronts: FrontStyle, x: Span, z: Span, face: float, *, hinge: str, style: str | None = None
) -> None:
    """Add a door with its handle, and sometimes visible hinges.

    Args:
        hinge: the side of the hinges, ``left`` or ``right``. The handle is on the other.
        style: one of ``DOOR_STYLES``. Default: the style of ``fronts``.
    """
    style, role, t = style or fronts.door_style, fronts.role, fronts.thickness
    width, height = x[1] - x[0], z[1] - z[0]
    stile = min(0.07, 0.2 * width, 0.2 * height)
    if style == "slab":
        builder.add("door", role, board((x[0], face, z[0]), (x[1], face + t, z[1]), bevel=fronts.bevel))
    elif style == "reeded":
        _add_reeded_front(builder, "door", role, x, z, face, t)
    else:
        _add_stiles_and_rails(builder, "door", role, x, z, face, t, stile, fronts.bevel)
        _add_door_filling(builder, style, role, (x[0] + stile, x[1] - stile), (z[0] + stile, z[1] - stile), face, t)
    handle_x = x[1] - 0.5 * stile - 0.004 if hinge == "left" else x[0] + 0.5 * stile + 0.004
    fronts.handles.add_to_door(builder, handle_x, face, _door_handle_height(z))
    if fronts.inset and builder.chance(0.3):
        hinge_x = x[0] - 0.001 if hinge == "left" else x[1] + 0.001
        for hinge_z in (z[0] + 0.15 * height, z[1] - 0.15 * height):
            start, end = (hinge_x, face - 0.002, hinge_z - 0.025), (hinge_x, face - 0.002, hinge_z + 0.025)
            builder.add("hardware", "fitting", bar(start, end, 0.008, section="round"))


def _door_handle_height(z: Span) -> float:
    """Return the height of the handle: about 0.95 m on tall doors, the upper quarter of low doors, else the middle."""
    height = z[1] - z[0]
    middle = (z[0] + z[1]) / 2
    if height > 1.0:
        return min(max(middle, 0.95), z[1] - 0.15)
    return z[1] - 0.25 * height if z[1] < 0.9 else middle


def _add_door_filling(
    builder: PieceBuilder, style: str, role: str, x: Span, z: Span, face: float, thickness: float
) -> None:
    """Add the filling of a framed door. ``x`` and ``z`` are the extents of the opening in the frame."""
    low = (x[0] - 0.006, face + 0.5 * thickness, z[0] - 0.006)
    high = (x[1] + 0.006, face + 0.85 * thickness, z[1] + 0.006)
    if style in ("glass", "muntins"):
        pane_y = face + 0.45 * thickness
        pane = board((low[0], pane_y, low[2]), (high[0], pane_y + 0.004, high[2]), bevel=0.001)
        builder.add("door", "glass", pane)
        if style == "muntins":
            _add_muntins(builder, role, x, z, face, thickness)
    elif style == "louvre":
        count = max(3, int((z[1] - z[0]) / 0.034))
        pitch = (z[1] - z[0]) / count
        for i in range(count):
            slat_z = z[0] + (i + 0.5) * pitch
            path = [(x[0] - 0.004, face + thickness / 2, slat_z), (x[1] + 0.004, face + thickness / 2, slat_z)]
            builder.add("door", role, sweep(path, (1.15 * pitch, 0.006), side=(0.0, 0.62, 0.78)))
    elif style == "cane":
        builder.add("door", "cane", board(low, (high[0], low[1] + 0.003, high[2]), bevel=0.001))
    else:
        builder.add("door", role, board(low, high, bevel=0.001))
        margin = 0.03
        if style == "raised" and (x[1] - margin) - (x[0] + margin) > 0.03:
            field_low = (x[0] + margin, face + 0.15 * thickness, z[0] + margin)
            field_high = (x[1] - margin, face + 0.6 * thickness, z[1] - margin)
            builder.add("door", role, board(field_low, field_high, bevel=0.006))


def _add_muntins(builder: PieceBuilder, role: str, x: Span, z: Span, face: float, thickness: float) -> None:
    """Add the bars that divide a glass door into panes."""
    rows, columns = max(2, round((z[1] - z[0]) / 0.28)), max(1, round((x[1] - x[0]) / 0.2))
    for bar_z in np.linspace(*z, rows + 1)[1:-1]:
        low = (x[0] - 0.004, face + 0.003, bar_z - 0.009)
        builder.add("door", role, board(low, (x[1] + 0.004, face + thickness - 0.002, bar_z + 0.009)))
    for bar_x in np.linspace(*x, columns + 1)[1:-1]:
        low = (bar_x - 0.009, face + 0.004, z[0] - 0.004)
        builder.add("door", role, board(low, (bar_x + 0.009, face + thickness - 0.003, z[1] + 0.004)))


def _add_framed_panel(
    builder: PieceBuilder, role: str, x: Span, z: Span, face: float, thickness: float, stile: float, bevel: float
) -> float:
    """Add a drawer front with a frame and a flat panel; return how far the panel lies behind the frame's face."""
    _add_stiles_and_rails(builder, "drawer", role, x, z, face, thickness, stile, bevel)
    low = (x[0] + stile - 0.006, face + 0.5 * thickness, z[0] + stile - 0.006)
    high = (x[1] - stile + 0.006, face + 0.9 * thickness, z[1] - stile + 0.006)
    builder.add("drawer", role, board(low, high, bevel=0.001, grain=(1, 0, 0)))
    return 0.5 * thickness


def _add_stiles_and_rails(
    builder: PieceBuilder,
    component: str,
    role: str,
    x: Span,
    z: Span,
    face: float,
    thickness: float,
    stile: float,
    bevel: float,
) -> None:
    """Add a frame whose boards are ``stile`` wide."""
    back, bevel = face + thickness, min(bevel, 0.002)
    for left in (x[0], x[1] - stile):
        upright = board((left, face, z[0]), (left + stile, back, z[1]), bevel=bevel, grain=(0, 0, 1))
        builder.add(component, role, upright)
    for low in (z[0], z[1] - stile):
        rail_high = (x[1] - stile, back, low + stile)
        rail = board((x[0] + stile, face + 0.0002, low), rail_high, bevel=bevel, grain=(1, 0, 0))
        builder.add(component, role, rail)


def _add_reeded_front(
    builder: PieceBuilder, component: str, role: str, x: Span, z: Span, face: float, thickness: float
) -> None:
    """Add a board with half-round beads as one part."""
    count = max(4, round((x[1] - x[0]) / 0.022))
    width = (x[1] - x[0]) / count
    angle = np.linspace(np.pi, 0, 6)[:-1]
    bead = np.stack([width / 2 * (1 + np.cos(angle)), -0.45 * thickness * np.sin(angle)], -1)
    start = face + 0.45 * thickness
    beads = [bead + np.array([x[0] + i * width, start]) for i in range(count)]
    outline = np.concatenate([*beads, [(x[1], start)]])
    builder.add(component, role, _extruded_profile(outline, face + thickness, z))


def _extruded_profile(front: Floats, back: float, z: Span) -> Solid:
    """Return a board with a profiled front.

    Unlike ``extrude``, it triangulates the ends as strips of quads, without ear clipping.

    Args:
        front: [N, 2] (x, y) of the front, from left to right.
        back: y coordinate of the back.
    """
    count = len(front)
    rear = np.stack([front[:, 0], np.full(count, back)], -1)
    flat = np.concatenate([front, rear])
    vertices = np.concatenate([np.insert(flat, 2, height, axis=1) for height in z])
    i = np.arange(count - 1)
    a, b, c, d = i, i + 1, i + 1 + count, i + count  # front left, front right, rear right, rear left
    up = 2 * count
    quads = np.concatenate(
        [
            np.stack([a, b, b + up, a + up], -1),
            np.stack([c, d, d + up, c + up], -1),
            np.stack([a + up, b + up, c + up, d + up], -1),
            np.stack([d, c, b, a], -1),
            [[count, 0, up, count + up], [count - 1, 2 * count - 1, 2 * count - 1 + up, count - 1 + up]],
        ]
    )
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    return Solid(vertices, triangles, np.array([0.0, 0.0, 1.0]), True)
