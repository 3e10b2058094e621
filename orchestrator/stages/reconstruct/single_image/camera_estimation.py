"""Estimates the camera of one photo of a piece of furniture, and the box that the piece fills.

Most furniture has edges along three perpendicular directions, stands on a level floor and is photographed with a level
camera. Two cues follow from this. Straight edges in the photo point to the three vanishing points of the box (Caprile &
Torre 1990, Using vanishing points for camera calibration). The outline of the box encloses the silhouette tightly.
Priors on lens, elevation and proportions decide what the cues leave open. No tuning of the constants is recorded.

World frame: +Y up, the floor at y = 0, the front towards +Z, the Y axis through the centre of the box. The height of
the box is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product

import cv2
import numpy as np
from scipy.optimize import differential_evolution, minimize

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera
from orchestrator.imaging.filters import dilate

FOCAL_LENGTH = 1.25
"""Prior of the focal length as a share of the photo's longer side: 45 mm on 36 mm wide film."""
FOCAL_LOG_SIGMA = 0.22
"""Standard deviation of its logarithm. A phone's 26 mm and a portrait lens's 85 mm are 2.5 and 2.9 sigma away."""
KNOWN_FOCAL_LOG_SIGMA = 0.05
"""The same standard deviation if EXIF contains the focal length."""
ELEVATION_DEG = 16.0
"""Prior of the angle at which product photos look down."""
ELEVATION_SIGMA_DEG = 12.0  # standard deviation of this angle
DEPTH_RATIO = 0.8
"""Prior of depth over width of furniture."""
DEPTH_RATIO_LOG_SIGMA = 0.6
"""Standard deviation of the logarithm of this ratio. The ratio of shelves is 0.3, that of beds 2."""
MAX_AZIMUTH_DEG = 47.0
"""Maximum azimuth: 45°, because the front is the side that faces the camera most, plus 2° of tolerance."""
ROUND_PENALTY = 1.0
"""Prior cost of a round piece, equal to one standard deviation of another prior."""
SEGMENT_SIGMA_DEG = 1.2
"""Angle error of a straight edge at which its cost is 1 - 1/e."""
SEGMENT_END_ERROR_PX = 0.7
"""Position error of a segment's ends. The line segment detector is accurate to about half a pixel."""
MIN_SEGMENT = 0.035
"""Minimum length of a straight edge, as a share of the silhouette's diagonal."""
SEGMENT_MASK_MARGIN = 0.004
"""How far a straight edge may lie outside the mask, as a share of the photo's longer side."""
SLACK_SCALE = 0.3
"""Distance between box and silhouette, as a share of the silhouette's diagonal, beyond which the cost hardly increases,
because a chair leaves half of its box empty."""
CUT_WEIGHT = 8.0
"""Cost of a box that cuts off a part of the silhouette, relative to a box that is too large by the same distance."""
BOX_WEIGHT = 12.0
LINE_WEIGHT = 1.0
PRIOR_WEIGHT = 0.03
"""Weights of the outline of the box, of the straight edges and of the priors in the cost."""
OUTLINE_DIRECTIONS = 64
"""Directions in which the outlines of box and silhouette are compared."""
SECTORS = 6
"""The azimuths are searched in this many sectors, because several sectors may contain a good fit."""
ROUND_SECTORS = 2  # the same for round pieces
GENERATIONS = 150
POPULATION = 8
"""Differential evolution: maximum generations, and population size per parameter."""
INITIAL_STEPS = np.array([0.03, 0.03, 0.04, 0.04, 0.08, 0.02, 0.01, 0.01])
"""[8] the first variation of each parameter in ``refine_view``."""
BOX_CORNERS = np.array(list(product((-1.0, 1.0), repeat=3)))
"""[8, 3] the extreme points of a piece that fills its box, in half sides of the box."""
RIM_ANGLES = np.arange(16) * np.pi / 8
ROUND_OUTLINE = np.array(
    [[r * np.sin(angle), y, r * np.cos(angle)] for r, y in ((1.0, 1.0), (0.7, -1.0)) for angle in RIM_ANGLES]
)
"""[32, 3] the extreme points of a round table or stool, whose foot is smaller than its top."""


@dataclass(frozen=True)
class ViewEstimate:
    """A camera and the box that the piece fills: |x| <= width / 2, 0 <= y <= 1, |z| <= depth / 2."""

    camera: Camera
    width: float  # relative to the height
    depth: float  # relative to the height
    azimuth_deg: float  # of the camera, from the front to the right
    elevation_deg: float
    cost: float  # how badly the estimate explains the photo
    problem: ViewProblem
    parameters: Floats  # [8] of the problem


def estimate_views(
    photo_srgb: Image, mask: Image, focal_px: float | None = None, progress: Progress = no_progress
) -> list[ViewEstimate]:
    """Return the best estimate in each sector of azimuths, sorted by cost. ``focal_px`` is None if it is not known."""
    height, width = mask.shape
    outline = _convex_outline(mask)
    extent = float(np.linalg.norm(np.ptp(outline, axis=0)))
    problem = ViewProblem(
        outline=outline,
        extent=extent,
        segments=_detect_segments(photo_srgb, mask, MIN_SEGMENT * extent),
        size=(width, height),
        focal_px=focal_px or FOCAL_LENGTH * max(width, height),
        focal_log_sigma=KNOWN_FOCAL_LOG_SIGMA if focal_px else FOCAL_LOG_SIGMA,
        extreme_points=BOX_CORNERS,
    )
    round_problem = replace(problem, extreme_points=ROUND_OUTLINE, is_round=True)
    searches = [
        (searched, sector_deg)
        for searched, sectors in ((problem, SECTORS), (round_problem, ROUND_SECTORS))
        for sector_deg in pairwise(np.linspace(-MAX_AZIMUTH_DEG, MAX_AZIMUTH_DEG, sectors + 1))
    ]
    views = [
        _search(searched, sector_deg, partial(progress, number / len(searches), "estimating the camera"))
        for number, (searched, sector_deg) in enumerate(searches)
    ]
    return sorted(views, key=lambda view: view.cost)


def refine_view(view: ViewEstimate, extra_cost: Callable[[ViewEstimate], float], evaluations: int) -> ViewEstimate:
    """Return the estimate near ``view`` with the least cost plus ``extra_cost`` (Nelder & Mead 1965)."""
    problem = view.problem

    def view_at(parameters: Floats) -> ViewEstimate:
        return problem.view(parameters, float(problem.cost(parameters)[0]))

    def total_cost(parameters: Floats) -> float:
        candidate = view_at(parameters)
        return candidate.cost + extra_cost(candidate)

    simplex = np.vstack([view.parameters, view.parameters + np.diag(INITIAL_STEPS)])
    options = {"initial_simplex": simplex, "maxfev": evaluations}
    return view_at(np.asarray(minimize(total_cost, view.parameters, method="Nelder-Mead", options=options).x))


@dataclass(frozen=True)
class ViewProblem:
    """The observations in one photo and the cost of parameters that may explain them.

    Parameters, [8] or [8, K] for K candidates:

    0. azimuth, radians
    1. elevation, radians
    2. logarithm of the focal length over ``focal_px``
    3. logarithm of the width of the box
    4. logarithm of the depth of the box; ignored for round pieces
    5. logarithm of the distance, relative to that at which the box has the size of the silhouette
    6. shift of the box to the right, in units of ``extent``
    7. shift of the box down, in units of ``extent``
    """

    outline: Floats  # [N, 2] px, the convex hull of the silhouette
    extent: float  # px, the diagonal of the silhouette's bounding box
    segments: Floats  # [M, 5] straight edges, see ``_detect_segments``
    size: tuple[int, int]  # width, height of the photo, px
    focal_px: float  # prior
    focal_log_sigma: float
    extreme_points: Floats  # [P, 3] of the piece, in half sides of the box
    is_round: bool = False  # the box is as deep as wide

    def cameras(self, parameters: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the candidates for ``parameters`` [8, K].

        These are rotations [K, 3, 3] and translations [K, 3] from the box centre to the camera, focal lengths [K] px
        and half sides of the box [K, 3].
        """
        azimuth, elevation, log_focal, log_width, log_depth, log_distance, *shift = parameters
        log_depth = log_width if self.is_round else log_depth
        sin_a, cos_a, sin_e, cos_e = np.sin(azimuth), np.cos(azimuth), np.sin(elevation), np.cos(elevation)
        right = [cos_a, np.zeros_like(sin_a), -sin_a]
        down = [sin_e * sin_a, -cos_e, sin_e * cos_a]
        forward = [-cos_e * sin_a, -sin_e, -cos_e * cos_a]
        focal = self.focal_px * np.exp(log_focal)
        half = np.stack([np.exp(log_width) / 2, np.full_like(log_width, 0.5), np.exp(log_depth) / 2], -1)
        diagonal = 2 * np.linalg.norm(half, axis=1)
        distance = focal * diagonal / self.extent * np.exp(log_distance)
        silhouette_centre = (self.outline.min(0) + self.outline.max(0)) / 2
        ray = (silhouette_centre + np.stack(shift, -1) * self.extent - np.array(self.size) / 2) / focal[:, None]
        translation = np.concatenate([ray, np.ones((len(ray), 1))], 1) * distance[:, None]
        rotation = np.stack([np.stack(axis, -1) for axis in (right, down, forward)], 1)
        return rotation, translation, focal, half

    def cost(self, parameters: Floats) -> Floats:
        """Return the cost [K] of ``parameters`` [8] or [8, K]."""
        parameters = parameters.reshape(8, -1)
        rotation, translation, focal, half = self.cameras(parameters)
        box_cost = self._box_cost(rotation, translation, focal, half)
        line_cost = self._line_cost(rotation, focal)
        _, elevation, log_focal, log_width, log_depth = parameters[:5]
        log_depth = log_width if self.is_round else log_depth
        prior_cost = ROUND_PENALTY * self.is_round + (
            (log_focal / self.focal_log_sigma) ** 2
            + ((elevation - np.radians(ELEVATION_DEG)) / np.radians(ELEVATION_SIGMA_DEG)) ** 2
            + ((log_depth - log_width - np.log(DEPTH_RATIO)) / DEPTH_RATIO_LOG_SIGMA) ** 2
        )
        return np.asarray(BOX_WEIGHT * box_cost + LINE_WEIGHT * line_cost + PRIOR_WEIGHT * prior_cost)

    def view(self, parameters: Floats, cost: float) -> ViewEstimate:
        """Return the estimate for ``parameters`` [8]."""
        rotation, translation, focal, half = (values[0] for values in self.cameras(parameters.reshape(8, 1)))
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = rotation
        world_to_camera[:3, 3] = translation - rotation @ [0.0, 0.5, 0.0]  # from the box centre to the floor
        intrinsics = np.array([[focal, 0, self.size[0] / 2], [0, focal, self.size[1] / 2], [0, 0, 1.0]])
        return ViewEstimate(
            camera=Camera(intrinsics, world_to_camera, self.size),
            width=float(2 * half[0]),
            depth=float(2 * half[2]),
            azimuth_deg=float(np.degrees(parameters[0])),
            elevation_deg=float(np.degrees(parameters[1])),
            cost=cost,
            problem=self,
            parameters=parameters,
        )

    def _box_cost(self, rotation: Floats, translation: Floats, focal: Floats, half: Floats) -> Floats:
        """Return the mean cost [K] of the distance between the outlines of the box and the silhouette."""
        points = np.einsum("kij,knj->kni", rotation, self.extreme_points * half[:, None]) + translation[:, None]
        depth = np.maximum(points[..., 2], 1e-3)
        pixels = points[..., :2] * (focal[:, None] / depth)[..., None] + np.array(self.size) / 2
        angle = np.arange(OUTLINE_DIRECTIONS) * (2 * np.pi / OUTLINE_DIRECTIONS)
        directions = np.stack([np.cos(angle), np.sin(angle)], -1)
        # How far the box extends beyond the silhouette in each direction; negative where it cuts the silhouette.
        slack = ((pixels @ directions.T).max(1) - (self.outline @ directions.T).max(0)) / self.extent
        too_large = SLACK_SCALE * (1 - np.exp(-np.maximum(slack, 0) / SLACK_SCALE))
        return np.asarray(np.where(slack >= 0, too_large, -CUT_WEIGHT * slack).mean(1))

    def _line_cost(self, rotation: Floats, focal: Floats) -> Floats:
        """Return the weighted share [K] of the straight edges that point to no vanishing point of the box."""
        centre = self.segments[:, :2] - np.array(self.size) / 2
        direction, sigma, weight = self.segments[:, 2:].T
        # Column i of the rotation is the vanishing point of world axis i in homogeneous coordinates.
        to_x = focal[:, None, None] * rotation[:, 0, :, None] - rotation[:, 2, :, None] * centre[:, 0]
        to_y = focal[:, None, None] * rotation[:, 1, :, None] - rotation[:, 2, :, None] * centre[:, 1]
        expected = np.arctan2(to_y, to_x)
        error = np.abs((expected - direction + np.pi / 2) % np.pi - np.pi / 2).min(1)
        return np.asarray((weight * (1 - np.exp(-((error / sigma) ** 2)))).sum(1))


def _search(problem: ViewProblem, sector_deg: tuple[float, float], report: Callable[[], None]) -> ViewEstimate:
    """Return the best estimate in a sector (differential evolution, Storn & Price 1997). Reports each generation."""
    focal_range = 2.5 * problem.focal_log_sigma
    camera_bounds = [np.radians(sector_deg), np.radians((-3.0, 50.0)), (-focal_range, focal_range)]
    box_bounds = [np.log((0.2, 5.0)), np.log((0.1, 6.0)), (-0.5, 0.5), (-0.2, 0.2), (-0.2, 0.2)]
    options = {"vectorized": True, "updating": "deferred", "rng": 1, "polish": False, "tol": 1e-6}
    options |= {"popsize": POPULATION, "maxiter": GENERATIONS, "callback": lambda *_, **__: report()}
    result = differential_evolution(problem.cost, camera_bounds + box_bounds, **options)
    return problem.view(np.asarray(result.x), float(result.fun))


def _convex_outline(mask: Image) -> Floats:
    """Return the convex hull [N, 2] px of the piece."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.convexHull(np.concatenate(contours))[:, 0] + 0.5, np.float64)


def _detect_segments(photo_srgb: Image, mask: Image, min_length: float) -> Floats:
    """Return the straight edges [M, 5] of the photo and of the mask that lie on the piece.

    Columns: centre x and y (px), direction and its error (radians), weight by length. The weights sum to 1.
    """
    detector = cv2.createLineSegmentDetector()
    detected = [detector.detect(image)[0] for image in (cv2.cvtColor(photo_srgb, cv2.COLOR_RGB2GRAY), mask)]
    ends = np.concatenate([np.zeros((0, 4)), *(lines[:, 0] for lines in detected if lines is not None)])
    centre, vector = (ends[:, :2] + ends[:, 2:]) / 2, ends[:, 2:] - ends[:, :2]
    length = np.linalg.norm(vector, axis=1)
    radius = max(2, round(SEGMENT_MASK_MARGIN * max(mask.shape)))
    near_piece = dilate(mask > 0, radius)
    points = np.stack([ends[:, :2], centre, ends[:, 2:]])
    columns, rows = np.moveaxis(np.clip(points.astype(int), 0, np.array(mask.shape)[::-1] - 1), 2, 0)
    kept = near_piece[rows, columns].all(0) & (length >= min_length)
    centre, vector, length = centre[kept], vector[kept], length[kept]
    sigma = np.maximum(np.radians(SEGMENT_SIGMA_DEG), SEGMENT_END_ERROR_PX / length)
    return np.column_stack([centre, np.arctan2(vector[:, 1], vector[:, 0]), sigma, length / length.sum()])
