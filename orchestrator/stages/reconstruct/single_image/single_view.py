"""Where the camera of one photo of a piece of furniture stood, and the box that the piece fills.

Most furniture is made of edges along three directions at right angles, stands on a level floor and is photographed
with a level camera. Two cues follow: the photo's straight edges run to the three vanishing points of the box
(Caprile & Torre 1990, Using vanishing points for camera calibration), and the box's outline is the tightest around
the silhouette. What they leave open, usual lenses and proportions decide.

World frame: +Y up, the floor at y = 0, the front towards +Z, the Y axis through the middle of the box; its height is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from scipy.optimize import differential_evolution, minimize

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.geometry.cameras import Camera, Floats

FOCAL, FOCAL_SPREAD = 1.25, 0.22
"""Usual focal length as a share of the photo's longer side (45 mm on 36 mm film), and how its logarithm varies:
a phone's 26 mm and a portrait lens' 85 mm are two to three times that away."""
KNOWN_SPREAD = 0.05
"""The same where the file names its focal length."""
ELEVATION_DEG, ELEVATION_SPREAD_DEG = 16.0, 12.0
"""How far product photos look down."""
DEPTH_SHARE, DEPTH_SPREAD = 0.8, 0.6
"""Depth over width of furniture, and how its logarithm varies: from shelves (0.3) to beds (2)."""
FRONT_DEG = 47.0
"""The front is the side that faces the camera more; 2° of slack for the ones that are seen right at a corner."""
STEPS = np.array([0.03, 0.03, 0.04, 0.04, 0.08, 0.02, 0.01, 0.01])
"""How far each number of a guess is varied at first when it is refined."""
DIRECTIONS = 64
BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
_TURN = np.arange(16) * np.pi / 8
ROUND = np.array([[r * np.sin(t), y, r * np.cos(t)] for r, y in ((1.0, 1), (0.7, -1)) for t in _TURN], np.float64)
"""What fills a box to its corners; and a round table or stool, whose foot is smaller than its top."""
ROUND_PRIOR = 1.0
SEGMENT_SLACK_DEG = 1.2
SHORTEST_SEGMENT = 0.035
"""Of the silhouette's diagonal."""
ROOM = 0.3
"""Of the silhouette's diagonal: beyond this, more room between the box and the piece counts less. A chair leaves its
box half empty."""
CUT_WEIGHT = 8.0
"""How much worse it is to cut the piece by the box than to leave room in it."""
BOX_WEIGHT, LINE_WEIGHT, PRIOR_WEIGHT = 12.0, 1.0, 0.03
SECTORS, ROUND_SECTORS, GENERATIONS = 6, 2, 150
"""The search is done for each sixth of the azimuths, as far puzzles have several good answers."""


@dataclass(frozen=True)
class View:
    """The camera, and the box that the piece fills: x within ± width / 2, y from 0 to 1, z within ± depth / 2."""

    camera: Camera
    width: float  # over height
    depth: float  # over height
    azimuth_deg: float  # the camera stands this far to the right of the front
    elevation_deg: float
    cost: float  # how badly it explains the photo
    puzzle: Puzzle
    guess: Floats  # the puzzle's answer


def estimate_views(
    photo_srgb: Image, mask: Image, focal: float | None = None, progress: Progress = no_progress
) -> list[View]:
    """Find cameras and boxes that explain the photo, the likeliest first, each from another side.

    Args:
        photo_srgb: [H, W, 3] uint8.
        mask: [H, W] uint8, 255 on the piece.
        focal: the focal length in pixels, where it is known.
    """
    height, width = mask.shape
    outline = _outline(mask)
    extent = float(np.linalg.norm(np.ptp(outline, axis=0)))
    puzzle = Puzzle(
        outline=outline,
        extent=extent,
        segments=_segments(photo_srgb, mask, SHORTEST_SEGMENT * extent),
        size=(width, height),
        focal=(focal or FOCAL * max(width, height), KNOWN_SPREAD if focal else FOCAL_SPREAD),
        solid=BOX,
    )
    edges = np.linspace(-FRONT_DEG, FRONT_DEG, SECTORS + 1)
    searches = [(puzzle, *pair) for pair in pairwise(edges)]
    middle = np.linspace(-FRONT_DEG, FRONT_DEG, ROUND_SECTORS + 1)
    searches += [(replace(puzzle, solid=ROUND, round=True), *pair) for pair in pairwise(middle)]
    views = []
    for number, (guessed, low_deg, high_deg) in enumerate(searches):

        def report(*_: object, number: int = number, **__: object) -> None:
            progress(number / len(searches), "looking for the camera")

        found = differential_evolution(
            guessed.cost,
            guessed.bounds(low_deg, high_deg),
            vectorized=True,
            popsize=8,
            maxiter=GENERATIONS,
            tol=1e-6,
            updating="deferred",
            rng=1,
            polish=False,
            callback=report,
        )
        views.append(guessed.view(np.asarray(found.x), float(found.fun)))
    return sorted(views, key=lambda view: view.cost)


def refined(view: View, extra_cost: Callable[[View], float], evaluations: int) -> View:
    """Return the best view near ``view``, ``extra_cost`` considered (Nelder & Mead 1965)."""
    puzzle = view.puzzle

    def seen(guess: Floats) -> View:
        return puzzle.view(guess, float(puzzle.cost(guess)[0]))

    def cost(guess: Floats) -> float:
        tried = seen(guess)
        return tried.cost + extra_cost(tried)

    simplex = np.vstack([view.guess, view.guess + np.diag(STEPS)])
    found = minimize(
        cost, view.guess, method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": evaluations}
    )
    return seen(np.asarray(found.x))


@dataclass(frozen=True)
class Puzzle:
    """What is known, and how well a guess explains it. A guess: azimuth, elevation (radians), log focal length over
    the usual one, log width, log depth, log distance over what fills the silhouette, shift right and down."""

    outline: Floats  # [N, 2] px, convex
    extent: float  # px, the diagonal of its bounding box
    segments: Floats  # [M, 5] x, y of the middle, direction, weight; the weights add up to 1
    size: tuple[int, int]
    focal: tuple[float, float]  # px, and the spread of its logarithm
    solid: Floats  # [P, 3] the outermost points of what fills the box, in half sides
    round: bool = False  # as deep as wide

    def bounds(self, low_deg: float, high_deg: float) -> list[tuple[float, float]]:
        spread = 2.5 * self.focal[1]
        return [
            (np.radians(low_deg), np.radians(high_deg)),
            (np.radians(-3.0), np.radians(50.0)),
            (-spread, spread),
            (np.log(0.2), np.log(5.0)),
            (np.log(0.1), np.log(6.0)),
            (-0.5, 0.5),
            (-0.2, 0.2),
            (-0.2, 0.2),
        ]

    def cameras(self, guess: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Rotations [K, 3, 3], shifts [K, 3], focal lengths [K] and half boxes [K, 3] of ``guess`` [8, K]."""
        azimuth, elevation, lens, wide, deep, far, right, down = guess
        deep = wide if self.round else deep
        sin_a, cos_a, sin_e, cos_e = np.sin(azimuth), np.cos(azimuth), np.sin(elevation), np.cos(elevation)
        zero = np.zeros_like(sin_a)
        rotation = np.stack(
            [
                np.stack([cos_a, zero, -sin_a], -1),
                np.stack([sin_e * sin_a, -cos_e, sin_e * cos_a], -1),
                np.stack([-cos_e * sin_a, -sin_e, -cos_e * cos_a], -1),
            ],
            1,
        )
        focal = self.focal[0] * np.exp(lens)
        half = np.stack([np.exp(wide) / 2, np.full_like(wide, 0.5), np.exp(deep) / 2], -1)
        # The middle of the box is seen near the middle of the silhouette, from where the box fills it.
        middle = (self.outline.min(0) + self.outline.max(0)) / 2
        reach = 2 * np.linalg.norm(half, axis=1)
        distance = focal * reach / self.extent * np.exp(far)
        ray_x = (middle[0] + right * self.extent - self.size[0] / 2) / focal
        ray_y = (middle[1] + down * self.extent - self.size[1] / 2) / focal
        return rotation, np.stack([ray_x * distance, ray_y * distance, distance], -1), focal, half

    def cost(self, guess: Floats) -> Floats:
        guess = guess.reshape(8, -1)
        rotation, shift, focal, half = self.cameras(guess)
        corners = np.einsum("kij,knj->kni", rotation, self.solid * half[:, None]) + shift[:, None]
        depth = np.maximum(corners[..., 2], 1e-3)
        pixels = corners[..., :2] * (focal[:, None] / depth)[..., None] + np.array(self.size) / 2
        turn = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
        toward = np.stack([np.cos(turn), np.sin(turn)], -1)
        room = ((pixels @ toward.T).max(1) - (self.outline @ toward.T).max(0)) / self.extent
        box = np.where(room >= 0, ROOM * (1 - np.exp(-np.maximum(room, 0) / ROOM)), -CUT_WEIGHT * room).mean(1)
        _, elevation, lens, wide, deep = guess[:5]
        deep = wide if self.round else deep
        prior = ROUND_PRIOR * self.round + (
            (lens / self.focal[1]) ** 2
            + ((elevation - np.radians(ELEVATION_DEG)) / np.radians(ELEVATION_SPREAD_DEG)) ** 2
            + ((deep - wide - np.log(DEPTH_SHARE)) / DEPTH_SPREAD) ** 2
        )
        return np.asarray(BOX_WEIGHT * box + LINE_WEIGHT * self._lines(rotation, focal) + PRIOR_WEIGHT * prior)

    def _lines(self, rotation: Floats, focal: Floats) -> Floats:
        """[K] the share of the photo's straight edges that run along none of the box's directions."""
        if not len(self.segments):
            return np.zeros(len(focal))
        middle, angle, weight = self.segments[:, :2] - np.array(self.size) / 2, self.segments[:, 2], self.segments[:, 4]
        # Column i of the rotation is where world axis i vanishes.
        to_x = focal[:, None, None] * rotation[:, 0, :, None] - rotation[:, 2, :, None] * middle[:, 0]
        to_y = focal[:, None, None] * rotation[:, 1, :, None] - rotation[:, 2, :, None] * middle[:, 1]
        along = np.arctan2(to_y, to_x)
        error = np.abs((along - angle + np.pi / 2) % np.pi - np.pi / 2).min(1)
        return np.asarray((weight * (1 - np.exp(-((error / self.segments[:, 3]) ** 2)))).sum(1))

    def view(self, guess: Floats, cost: float) -> View:
        rotation, shift, focal, half = (values[0] for values in self.cameras(guess.reshape(8, 1)))
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = rotation
        world_to_camera[:3, 3] = shift - rotation @ [0.0, 0.5, 0.0]  # the box stands on the floor
        matrix = np.array([[focal, 0, self.size[0] / 2], [0, focal, self.size[1] / 2], [0, 0, 1.0]])
        return View(
            camera=Camera(matrix, world_to_camera, self.size),
            width=float(2 * half[0]),
            depth=float(2 * half[2]),
            azimuth_deg=float(np.degrees(guess[0])),
            elevation_deg=float(np.degrees(guess[1])),
            cost=cost,
            puzzle=self,
            guess=guess,
        )


def _outline(mask: Image) -> Floats:
    """[N, 2] px, the convex outline of the piece."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = cv2.convexHull(np.concatenate(contours))[:, 0].astype(np.float64)
    return np.asarray(points + 0.5)


def _segments(photo_srgb: Image, mask: Image, shortest: float) -> Floats:
    """[M, 5] the straight edges on the piece: x, y of the middle, direction, its slack (radians), weight."""
    detector = cv2.createLineSegmentDetector()
    grey = cv2.cvtColor(photo_srgb, cv2.COLOR_RGB2GRAY)
    radius = max(2, round(0.004 * max(mask.shape)))
    near = cv2.dilate(mask, np.ones((2 * radius + 1,) * 2, np.uint8))
    found = []
    for picture in (grey, mask):
        lines = detector.detect(picture)[0]
        if lines is not None:
            found.append(lines[:, 0].astype(np.float64))
    if not found:
        return np.zeros((0, 5))
    ends = np.concatenate(found)
    middle, across = (ends[:, :2] + ends[:, 2:]) / 2, ends[:, 2:] - ends[:, :2]
    length = np.linalg.norm(across, axis=1)
    on = np.stack(
        [
            near[tuple(np.clip(at[:, ::-1].astype(int), 0, np.array(mask.shape) - 1).T)] > 0
            for at in (ends[:, :2], middle, ends[:, 2:])
        ]
    ).all(0)
    kept = on & (length >= shortest)
    if not kept.any():
        return np.zeros((0, 5))
    middle, across, length = middle[kept], across[kept], length[kept]
    slack = np.maximum(np.radians(SEGMENT_SLACK_DEG), 0.7 / length)  # LSD places ends to about half a pixel
    return np.column_stack([middle, np.arctan2(across[:, 1], across[:, 0]), slack, length / length.sum()])
