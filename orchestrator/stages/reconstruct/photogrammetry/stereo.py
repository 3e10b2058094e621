"""How far each pixel of a photo is, by sweeping planes through the piece and comparing what its neighbours show there.

Two families of planes are swept (Gallup et al. 2007, Real-time plane-sweeping stereo with multiple sweeping
directions): those that face the camera, and horizontal ones, since furniture is full of seats, tops and shelves that a
photo sees at a low angle. Photos are compared by normalised cross-correlation, which light that moves with the camera
leaves alone; what is plain is filled in from its surroundings by semi-global matching (Hirschmüller 2008).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.geometry.cameras import Camera, Floats
from orchestrator.imaging.sampling import sample

Volume = NDArray[np.float32]

MIN_ANGLE_DEG, BEST_ANGLE_DEG, MAX_ANGLE_DEG = 3.0, 14.0, 36.0
"""Between the lines of sight: nearer ones say little of depth, farther ones look too different to match."""
MAX_FORWARD = 0.7
"""Cosine of baseline and line of sight: a camera that only stepped nearer makes no pair."""
WINDOW_PX = 7
NOISE = 2.0
"""Grey levels: structure weaker than this tells nothing."""
MIN_COVER = 0.3
"""Of a window that must lie on the piece in both photos."""
PLAIN, OUTSIDE = 0.5, 1.0
"""Cost of a place where nothing can be compared, and of one that a neighbour's mask excludes; a perfect match is 0."""
UNFRAMED = -1e4
"""Grey level of what lies beyond a photo's frame."""
CAUTION = 0.012
"""Cost of the farthest depth: where nothing tells, the nearest is taken, which carves nothing out of the hull."""
AROUND_PX, DOUBT = 9, 0.25
"""Mean cost around a place from which on the photos are not really alike there, as on plain cloth: the depth that they
tell is chance, and the hull is the better guess."""
STEP, JUMP = 0.03, 0.5
"""Cost of a depth that differs by one label between neighbouring pixels, and of any larger difference."""
EDGE = 12.0
"""Grey levels a pixel: across an edge this strong a jump costs half."""
MIN_LABELS = 16
LABEL_PX = 1.25
"""How far a pixel moves in the farthest neighbour from one label to the next; the minimum is found more finely."""


@dataclass(frozen=True)
class View:
    """One photo with its camera, all of one size. World: +Y up."""

    camera: Camera
    grey: FloatMap  # [H, W] in [0, 255]
    mask: Image  # [H, W] uint8, 255 on the piece


@dataclass(frozen=True)
class _Window:
    """The part of a photo that shows the piece."""

    left: int
    top: int
    width: int
    height: int

    def rays(self, camera: Camera) -> Floats:
        """[H, W, 3] through the middles of the pixels, one unit deep, in the camera's frame."""
        columns = np.arange(self.width) + self.left + 0.5
        rows = np.arange(self.height) + self.top + 0.5
        flat = np.stack([*np.meshgrid(columns, rows), np.ones((self.height, self.width))], -1)
        return np.asarray(flat @ np.linalg.inv(camera.matrix).T)


def neighbours(cameras: Sequence[Camera], middle: Floats, most: int) -> list[list[int]]:
    """For each camera the others to compare it with about ``middle`` [3], best first, at most ``most``."""
    toward = np.stack([camera.position - middle for camera in cameras])
    toward = toward / np.maximum(np.linalg.norm(toward, axis=1, keepdims=True), 1e-12)
    angle = np.degrees(np.arccos(np.clip(toward @ toward.T, -1, 1)))
    chosen = []
    for a, camera in enumerate(cameras):
        good = []
        for b, other in enumerate(cameras):
            step = other.position - camera.position
            length = float(np.linalg.norm(step))
            if a == b or not MIN_ANGLE_DEG <= angle[a, b] <= MAX_ANGLE_DEG:
                continue
            if abs(float(step @ (camera.forward + other.forward))) > 2 * MAX_FORWARD * length:
                continue
            good.append((abs(np.log(angle[a, b] / BEST_ANGLE_DEG)), b))
        chosen.append([b for _, b in sorted(good)[:most]])
    return chosen


def depth_maps(
    views: Sequence[View],
    partners: Sequence[Sequence[int]],
    hull: Floats,
    max_labels: int,
    progress: Progress = no_progress,
) -> list[FloatMap]:
    """Return each photo's depth [H, W] (along the line of sight; NaN beside the piece and where unknown).

    Args:
        partners: for each view the others to compare it with.
        hull: [P, 3] points on the outside of the piece: they bound where to look.
        max_labels: how many depths are told apart at most.
    """
    found: list[FloatMap] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [
            pool.submit(depth_map_of, view, [views[other] for other in others], hull, max_labels)
            for view, others in zip(views, partners, strict=True)
        ]
        try:
            for done, job in enumerate(jobs):
                progress(done / len(jobs), f"depth of photo {done + 1} of {len(jobs)}")
                found.append(job.result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return found


def consistent(
    views: Sequence[View], depths: Sequence[FloatMap], partners: Sequence[Sequence[int]], slack: float
) -> list[FloatMap]:
    """Return the depths without those that no other photo, or more photos against than for it, confirms.

    Args:
        slack: how far apart two photos may see the same place, in units of the world.
    """
    kept = []
    for number, (view, depth) in enumerate(zip(views, depths, strict=True)):
        rows, columns = np.nonzero(np.isfinite(depth))
        camera = view.camera
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], -1) @ np.linalg.inv(camera.matrix).T
        places = (rays * depth[rows, columns, None]) @ camera.world_to_camera[:3, :3] + camera.position
        confirmed, denied = np.zeros(len(rows), int), np.zeros(len(rows), int)
        for other in partners[number]:
            at, far = views[other].camera.project(places)
            seen = sample(depths[other], at.astype(np.float32), nearest=True, outside=float("nan"))
            confirmed += np.abs(seen - far) < slack
            denied += seen - far > slack  # it looks through this place
        good = (confirmed >= 1) & (confirmed >= denied)
        cleaned = np.full_like(depth, np.nan)
        cleaned[rows[good], columns[good]] = depth[rows[good], columns[good]]
        kept.append(cleaned)
    return kept


def depth_map_of(view: View, others: Sequence[View], hull: Floats, max_labels: int) -> FloatMap:
    """Return the depth [H, W] of one photo, from what ``others`` show; NaN beside the piece and where unknown."""
    whole = np.full(view.mask.shape, np.nan, np.float32)
    _, depth = view.camera.project(hull)
    box = cv2.boundingRect(view.mask)
    if not others or not box[2] or depth.min() <= 0:
        return whole
    window = _Window(*box)
    near, far = 1.0 / float(depth.min()), 1.0 / float(depth.max())
    widest = max(float(np.linalg.norm(other.camera.position - view.camera.position)) for other in others)
    wanted = int((near - far) * widest * view.camera.matrix[0, 0] / LABEL_PX)
    inverse = np.linspace(far, near, int(np.clip(wanted, MIN_LABELS, max_labels)))
    cost = _facing_cost(view, others, window, inverse)
    heights = np.linspace(hull[:, 1].min(), hull[:, 1].max(), len(inverse))
    _lower_by_horizontal(cost, view, others, window, inverse, heights, hull)
    cost += np.linspace(CAUTION, 0, len(inverse), dtype=np.float32)
    found = _smoothest(cost, view, window, inverse)
    whole[window.top : window.top + window.height, window.left : window.left + window.width] = found
    return whole


def _facing_cost(view: View, others: Sequence[View], window: _Window, inverse: Floats) -> Volume:
    """[H, W, D] how little the neighbours' pictures look like this one, seen on planes that face the camera."""
    cost = np.empty((window.height, window.width, len(inverse)), np.float32)
    own = _moments(view, window)
    for label, value in enumerate(inverse):
        cost[..., label] = _plane_cost(view, others, window, own, np.array([0.0, 0.0, value]))
    return cost


def _lower_by_horizontal(
    cost: Volume,
    view: View,
    others: Sequence[View],
    window: _Window,
    inverse: Floats,
    heights: Floats,
    hull: Floats,
) -> None:
    """Lower ``cost`` where the neighbours look more alike on the horizontal plane through the same place."""
    camera = view.camera
    normal = camera.world_to_camera[:3, 1]  # world's up in the camera's frame
    level = np.full((window.height, window.width, len(heights)), PLAIN, np.float32)
    for number, height in enumerate(heights):
        away = height - camera.position[1]
        corners = np.array(
            [[x, height, z] for x in np.percentile(hull[:, 0], [0, 100]) for z in np.percentile(hull[:, 2], [0, 100])]
        )
        pixels, depth = camera.project(corners)
        if abs(away) < 1e-6 or depth.min() <= 0:
            continue
        top = int(np.clip(np.floor(pixels[:, 1].min()) - window.top, 0, window.height))
        bottom = int(np.clip(np.ceil(pixels[:, 1].max()) - window.top, 0, window.height))
        if bottom - top < WINDOW_PX:
            continue
        band = _Window(window.left, window.top + top, window.width, bottom - top)
        level[top:bottom, :, number] = _plane_cost(view, others, band, _moments(view, band), normal / away)
    rising = window.rays(camera) @ normal  # height gained a unit of depth
    spacing = heights[1] - heights[0]
    for label, value in enumerate(inverse):
        at = np.asarray((camera.position[1] + rising / value - heights[0]) / spacing, np.float32)
        inside = (at >= 0) & (at <= len(heights) - 1)
        low = np.clip(at.astype(np.int32), 0, len(heights) - 2)
        share = np.clip(at - low, 0, 1)
        a = np.take_along_axis(level, low[..., None], 2)[..., 0]
        b = np.take_along_axis(level, low[..., None] + 1, 2)[..., 0]
        here = np.where(inside, a + (b - a) * share, PLAIN)
        cost[..., label] = np.where(cost[..., label] < OUTSIDE, np.minimum(cost[..., label], here), OUTSIDE)


def _moments(view: View, window: _Window) -> tuple[FloatMap, FloatMap]:
    rows, columns = slice(window.top, window.top + window.height), slice(window.left, window.left + window.width)
    return view.grey[rows, columns], (view.mask[rows, columns] > 127).astype(np.float32)


def _plane_cost(
    view: View, others: Sequence[View], window: _Window, own: tuple[FloatMap, FloatMap], plane: Floats
) -> FloatMap:
    """[H, W] mean cost of the two neighbours that fit best; ``plane`` · X = 1 in the camera's frame."""
    grey, mask = own
    best = second = np.full(grey.shape, PLAIN, np.float32)
    excluded = np.zeros(grey.shape, bool)
    back = np.linalg.inv(view.camera.matrix) @ [[1, 0, window.left + 0.5], [0, 1, window.top + 0.5], [0, 0, 1]]
    size, how = (window.width, window.height), cv2.WARP_INVERSE_MAP
    for number, other in enumerate(others):
        homography = _homography(view.camera, other.camera, plane) @ back
        theirs = cv2.warpPerspective(other.grey, homography, size, flags=cv2.INTER_LINEAR | how, borderValue=[UNFRAMED])
        piece = cv2.warpPerspective(other.mask, homography, size, flags=cv2.INTER_NEAREST | how, borderValue=[255.0])
        both = mask * ((piece > 127) & (theirs >= 0))
        cost = _correlation_cost(grey, np.asarray(theirs, np.float32), both)
        excluded |= piece < 128
        if number == 0:
            best = cost
        else:
            second = np.minimum(second, np.maximum(best, cost))
            best = np.minimum(best, cost)
    return np.asarray(np.where(excluded, OUTSIDE, (best + second) / 2))


def _correlation_cost(a: FloatMap, b: FloatMap, both: FloatMap) -> FloatMap:
    """[H, W] (1 - normalised cross-correlation) / 2 over the part of each window that is on the piece in both."""
    stack = np.dstack([both, both * a, both * b, both * a * a])
    more = np.dstack([both * b * b, both * a * b])
    box = (WINDOW_PX, WINDOW_PX)
    share, mean_a, mean_b, square_a = cv2.split(cv2.boxFilter(stack, -1, box, borderType=cv2.BORDER_CONSTANT))
    square_b, product = cv2.split(cv2.boxFilter(more, -1, box, borderType=cv2.BORDER_CONSTANT))
    scale = 1.0 / np.maximum(share, 1e-6)
    mean_a, mean_b = mean_a * scale, mean_b * scale
    spread_a = np.maximum(square_a * scale - mean_a * mean_a, 0)
    spread_b = np.maximum(square_b * scale - mean_b * mean_b, 0)
    alike = (product * scale - mean_a * mean_b) / (np.sqrt(spread_a * spread_b) + NOISE * NOISE)
    return np.asarray(np.where(share > MIN_COVER, (1 - np.clip(alike, -1, 1)) / 2, PLAIN), np.float32)


def _homography(a: Camera, b: Camera, plane: Floats) -> Floats:
    """[3, 3] from lines of sight of ``a`` by way of the plane to pixels of ``b``, counted as OpenCV does."""
    turn = b.world_to_camera[:3, :3] @ a.world_to_camera[:3, :3].T
    shift = b.world_to_camera[:3, 3] - turn @ a.world_to_camera[:3, 3]
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    return np.asarray(half @ b.matrix @ (turn + np.outer(shift, plane)))


def _smoothest(cost: Volume, view: View, window: _Window, inverse: Floats) -> FloatMap:
    """[H, W] the depth with the least cost when neighbouring pixels are asked to agree, finer than one label."""
    grey, mask = _moments(view, window)
    total = np.zeros_like(cost)
    for axis in (0, 1):
        edge = np.abs(np.diff(grey, axis=axis, prepend=grey.take([0], axis)))
        jump = (JUMP / (1 + edge / EDGE)).astype(np.float32)
        for turned in (False, True):
            # Views of the arrays with the sweep along axis 0.
            c, t, j, m = (np.moveaxis(array, axis, 0) for array in (cost, total, jump, mask))
            if turned:
                c, t, m = c[::-1], t[::-1], m[::-1]
                j = np.roll(j[::-1], 1, axis=0)
            _sweep(c, t, j, m, _level_labels(view, window, inverse, turned) if axis == 0 else None)
    label = total.argmin(2)
    inner = np.clip(label, 1, len(inverse) - 2)[..., None]
    before, here, after = (np.take_along_axis(total, inner + step, 2)[..., 0] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend > 1e-9, np.clip((before - after) / (2 * np.maximum(bend, 1e-9)), -0.5, 0.5), 0)
    exact = np.where(label == inner[..., 0], inner[..., 0] + shift, label)
    depth = 1.0 / np.interp(exact, np.arange(len(inverse)), inverse)
    least = np.take_along_axis(cost, label[..., None], 2)[..., 0]
    known = ((mask > 0) & (least < OUTSIDE - CAUTION)).astype(np.float32)
    box = (AROUND_PX, AROUND_PX)
    around, count = (cv2.boxFilter(one, -1, box, normalize=False) for one in (least * known, known))
    return np.where((known > 0) & (around < DOUBT * count), depth, np.nan).astype(np.float32)


def _level_labels(view: View, window: _Window, inverse: Floats, turned: bool) -> Floats:
    """[H, D] the label in the row before (below, where ``turned``) of the place at the same height."""
    rising = (window.rays(view.camera)[:, window.width // 2] @ view.camera.world_to_camera[:3, 1])[:, None]
    rising = rising[::-1] if turned else rising
    before = np.roll(rising, 1, axis=0)
    before[0] = rising[0]
    steady = np.where(np.abs(rising) > 1e-3, before / np.where(np.abs(rising) > 1e-3, rising, 1), np.inf)
    return np.asarray((inverse * steady - inverse[0]) / (inverse[1] - inverse[0]))


def _sweep(cost: Volume, total: Volume, jump: FloatMap, mask: FloatMap, level: Floats | None) -> None:
    """Add to ``total`` the least cost of a path that comes along axis 0 to each place (Hirschmüller 2008, eq. 13).

    A path may go on at the same depth, or at the same height (``level`` [H, D], labels in the row before) as a seat
    or a top does (Scharstein et al. 2017, Semi-global matching with surface orientation priors).
    """
    path = cost[0] * mask[0][:, None]
    total[0] += path
    last = cost.shape[2] - 1
    for step in range(1, len(cost)):
        least = path.min(1, keepdims=True)
        reached = np.minimum(path, least + jump[step][:, None])
        reached[:, 1:] = np.minimum(reached[:, 1:], path[:, :-1] + STEP)
        reached[:, :-1] = np.minimum(reached[:, :-1], path[:, 1:] + STEP)
        if level is not None:
            inside = np.flatnonzero((level[step] >= 0) & (level[step] <= last))
            if len(inside):
                low = np.minimum(level[step, inside].astype(np.int64), last - 1)
                share = (level[step, inside] - low).astype(np.float32)
                followed = path[:, low] * (1 - share) + path[:, low + 1] * share
                reached[:, inside] = np.minimum(reached[:, inside], followed)
        path = (cost[step] + (reached - least)) * mask[step][:, None]
        total[step] += path
