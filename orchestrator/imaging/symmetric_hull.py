"""The shape of a piece of furniture from one silhouette: its visual hull with its own mirror image.

Furniture is symmetric left and right, so that a photo from one side is also a photo, mirrored, from the other side:
two calibrated silhouettes from one (Rothwell et al. 1993; François et al. 2003, Mirror symmetry ⇒ 2-view stereo
geometry). The visual hull of both (Laurentini 1994) within the piece's box still holds wedges that no two silhouettes
can carve, such as the room over a chair's seat; ``_board`` takes that away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    distance_transform_edt,
    gaussian_filter,
    label,
    map_coordinates,
)
from skimage.measure import marching_cubes

from orchestrator.domain import FloatMap, Image, Progress, no_progress
from orchestrator.imaging.cameras import Camera, Floats
from orchestrator.imaging.mesh import Triangles
from orchestrator.imaging.single_view import View, refined

ROOM = 0.01
"""The box is enlarged by this share of its height: a silhouette is cut by a pixel more easily than by the box."""
BOARD, BOARD_LEANS, BOARD_SHARE = 0.06, (0.0, 0.1, 0.2, 0.3), 0.6
"""The back of a chair: how thick (over the piece's height), how far it may lean (its tangent), and which share of what
is seen over the seat it must explain."""
NARROW, THICK = 5.0, 5.0
"""Voxels: holes in the silhouette up to twice this wide are closed with this much depth."""
CANDIDATES, REFINEMENTS, COARSE_CELLS = 5, 40, 40
HOLE_COST, MOST_HOLES = 3.0, 0.1
"""Cost of a silhouette that the symmetric hull explains not at all, beside what the camera's search calls cost;
beyond that many holes the piece itself is not symmetric, from no side."""
WHOLE_FRONT, FRONT_BAND = 0.75, 0.25
"""Share of its width at which a seat or a top reaches the front, and how deep the front is as a share of the depth."""
SYMMETRY_BONUS, FRONTAL_DEG = 0.08, 10.0
"""A view from the side from which front and back look alike is hardly so by chance."""
PHANTOM, PHANTOM_SHARE = 0.65, 0.8
"""How much nearer to the middle than another on the same line of sight a false leg stands, and in how much of it."""
EDGE_SIGMA_PX = 0.8
"""Takes the pixels' steps off the silhouette's edge."""
SLICES = np.zeros((3, 3, 3), int)
SLICES[:, 1] = 1
"""Neighbours within a slice of one height."""
TOP = 0.92
"""Share of the piece's height from which on what reaches the front is a top, not a seat."""
AGREES = 0.05
"""Of the range of the hull's depths: how far a model's depth may scatter about it and still be used."""
CRUMB = 0.01
"""Of the largest part's volume."""
MIDDLE_SLACK = 0.12
"""Of the box's depth: how far the plane between front and back may lie from the box's middle."""
SQUARE = 1.25
"""Sides whose lengths differ by less may be meant to be the same."""
LOPSIDED = 0.88
"""Share of the silhouette below which left and right are not taken to be alike."""
LOST_WEIGHT = 12.0
"""A stronger symmetry up to some more of the height is worth a twelfth of that, as a share of the silhouette."""
SYMMETRY_SLACK = 0.03
"""How much more of the silhouette than by left and right alone a stronger symmetry may fail to explain."""


@dataclass(frozen=True)
class _Grid:
    """Middles of voxels: x symmetric about 0, y from below the floor up, z from back to front."""

    x: Floats
    y: Floats
    z: Floats
    pitch: float
    box: tuple[float, float]  # width and depth

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.x), len(self.y), len(self.z)

    def slab(self, start: int, stop: int) -> Floats:
        """[n, 3] the middles of the slices ``start`` to ``stop`` along x."""
        middles = np.meshgrid(self.x[start:stop], self.y, self.z, indexing="ij")
        return np.asarray(np.stack(middles, -1).reshape(-1, 3), np.float64)


@dataclass(frozen=True)
class Symmetry:
    """What a piece looks the same after, besides left and right; each adds silhouettes for free."""

    below: float = 0.0  # up to this height front and back are alike: 1 for tables, the seat's height for chairs
    quarter: bool = False  # quarter turns: stools, round and square tables
    sides: bool = True  # left and right


@dataclass(frozen=True)
class Hull:
    """A closed mesh in the view's world, and what it rests on."""

    vertices: Floats  # [V, 3]
    triangles: Triangles  # [T, 3]
    symmetry: Symmetry
    coverage: float  # share of the silhouette that left and right being alike explains


def choose_view(mask: Image, views: Sequence[View], progress: Progress = no_progress) -> View:
    """Return the view whose symmetric hull explains most of the silhouette, the views' own costs considered.

    From a wrong side, the mirror image of the silhouette carves parts away that the photo shows.
    """
    done = 0

    def holes(view: View) -> float:
        nonlocal done
        progress(min(done / (CANDIDATES + REFINEMENTS), 1.0), "comparing the photo with its mirror image")
        done += 1
        grid = _grid(view, COARSE_CELLS)
        symmetry, _, covered = _most_symmetric(grid, _carve(grid, view.camera, mask, no_progress))
        # From straight before the piece, every silhouette is that of something symmetric.
        proof = SYMMETRY_BONUS * symmetry.below if abs(view.azimuth_deg) > FRONTAL_DEG and symmetry.sides else 0.0
        return HOLE_COST * min(1 - covered, MOST_HOLES) - proof

    best = min(views[:CANDIDATES], key=lambda view: view.cost + holes(view))
    return refined(best, holes, REFINEMENTS)


def symmetric_hull(
    mask: Image, view: View, cells: int, depth: FloatMap | None = None, progress: Progress = no_progress
) -> Hull:
    """Return a closed mesh whose silhouette in ``view`` is the mask, as symmetric as the silhouette lets it be.

    Args:
        mask: [H, W] uint8, 255 on the piece.
        cells: voxels along the longest side of the box.
        depth: [h, w] of the whole photo, from a model, up to scale and offset; without it, or where it contradicts
            the silhouette, the shape rests on the silhouette alone.
    """
    grid = _grid(view, cells)
    progress(0.0, "carving the silhouette")
    cone = _carve(grid, view.camera, mask, progress)
    symmetry, field, coverage = _most_symmetric(grid, cone)
    progress(0.6, "taking away what no silhouette shows")
    if depth is not None:
        free = _free(grid, cone, field > 0, depth)
        field = np.where(free | free[::-1] if symmetry.sides else free, -grid.pitch, field)
    inside = field > 0
    needless = _under(grid, cone, inside)
    if symmetry.sides:
        needless |= _board(grid, cone, inside, max(symmetry.below, grid.y[0] + grid.pitch * _seat_layer(grid, inside)))
    lone = _unexplained(grid, cone, inside & ~needless)
    field = np.where(lone, cone.field, field)
    removed = needless & ~lone
    removed = binary_dilation(removed, iterations=2) & ~(inside & ~removed)  # with the air beside it
    soft = 0.5 - gaussian_filter(removed.astype(np.float32), 0.8)
    field = np.minimum(field, soft * (3 * grid.pitch))
    field = np.where(_crumbs(field > 0), -grid.pitch, field)
    progress(0.9, "making the mesh")
    vertices, triangles, _, _ = marching_cubes(  # type: ignore[no-untyped-call]
        np.pad(field, 1, constant_values=-grid.pitch), 0.0
    )
    origin = np.array([grid.x[0], grid.y[0], grid.z[0]]) - grid.pitch
    return Hull(vertices * grid.pitch + origin, np.asarray(triangles[:, ::-1], np.int32), symmetry, coverage)


def _grid(view: View, cells: int) -> _Grid:
    width, depth = view.width, view.depth
    if max(width, depth) <= SQUARE * min(width, depth):  # may have quarter turns, which need a square grid
        width = depth = max(width, depth)
    pitch = max(width, 1.0, depth) / cells
    half_x, half_z = (int(np.ceil(side / 2 / pitch)) + 3 for side in (width, depth))
    return _Grid(
        x=(np.arange(2 * half_x) - half_x + 0.5) * pitch,
        y=(np.arange(int(np.ceil(1 / pitch)) + 6) - 2.5) * pitch,
        z=(np.arange(2 * half_z) - half_z + 0.5) * pitch,
        pitch=pitch,
        box=(view.width, view.depth),
    )


def _signed_distance(mask: Image) -> FloatMap:
    """[H, W] px to the silhouette's edge, positive inside; beyond the photo it is outside."""
    padded = np.pad((mask > 127).astype(np.uint8), 1)
    within = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    beyond = cv2.distanceTransform(1 - padded, cv2.DIST_L2, 5)
    distance = np.where(padded > 0, within - 0.5, 0.5 - beyond).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), EDGE_SIGMA_PX)[1:-1, 1:-1])


@dataclass(frozen=True)
class _Cone:
    """The voxels as the photo shows them. All [X, Y, Z] but the last."""

    field: FloatMap  # how deep inside the silhouette's cone, in the world's unit
    pixel: NDArray[np.int32]  # number of the pixel that shows it, in a coarse photo of one pixel a voxel
    depth: FloatMap  # distance along the camera's axis
    silhouette: NDArray[np.bool_]  # [pixels] of the coarse photo
    columns: int  # of the coarse photo


def _carve(grid: _Grid, camera: Camera, mask: Image, progress: Progress) -> _Cone:
    distance = _signed_distance(mask)
    field, depth = np.empty(grid.shape, np.float32), np.empty(grid.shape, np.float32)
    pixel = np.empty(grid.shape, np.int32)
    focal = float(camera.matrix[0, 0])
    nearness = focal / float(np.linalg.norm(camera.position - [0, 0.5, 0]))  # px a unit
    coarse = min(1.0, 1.0 / (grid.pitch * nearness))
    columns, rows = (int(np.ceil(side * coarse)) for side in camera.size)
    step = max(1, 400_000 // (len(grid.y) * len(grid.z)))
    for start in range(0, len(grid.x), step):
        progress(0.6 * start / len(grid.x), "carving the silhouette")
        points = grid.slab(start, start + step)
        at, far = camera.project(points)
        deep = map_coordinates(distance, at.T[::-1] - 0.5, order=1, cval=-1e3)
        shape = (-1, len(grid.y), len(grid.z))
        some = slice(start, start + step)
        field[some] = (deep * far / focal).reshape(shape)
        depth[some] = far.reshape(shape)
        where = np.clip((at * coarse).astype(np.int64), 0, [columns - 1, rows - 1])
        pixel[some] = (where[:, 1] * columns + where[:, 0]).reshape(shape)
    small = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) > 127
    return _Cone(field, pixel, depth, small.ravel(), columns)


def _box_field(grid: _Grid, width: float, depth: float) -> FloatMap:
    """How deep inside the box each voxel lies."""
    x = width / 2 + ROOM - np.abs(grid.x)
    y = np.minimum(grid.y, 1 + ROOM - grid.y)
    z = depth / 2 + ROOM - np.abs(grid.z)
    deep = np.minimum(np.minimum(x[:, None, None], y[None, :, None]), z[None, None, :])
    return np.asarray(deep, np.float32)


def _most_symmetric(grid: _Grid, cone: _Cone) -> tuple[Symmetry, FloatMap, float]:
    """The strongest symmetry that the silhouette allows, the field of its hull, and the share of the silhouette that
    its weakest form explains.

    A symmetry that the piece does not have carves away parts of it, which leaves holes in its silhouette.
    """
    box = _box_field(grid, *grid.box)
    mirrored = np.minimum(cone.field, cone.field[::-1])
    sides = np.minimum(mirrored, box)
    base = _coverage(cone, sides)
    reach = max(2, round(MIDDLE_SLACK * len(grid.z)))
    if base < LOPSIDED:
        alone = np.minimum(cone.field, box)
        lopsided = [np.minimum(alone, _turned_back(alone, shift)) for shift in range(-reach, reach + 1)]
        field = max(lopsided, key=lambda one: _coverage(cone, one))
        if (found := _coverage(cone, field)) >= LOPSIDED:
            return Symmetry(1.0, sides=False), field, found
    allowed = int((1 - base + SYMMETRY_SLACK) * cone.silhouette.sum())
    seat = _seat_layer(grid, sides > 0) / len(grid.y)
    best = (-np.inf, 0, 0)
    layers = np.arange(len(grid.y) + 1) / len(grid.y)
    for shift in range(-reach, reach + 1):
        both = np.minimum(sides, _turned_back(sides, shift))
        lost = _lost(cone, sides > 0, both > 0)
        worth = layers - LOST_WEIGHT * np.maximum(lost - lost[0], 0) / cone.silhouette.sum()
        worth[(lost > allowed) | (layers > seat)] = -np.inf
        height = int(worth.argmax())
        best = max(best, (float(worth[height]), height, shift))
    _, height, shift = best
    if height == len(grid.y) and sides.shape[0] == sides.shape[2]:
        side = max(grid.box)
        both = np.minimum(mirrored, _box_field(grid, side, side))
        both = _shifted(np.minimum(both, _turned_back(both, shift)), shift)
        quarter = _shifted(np.minimum(both, both.transpose(2, 1, 0)), -shift)
        if _coverage(cone, quarter) >= base - SYMMETRY_SLACK:
            return Symmetry(1.0, True), quarter, base
    both = np.minimum(sides, _turned_back(sides, shift))
    field = np.concatenate([both[:, :height], sides[:, height:]], axis=1)
    return Symmetry(min(max(float(grid.y[min(height, len(grid.y) - 1)]), 0.0), 1.0)), field, base


def _turned_back(field: FloatMap, shift: int) -> FloatMap:
    """The field mirrored front to back, at a plane ``shift`` half voxels before the middle."""
    return _moved(field[:, :, ::-1], shift)


def _moved(field: FloatMap, steps: int) -> FloatMap:
    moved = np.full_like(field, -1.0)
    count = field.shape[2]
    moved[:, :, max(steps, 0) : count + min(steps, 0)] = field[:, :, max(-steps, 0) : count - max(steps, 0)]
    return moved


def _shifted(field: FloatMap, half: int) -> FloatMap:
    """Move the plane ``half`` half voxels before the middle into it; a half voxel too few does no harm."""
    return _moved(field, -(half // 2) if half >= 0 else (-half) // 2)


def _lost(cone: _Cone, sides: NDArray[np.bool_], both: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[Y + 1] how many pixels of the silhouette nothing explains if ``both`` holds below a height and ``sides``
    above it."""
    count, layers = len(cone.silhouette), sides.shape[1]
    layer = np.broadcast_to(np.arange(layers)[None, :, None], sides.shape)
    highest, lowest = np.full(count, -1), np.full(count, layers)
    np.maximum.at(highest, cone.pixel[sides], layer[sides])
    np.minimum.at(lowest, cone.pixel[both], layer[both])
    # Lost from where its highest voxel of ``sides`` is cut off to where its lowest of ``both`` comes in.
    gap = cone.silhouette & (highest < lowest)
    change = np.bincount(highest[gap] + 1, minlength=layers + 2)[: layers + 2]
    change = change - np.bincount(lowest[gap] + 1, minlength=layers + 2)[: layers + 2]
    return np.asarray(np.cumsum(change)[: layers + 1])


def _coverage(cone: _Cone, field: FloatMap) -> float:
    covered = np.zeros(len(cone.silhouette), bool)
    covered[cone.pixel[field > 0]] = True
    return float((covered & cone.silhouette).sum() / max(cone.silhouette.sum(), 1))


def _board(grid: _Grid, cone: _Cone, inside: NDArray[np.bool_], height: float) -> NDArray[np.bool_]:
    """The voxels over ``height`` that the back of a chair or the head of a bed makes needless.

    Over a seat, the hull is a wedge from the back to the front: both silhouettes see the back through it. A back is a
    board across the piece, upright or leaning; the board that explains most of what is seen up there replaces all that
    is seen before and behind it.
    """
    above = inside & (grid.y > height)[None, :, None]
    if not above.any():
        return above
    count = len(cone.silhouette)
    pixel = cone.pixel[above]
    _, up, along = np.nonzero(above)
    over, at = grid.y[up] - height, grid.z[along]
    wanted = np.zeros(count, bool)
    wanted[pixel] = True
    wanted &= cone.silhouette
    best, explained = None, 0.0
    for lean in BOARD_LEANS:
        place = at + lean * over
        for middle in np.arange(grid.z[0], grid.z[-1], 2 * grid.pitch):
            within = np.abs(place - middle) <= BOARD / 2
            covered = np.zeros(count, bool)
            covered[pixel[within]] = True
            share = float((covered & wanted).sum() / max(wanted.sum(), 1))
            if share > explained:
                best, explained = (covered, within), share
    needless = np.zeros_like(inside)
    if best is None or explained < BOARD_SHARE:
        return needless
    covered, within = best
    rows = (count // cone.columns, cone.columns)
    covered = binary_dilation(covered.reshape(rows), iterations=2).ravel()
    needless[above] = ~within & covered[pixel]
    return np.asarray(needless & needless[::-1])


def _under(grid: _Grid, cone: _Cone, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels that only a seat or a top hides: below it, where nothing is seen between the legs.

    A slice of a seat reaches along the whole front, one of the legs below does not. What lies below such a step, on
    lines of sight that the piece above it explains, and over nothing that is seen, is taken for air. Legs go straight
    up to the seat, and a cabinet's body stands on its front.
    """
    needless = np.zeros_like(inside)
    front = _front_share(grid, inside)
    for layer in range(len(grid.y) - 1, 0, -1):
        if not (front[layer] >= WHOLE_FRONT > front[layer - 1]):
            continue
        covered = np.zeros(len(cone.silhouette), bool)
        covered[cone.pixel[:, layer:][inside[:, layer:]]] = True
        below = inside[:, :layer]
        hidden = below & covered[cone.pixel[:, :layer]]
        hidden &= hidden[::-1]
        shown = below & ~hidden
        phantoms = _phantoms(grid, cone, shown)
        hidden &= ~np.logical_or.accumulate(shown & ~phantoms, axis=1)
        needless[:, :layer] |= hidden | phantoms
    return needless


def _phantoms(grid: _Grid, cone: _Cone, legs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Legs where none are: where the cone of one leg meets the mirrored cone of another, between the true ones.

    Args:
        legs: [X, Y', Z] the lowest slices of the hull.
    """
    reach = np.abs(grid.x)[:, None, None] * np.ones(legs.shape)
    pixel = cone.pixel[:, : legs.shape[1]]
    widest = np.zeros(len(cone.silhouette))
    np.maximum.at(widest, pixel[legs], reach[legs])
    inner = legs & (reach < PHANTOM * widest[pixel])
    inner &= inner[::-1]
    parts, count = label(legs, SLICES)
    share = np.bincount(parts[inner], minlength=count + 1) / np.maximum(np.bincount(parts.ravel()), 1)
    phantom = share > PHANTOM_SHARE
    phantom[0] = False
    return np.asarray(phantom[parts])


def _front_share(grid: _Grid, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[Y] share of the piece's width at which a slice reaches the front."""
    reach = np.flatnonzero(inside.any((0, 1)))
    if not len(reach):
        return np.zeros(len(grid.y))
    band = slice(int(reach[-1] - FRONT_BAND * (reach[-1] - reach[0])), None)
    wide = max(int(inside.any((1, 2)).sum()), 1)
    return np.asarray(inside[:, :, band].any(2).sum(0) / wide)


def _seat_layer(grid: _Grid, inside: NDArray[np.bool_]) -> int:
    """How many of the lowest slices reach up to the seat: all of them where the piece has none but its top."""
    whole = np.flatnonzero(_front_share(grid, inside) >= WHOLE_FRONT)
    filled = np.flatnonzero(inside.any((0, 2)))
    if not len(whole):
        return len(grid.y) if not len(filled) else 0
    return len(grid.y) if whole[-1] + 1 > TOP * (filled[-1] + 1) else int(whole[-1]) + 1


def _free(grid: _Grid, cone: _Cone, inside: NDArray[np.bool_], depth: FloatMap) -> NDArray[np.bool_]:
    """The voxels before the surface that a model's depth map shows.

    The map is fitted to the hull's own visible depth with a robust line (iteratively reweighted least squares, Cauchy
    weights). Most of a piece's visible surface is on its hull; a map that does not agree with that is not used.
    """
    count = len(cone.silhouette)
    nearest = np.full(count, np.inf, np.float32)
    np.minimum.at(nearest, cone.pixel[inside], cone.depth[inside])
    farthest = np.full(count, -np.inf, np.float32)
    np.maximum.at(farthest, cone.pixel[inside], cone.depth[inside])
    small = cv2.resize(depth, (cone.columns, count // cone.columns), interpolation=cv2.INTER_AREA).ravel()
    at = np.flatnonzero(cone.silhouette & np.isfinite(nearest) & np.isfinite(small))
    nothing = np.zeros_like(inside)
    if len(at) < 100 or np.ptp(small[at]) == 0:
        return nothing
    model, hull = np.stack([small[at], np.ones(len(at))], -1).astype(np.float64), nearest[at].astype(np.float64)
    weight = np.ones(len(at))
    for _ in range(30):
        root = np.sqrt(weight)[:, None]
        line = np.linalg.lstsq(model * root, hull * root[:, 0], rcond=None)[0]
        error = hull - model @ line
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-6)
        weight = 1 / (1 + (error / (2 * spread)) ** 2)
    if line[0] <= 0 or spread > AGREES * float(np.ptp(np.percentile(hull, [5, 95]))):
        return nothing
    surface = np.full(count, -np.inf)
    surface[at] = model @ line - 2 * spread - 2 * grid.pitch
    # What the silhouette shows must stay: no farther than the last voxel on the line of sight.
    surface = np.minimum(surface, farthest - 2 * grid.pitch)
    return np.asarray(inside & (cone.depth < surface[cone.pixel]))


def _crumbs(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of parts that are too small to be a part of furniture."""
    parts, count = label(inside)
    if count < 2:
        return np.zeros_like(inside)
    sizes = np.bincount(parts.ravel())
    return np.asarray(inside & (sizes < CRUMB * sizes[1:].max())[parts])


def _unexplained(grid: _Grid, cone: _Cone, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The voxels of the silhouette alone where the symmetric shape leaves a hole in it.

    A narrow hole is an error of the camera or the symmetry: it is closed at the depth of what is beside it. A wide one
    is a part that the piece has on one side only.
    """
    count = len(cone.silhouette)
    covered = np.zeros(count, bool)
    nearest, farthest = np.full(count, np.inf, np.float32), np.full(count, -np.inf, np.float32)
    pixel, depth = cone.pixel[kept], cone.depth[kept]
    covered[pixel] = True
    np.minimum.at(nearest, pixel, depth)
    np.maximum.at(farthest, pixel, depth)
    hole = (cone.silhouette & ~covered).reshape(-1, cone.columns)
    away, beside = distance_transform_edt(~covered.reshape(hole.shape), return_indices=True)
    beside = (beside[0] * cone.columns + beside[1]).ravel()
    wide = reconstructed(away > NARROW, hole).ravel()
    inside = hole.ravel()[cone.pixel] & (np.minimum(cone.field, _box_field(grid, *grid.box)) > 0)
    low, high = nearest[beside][cone.pixel], farthest[beside][cone.pixel]
    high = np.minimum(high, low + THICK * grid.pitch)
    return np.asarray(
        inside & (wide[cone.pixel] | ((cone.depth >= low - grid.pitch) & (cone.depth <= high + grid.pitch)))
    )


def reconstructed(seeds: NDArray[np.bool_], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of ``within`` that hold a seed."""
    parts, count = label(within)
    chosen = np.zeros(count + 1, bool)
    chosen[np.unique(parts[seeds & within])] = True
    chosen[0] = False
    return np.asarray(chosen[parts])
