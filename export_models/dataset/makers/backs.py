"""What is leaned against: fillings between two posts, crest rails, bent sheets and upholstered backs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from export_models.dataset.makers.legs import turning
from export_models.dataset.makers.outlines import Floats, spline
from export_models.dataset.makers.piece import Bench
from export_models.dataset.makers.solids import Solid, board, lathe, sheet, slab, sweep
from export_models.dataset.makers.upholstery import pad, tuft_grid, upright

FILLINGS = {
    "slats": 3, "ladder": 3, "spindles": 2, "panel": 1, "padded": 3, "cane": 1, "splat": 1, "cross": 1, "crest": 2,
}  # fmt: skip
Place = Callable[[Solid], Solid]
"""Moves a back from its own plane (x across, z up from the seat, y = 0) to where it is on the piece."""


def leaned(rake: float, y: float, z: float) -> Place:
    """Lean backwards by ``rake`` degrees about the line at y, z."""
    return lambda solid: solid.turned("x", -rake).moved(y=y, z=z)


def bowed(solid: Solid, width: float, bow: float) -> Solid:
    """Push the middle of what spans ``width`` back by ``bow`` metres."""

    def place(points: Floats) -> Floats:
        y = points[:, 1] + bow * (1 - (2 * points[:, 0] / width) ** 2)
        return np.stack([points[:, 0], y, points[:, 2]], -1)

    return solid.bent(place)


def rail(width: float, low: float, high: float, thick: float, bow: float, arch: float = 0.0) -> Solid:
    """A rail across ``width``, its middle pushed back by ``bow`` and its upper edge raised by ``arch``."""
    share = np.linspace(-1, 1, 13 if bow or arch else 2)
    path = np.stack([share * width / 2, bow * (1 - share**2), np.full(len(share), (low + high) / 2)], -1)
    solid = sweep(path, (high - low, thick), side=(0, 0, 1))
    if not arch:
        return solid
    middle = (low + high) / 2

    def raised(points: Floats) -> Floats:
        lift = arch * np.clip(1 - (2 * points[:, 0] / width) ** 2, 0, 1) * (points[:, 2] > middle)
        return np.concatenate([points[:, :2], points[:, 2:] + lift[:, None]], 1)

    return solid.bent(raised)


def post_back(
    bench: Bench, filling: str, width: float, height: float, thick: float, place: Place, *, start: float = 0.02
) -> None:
    """Fill the space between two posts ``width`` apart (their inner faces), from the seat up to ``height``."""
    grip = width + 0.012  # tenons
    bow = bench.pick((0.0, bench.between(0.015, 0.035)))
    crest = bench.between(0.045, 0.1)
    arch = bench.pick((0.0, 0.0, bench.between(0.01, 0.035)))
    floor = start if filling == "padded" else bench.between(0.06, max(0.08, 0.3 * height))

    def frame(low: float, high: float, raise_by: float = 0.0) -> None:
        bench.put("frame", "wood", place(rail(grip, low, high, thick, bow, raise_by)))

    def back(solid: Solid, role: str = "wood") -> None:
        bench.put("back", role, place(bowed(solid, width, bow) if bow else solid))

    if filling == "ladder":
        count = int(bench.rng.integers(3, 6))
        tall = min(bench.between(0.04, 0.08), 0.62 * (height - floor) / count)
        for i, z in enumerate(np.linspace(floor, height - tall, count)):
            last = i == count - 1
            solid = rail(grip, float(z), float(z) + tall, 0.7 * thick, bow, arch)
            bench.put("frame" if last else "back", "wood", place(solid))
        return
    if filling == "crest":
        tall = bench.between(0.14, 0.26)
        solid = rail(grip, height - min(tall, 0.6 * height), height, bench.between(0.01, 0.018), max(bow, 0.02), arch)
        bench.put("back", bench.pick(("wood", "wood2")), place(solid))
        return
    top = height - crest
    frame(top, height, arch)
    if filling == "padded":
        soft = pad((width - 0.004, top - floor, 2.2 * thick), radius=0.02, crown=0.015)
        back(upright(soft).moved(z=(top + floor) / 2), "soft")
        frame(max(floor - 0.04, 0.0), floor + 0.004)
        return
    frame(floor, floor + 0.04)
    low, high = floor + 0.034, top + 0.006
    if filling == "slats":
        count = int(bench.rng.integers(3, 9))
        wide = width / count * bench.between(0.35, 0.75)
        for x in (np.arange(count) - (count - 1) / 2) * width / count:
            back(board((x - wide / 2, -0.006, low), (x + wide / 2, 0.006, high)))
    elif filling == "spindles":
        count, radius = int(bench.rng.integers(4, 9)), bench.between(0.006, 0.011)
        shape = (
            turning(bench, high - low, radius) if bench.chance(0.5) else np.array([(0, radius), (high - low, radius)])
        )
        for x in (np.arange(count) - (count - 1) / 2) * width / count:
            back(lathe(shape, 10).moved(float(x), 0.0, low))
    elif filling in ("panel", "cane"):
        thin = 0.010 if filling == "panel" else 0.005
        grid = np.stack(np.meshgrid(np.linspace(-width / 2 - 0.004, width / 2 + 0.004, 13), [low, high]), -1)
        back(sheet(np.insert(grid, 1, 0.0, axis=-1).transpose(1, 0, 2), thin), "wood" if filling == "panel" else "cane")
    elif filling == "splat":
        waist, middle = bench.between(0.25, 0.5), (low + high) / 2
        z = np.linspace(low, high, 18)
        side = spline([(0.5, 0), (waist, 0.3), (0.85, 0.65), (0.55, 0.85), (0.8, 1.0)], 18)
        half = np.interp((z - low) / (high - low), side[:, 1], side[:, 0]) * 0.26 * width
        outline = np.concatenate([np.stack([half, z], -1), np.stack([-half[::-1], z[::-1]], -1)])
        back(slab(outline, 0.012, plane="xz").moved(y=0.006).grained((0, 0, middle)))
    else:
        wide = bench.between(0.025, 0.045)
        for i, sign in enumerate((-1, 1)):
            shift = (i - 0.5) * 0.009
            reach = width / 2 - wide / 2
            start_at, end_at = (-sign * reach, shift, low - 0.004), (sign * reach, shift, high + 0.004)
            back(sweep([start_at, end_at], (wide, 0.012), side=(0.7, 0, 0.7 * sign)))


def upholstered_back(
    bench: Bench, width: float, height: float, thick: float, place: Place, *, style: str | None = None
) -> None:
    """A padded back, from z = 0 up; its front is in the plane of the back.

    ``style`` is ``plain``, ``tufted``, ``channels`` or ``buttons``; None leaves it, and an arched top, to chance.
    """
    arched = style is None and bench.chance(0.35)
    style = style or bench.pick({"plain": 3, "tufted": 2, "channels": 1.5, "buttons": 1})
    tufts = None
    if style == "tufted":
        tufts = tuft_grid(width, height, bench.between(0.11, 0.16))
    elif style == "buttons":
        tufts = tuft_grid(width, 0.02, 0.22)
    channels = max(3, round(width / bench.between(0.08, 0.14))) if style == "channels" else 0
    soft = pad(
        (width, height, thick),
        radius=min(bench.between(0.02, 0.06), 0.45 * thick),
        crown=bench.between(0.004, 0.02),
        tufts=tufts,
        tuft_depth=bench.between(0.01, 0.02),
        channels=channels,
        cells=min(40, max(14, int(width / 0.03))) if tufts is not None else 14,
    )
    standing = upright(soft).moved(y=thick / 2, z=height / 2)
    if arched:
        bow = bench.between(0.02, 0.09)

        def raised_middle(points: Floats) -> Floats:
            lift = bow * np.clip(1 - (2 * points[:, 0] / width) ** 2, 0, 1) * np.clip(points[:, 2] / height, 0, 1) ** 2
            return np.concatenate([points[:, :2], points[:, 2:] + lift[:, None]], 1)

        standing = standing.bent(raised_middle)
    bench.put("back", "soft", place(standing).floored())


def shell(bench: Bench, width: float, depth: float, back: float, *, arms: float = 0.0, plain: bool = False) -> Solid:
    """A moulded seat and back of one sheet: the seat's lowest place about z = 0, its front at y = -depth / 2.

    ``arms`` is how high the sides rise, metres. ``plain`` bends it in one direction only, as plywood.
    """
    side = [
        (-depth / 2 - 0.01, -0.03), (-depth / 2 + 0.04, 0.0), (0.0, -0.012), (depth / 2 - 0.08, -0.004),
        (depth / 2 + 0.0, 0.08), (depth / 2 + 0.07, 0.55 * back), (depth / 2 + bench.between(0.11, 0.17), back),
    ]  # fmt: skip
    line = spline(side, 26)
    u = np.linspace(-1, 1, 17)
    share = np.linspace(0, 1, 26)
    top = bench.between(0.6, 0.95)
    half = np.interp(share, [0, 0.1, 0.45, 0.75, 0.93, 1], [0.42, 0.48, 0.5, 0.47, 0.44 * top, 0.36 * top]) * width
    if plain:
        half = np.interp(share, [0, 0.08, 0.4, 0.55, 0.9, 1], [0.42, 0.47, 0.48, 0.4, 0.47, 0.42]) * width
    grid = np.empty((26, 17, 3))
    grid[..., 0] = half[:, None] * u
    curl = u**2
    hips = np.exp(-(((share - 0.45) / 0.17) ** 2))
    rise = np.zeros(26) if plain else 0.03 * np.clip(1 - share / 0.7, 0, 1) + max(arms - 0.02, 0.012) * hips
    rise = rise - 0.07 * np.clip((share - 0.75) / 0.25, 0, 1) ** 2  # the top's corners are round
    wrap = (0.015 if plain else bench.between(0.05, 0.09)) * np.clip((share - 0.45) * 2.2, 0, 1)
    grid[..., 1] = line[:, :1] - wrap[:, None] * curl
    grid[..., 2] = line[:, 1:] + rise[:, None] * np.abs(u) ** 2.6
    if arms:
        grid[..., 0] *= (1 + 0.16 * hips)[:, None]
    return sheet(grid[:, ::-1], 0.012 if plain else 0.009, grain=(0, 0, 1))
