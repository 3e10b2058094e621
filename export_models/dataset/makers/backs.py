"""Chair and seat backs: fillings between two posts, rails, moulded shells and upholstered backs.

A back is modelled in its own plane: x across, z up from the seat, y = 0. A ``Placement`` moves it to its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from export_models.dataset.makers.legs import turned_profile
from export_models.dataset.makers.outlines import Floats, evenly_spaced, spline
from export_models.dataset.makers.piece import PieceBuilder
from export_models.dataset.makers.solids import Solid, board, extrude, lathe, sheet, sweep
from export_models.dataset.makers.upholstery import pad, tuft_grid, upright

FILLING_STYLES = {
    "slats": 3, "ladder": 3, "spindles": 2, "panel": 1, "padded": 3, "cane": 1, "splat": 1, "cross": 1, "crest": 2,
}  # fmt: skip
Placement = Callable[[Solid], Solid]
"""Moves a solid from the plane of a back to its place on the piece."""


def reclined(angle_deg: float, y: float, z: float) -> Placement:
    """Return the placement of a back that stands at y, z and leans backwards by ``angle_deg``."""
    return lambda solid: solid.rotated("x", -angle_deg).moved(y=y, z=z)


def bowed(solid: Solid, width: float, bow: float) -> Solid:
    """Curve a solid that spans ``width``: push its middle back by ``bow`` metres."""

    def push_back(points: Floats) -> Floats:
        y = points[:, 1] + bow * (1 - (2 * points[:, 0] / width) ** 2)
        return np.stack([points[:, 0], y, points[:, 2]], -1)

    return solid.deformed(push_back)


def rail(width: float, low: float, high: float, thickness: float, bow: float, arch: float = 0.0) -> Solid:
    """Return a horizontal rail; ``bow`` pushes its middle back and ``arch`` raises the middle of its upper edge."""
    u = np.linspace(-1, 1, 13 if bow or arch else 2)
    path = np.stack([u * width / 2, bow * (1 - u**2), np.full(len(u), (low + high) / 2)], -1)
    solid = sweep(path, (high - low, thickness), side=(0, 0, 1))
    if not arch:
        return solid
    middle = (low + high) / 2

    def raise_upper_edge(points: Floats) -> Floats:
        lift = arch * np.clip(1 - (2 * points[:, 0] / width) ** 2, 0, 1) * (points[:, 2] > middle)
        return np.concatenate([points[:, :2], points[:, 2:] + lift[:, None]], 1)

    return solid.deformed(raise_upper_edge)


@dataclass(frozen=True)
class _PostBack:
    """A back between two posts."""

    builder: PieceBuilder
    width: float  # between the inner faces of the posts
    height: float  # of the top of the back above the seat
    thickness: float  # of the rails
    bow: float
    arch: float  # of the crest rail
    place: Placement

    @property
    def rail_width(self) -> float:
        """The width between the posts plus the tenons."""
        return self.width + 0.012

    def rail(self, low: float, high: float, thickness: float, arch: float = 0.0, bow: float | None = None) -> Solid:
        """Return a rail between the posts at its place; ``bow`` is that of the back by default."""
        bow = self.bow if bow is None else bow
        return self.place(rail(self.rail_width, low, high, thickness, bow, arch))

    def add_frame_rail(self, low: float, high: float, arch: float = 0.0) -> None:
        """Add a rail of the frame."""
        self.builder.add("frame", "wood", self.rail(low, high, self.thickness, arch))

    def add_back(self, solid: Solid, role: str = "wood") -> None:
        """Add a part of the filling, curved like the rails."""
        self.builder.add("back", role, self.place(bowed(solid, self.width, self.bow) if self.bow else solid))


def add_post_back(
    builder: PieceBuilder,
    filling: str,
    width: float,
    height: float,
    thickness: float,
    place: Placement,
    *,
    start: float = 0.02,
) -> None:
    """Fill the space between two back posts.

    Args:
        filling: one of ``FILLING_STYLES``.
        width: distance between the inner faces of the posts.
        height: height of the top of the back above the seat.
        thickness: thickness of the rails.
        start: height above the seat at which a padded filling starts. Other fillings start at a random height.
    """
    bow = builder.pick((0.0, builder.uniform(0.015, 0.035)))
    crest = builder.uniform(0.045, 0.1)
    arch = builder.pick((0.0, 0.0, builder.uniform(0.01, 0.035)))
    back = _PostBack(builder, width, height, thickness, bow, arch, place)
    bottom = start if filling == "padded" else builder.uniform(0.06, max(0.08, 0.3 * height))
    if filling == "ladder":
        _add_ladder(back, bottom)
        return
    if filling == "crest":
        _add_wide_crest(back)
        return
    top = height - crest
    back.add_frame_rail(top, height, arch)
    if filling == "padded":
        soft = pad((width - 0.004, top - bottom, 2.2 * thickness), radius=0.02, crown=0.015)
        back.add_back(upright(soft).moved(z=(top + bottom) / 2), "soft")
        back.add_frame_rail(max(bottom - 0.04, 0.0), bottom + 0.004)
        return
    back.add_frame_rail(bottom, bottom + 0.04)
    low, high = bottom + 0.034, top + 0.006
    if filling == "slats":
        _add_slats(back, low, high)
    elif filling == "spindles":
        _add_spindles(back, low, high)
    elif filling in ("panel", "cane"):
        _add_panel(back, low, high, "wood" if filling == "panel" else "cane")
    elif filling == "splat":
        _add_splat(back, low, high)
    else:
        _add_cross(back, low, high)


def _add_ladder(back: _PostBack, bottom: float) -> None:
    count = int(back.builder.rng.integers(3, 6))
    rung_height = min(back.builder.uniform(0.04, 0.08), 0.62 * (back.height - bottom) / count)
    for i, z in enumerate(np.linspace(bottom, back.height - rung_height, count)):
        is_top = i == count - 1
        rung = back.rail(float(z), float(z) + rung_height, 0.7 * back.thickness, back.arch)
        back.builder.add("frame" if is_top else "back", "wood", rung)


def _add_wide_crest(back: _PostBack) -> None:
    crest_height = back.builder.uniform(0.14, 0.26)
    low = back.height - min(crest_height, 0.6 * back.height)
    crest = back.rail(low, back.height, back.builder.uniform(0.01, 0.018), back.arch, bow=max(back.bow, 0.02))
    back.builder.add("back", back.builder.pick(("wood", "wood2")), crest)


def _add_slats(back: _PostBack, low: float, high: float) -> None:
    count = int(back.builder.rng.integers(3, 9))
    slat_width = back.width / count * back.builder.uniform(0.35, 0.75)
    for x in evenly_spaced(count, back.width):
        back.add_back(board((x - slat_width / 2, -0.006, low), (x + slat_width / 2, 0.006, high)))


def _add_spindles(back: _PostBack, low: float, high: float) -> None:
    builder = back.builder
    count, radius = int(builder.rng.integers(4, 9)), builder.uniform(0.006, 0.011)
    straight = np.array([(0, radius), (high - low, radius)])
    profile = turned_profile(builder, high - low, radius) if builder.chance(0.5) else straight
    for x in evenly_spaced(count, back.width):
        back.add_back(lathe(profile, 10).moved(float(x), 0.0, low))


def _add_panel(back: _PostBack, low: float, high: float, role: str) -> None:
    x = np.linspace(-back.width / 2 - 0.004, back.width / 2 + 0.004, 13)
    grid = np.insert(np.stack(np.meshgrid(x, [low, high]), -1), 1, 0.0, axis=-1).transpose(1, 0, 2)
    back.add_back(sheet(grid, 0.010 if role == "wood" else 0.005), role)


def _add_splat(back: _PostBack, low: float, high: float) -> None:
    """Add a vase-shaped board in the middle."""
    waist, middle = back.builder.uniform(0.25, 0.5), (low + high) / 2
    z = np.linspace(low, high, 18)
    side = spline([(0.5, 0), (waist, 0.3), (0.85, 0.65), (0.55, 0.85), (0.8, 1.0)], 18)
    half_width = np.interp((z - low) / (high - low), side[:, 1], side[:, 0]) * 0.26 * back.width
    outline = np.concatenate([np.stack([half_width, z], -1), np.stack([-half_width[::-1], z[::-1]], -1)])
    back.add_back(extrude(outline, 0.012, plane="xz").moved(y=0.006).with_grain((0, 0, middle)))


def _add_cross(back: _PostBack, low: float, high: float) -> None:
    slat_width = back.builder.uniform(0.025, 0.045)
    for i, sign in enumerate((-1, 1)):
        y = (i - 0.5) * 0.009
        reach = back.width / 2 - slat_width / 2
        start, end = (-sign * reach, y, low - 0.004), (sign * reach, y, high + 0.004)
        back.add_back(sweep([start, end], (slat_width, 0.012), side=(0.7, 0, 0.7 * sign)))


def add_upholstered_back(
    builder: PieceBuilder, width: float, height: float, thickness: float, place: Placement, *, style: str | None = None
) -> None:
    """Add a padded back. In its own plane, its front is at y = 0 and its lower edge at z = 0.

    Args:
        style: ``plain``, ``tufted``, ``channels`` or ``buttons``. By default, the style is random and the top may be
            arched.
    """
    arched = style is None and builder.chance(0.35)
    style = style or builder.pick({"plain": 3, "tufted": 2, "channels": 1.5, "buttons": 1})
    tufts = None
    if style == "tufted":
        tufts = tuft_grid(width, height, builder.uniform(0.11, 0.16))
    elif style == "buttons":
        tufts = tuft_grid(width, 0.02, 0.22)
    channels = max(3, round(width / builder.uniform(0.08, 0.14))) if style == "channels" else 0
    soft = pad(
        (width, height, thickness),
        radius=min(builder.uniform(0.02, 0.06), 0.45 * thickness),
        crown=builder.uniform(0.004, 0.02),
        tufts=tufts,
        tuft_depth=builder.uniform(0.01, 0.02),
        channels=channels,
        cells=min(40, max(14, int(width / 0.03))) if tufts is not None else 14,
    )
    back = upright(soft).moved(y=thickness / 2, z=height / 2)
    if arched:
        rise = builder.uniform(0.02, 0.09)

        def raise_top(points: Floats) -> Floats:
            lift = rise * np.clip(1 - (2 * points[:, 0] / width) ** 2, 0, 1) * np.clip(points[:, 2] / height, 0, 1) ** 2
            return np.concatenate([points[:, :2], points[:, 2:] + lift[:, None]], 1)

        back = back.deformed(raise_top)
    builder.add("back", "soft", place(back).clamped_to_floor())


def moulded_shell(
    builder: PieceBuilder, width: float, depth: float, back: float, *, arms: float = 0.0, plain: bool = False
) -> Solid:
    """Return a seat and back moulded from one sheet.

    The lowest point of the seat is near z = 0 and its front edge at y = -depth / 2.

    Args:
        back: height of the back above the seat.
        arms: height in metres by which the sides rise.
        plain: bend the sheet in one direction only, as plywood.
    """
    side = [
        (-depth / 2 - 0.01, -0.03), (-depth / 2 + 0.04, 0.0), (0.0, -0.012), (depth / 2 - 0.08, -0.004),
        (depth / 2 + 0.0, 0.08), (depth / 2 + 0.07, 0.55 * back), (depth / 2 + builder.uniform(0.11, 0.17), back),
    ]  # fmt: skip
    line = spline(side, 26)
    u = np.linspace(-1, 1, 17)
    s = np.linspace(0, 1, 26)  # from the front edge of the seat to the top of the back
    top = builder.uniform(0.6, 0.95)
    if plain:
        half_width = np.interp(s, [0, 0.08, 0.4, 0.55, 0.9, 1], [0.42, 0.47, 0.48, 0.4, 0.47, 0.42]) * width
    else:
        shares = [0.42, 0.48, 0.5, 0.47, 0.44 * top, 0.36 * top]
        half_width = np.interp(s, [0, 0.1, 0.45, 0.75, 0.93, 1], shares) * width
    grid = np.empty((26, 17, 3))
    grid[..., 0] = half_width[:, None] * u
    hips = np.exp(-(((s - 0.45) / 0.17) ** 2))
    rise = np.zeros(26) if plain else 0.03 * np.clip(1 - s / 0.7, 0, 1) + max(arms - 0.02, 0.012) * hips
    rise = rise - 0.07 * np.clip((s - 0.75) / 0.25, 0, 1) ** 2  # rounds the upper corners
    wrap = (0.015 if plain else builder.uniform(0.05, 0.09)) * np.clip((s - 0.45) * 2.2, 0, 1)
    grid[..., 1] = line[:, :1] - wrap[:, None] * u**2
    grid[..., 2] = line[:, 1:] + rise[:, None] * np.abs(u) ** 2.6
    if arms:
        grid[..., 0] *= (1 + 0.16 * hips)[:, None]
    return sheet(grid[:, ::-1], 0.012 if plain else 0.009, grain=(0, 0, 1))
