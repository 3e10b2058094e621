"""Computes matching costs by plane sweeping.

Two families of planes are swept (Gallup et al. 2007, Real-time plane-sweeping stereo with multiple sweeping
directions): planes that face the camera, and horizontal planes, because photos see seats, tops and shelves at a low
angle. The cost is based on normalised cross-correlation, which is not affected by light that moves with the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera

Value = TypeVar("Value", bound=np.generic)
Volume = NDArray[np.float32]
"""[H, W, D] a value for each pixel and depth label."""

CORRELATION_WINDOW_PX = 7
"""Side of the correlation window. Not tuned."""
NOISE_GREY_LEVELS = 2.0
"""Assumed standard deviation of image noise. Weaker structure does not count as correlation. Not tuned."""
MIN_WINDOW_COVER = 0.3
"""Minimum share of the correlation window that lies on the piece in both photos. Not tuned."""
UNKNOWN_COST = 0.5
"""Cost where nothing can be compared. A perfect match costs 0."""
EXCLUDED_COST = 1.0
"""Cost of a point that lies outside the mask of a neighbour."""
OUT_OF_FRAME = -1e4
"""Grey level that stands for "beyond the frame of the photo"."""


@dataclass(frozen=True)
class StereoView:
    """A grey photo with its mask and camera, all of the same size. The world is upright on +Y."""

    camera: Camera
    grey: FloatMap  # [H, W] in [0, 255]
    mask: Image  # [H, W] uint8, 255 on the piece


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels in a photo."""

    left: int
    top: int
    width: int
    height: int

    def crop(self, image: NDArray[Value]) -> NDArray[Value]:
        """Return the rectangle of ``image`` [H, W]."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def rays(self, camera: Camera) -> Floats:
        """Return the directions [height, width, 3] through the pixel centres in the camera's frame, with depth 1."""
        columns = np.arange(self.width) + self.left + 0.5
        rows = np.arange(self.height) + self.top + 0.5
        homogeneous = np.stack([*np.meshgrid(columns, rows), np.ones((self.height, self.width))], -1)
        return np.asarray(homogeneous @ np.linalg.inv(camera.intrinsics).T)


def facing_plane_cost(view: StereoView, others: Sequence[StereoView], window: Window, inverse_depths: Floats) -> Volume:
    """Return the matching cost [H, W, D] in ``window`` on planes that face the camera at D inverse depths."""
    cost = np.empty((window.height, window.width, len(inverse_depths)), np.float32)
    for label, inverse_depth in enumerate(inverse_depths):
        cost[..., label] = _plane_cost(view, others, window, np.array([0.0, 0.0, inverse_depth]))
    return cost


def lower_by_horizontal_planes(
    cost: Volume,
    view: StereoView,
    others: Sequence[StereoView],
    window: Window,
    inverse_depths: Floats,
    hull_points: Floats,
) -> None:
    """Lower ``cost`` [H, W, D] in place where the horizontal plane through the same point matches better."""
    heights = np.linspace(hull_points[:, 1].min(), hull_points[:, 1].max(), len(inverse_depths))
    horizontal_cost = _horizontal_plane_cost(view, others, window, heights, hull_points)
    camera = view.camera
    height_per_depth = window.rays(camera) @ camera.world_to_camera[:3, 1]
    spacing = heights[1] - heights[0]
    for label, inverse_depth in enumerate(inverse_depths):
        position = np.asarray(
            (camera.position[1] + height_per_depth / inverse_depth - heights[0]) / spacing, np.float32
        )
        inside = (position >= 0) & (position <= len(heights) - 1)
        low = np.clip(position.astype(np.int32), 0, len(heights) - 2)
        fraction = np.clip(position - low, 0, 1)
        a = np.take_along_axis(horizontal_cost, low[..., None], 2)[..., 0]
        b = np.take_along_axis(horizontal_cost, low[..., None] + 1, 2)[..., 0]
        interpolated = np.where(inside, a + (b - a) * fraction, UNKNOWN_COST)
        facing = cost[..., label]
        cost[..., label] = np.where(facing < EXCLUDED_COST, np.minimum(facing, interpolated), EXCLUDED_COST)


def _horizontal_plane_cost(
    view: StereoView, others: Sequence[StereoView], window: Window, heights: Floats, hull_points: Floats
) -> Volume:
    """Return the matching cost [H, W, D] on horizontal planes at ``heights`` [D]."""
    camera = view.camera
    up = camera.world_to_camera[:3, 1]  # the world's up direction in the camera's frame
    cost = np.full((window.height, window.width, len(heights)), UNKNOWN_COST, np.float32)
    for number, height in enumerate(heights):
        offset = height - camera.position[1]
        corners = np.array(
            [
                [x, height, z]
                for x in np.percentile(hull_points[:, 0], [0, 100])
                for z in np.percentile(hull_points[:, 2], [0, 100])
            ]
        )
        pixels, depth = camera.project(corners)
        if abs(offset) < 1e-6 or depth.min() <= 0:
            continue
        top = int(np.clip(np.floor(pixels[:, 1].min()) - window.top, 0, window.height))
        bottom = int(np.clip(np.ceil(pixels[:, 1].max()) - window.top, 0, window.height))
        if bottom - top < CORRELATION_WINDOW_PX:
            continue
        band = Window(window.left, window.top + top, window.width, bottom - top)
        cost[top:bottom, :, number] = _plane_cost(view, others, band, up / offset)
    return cost


def _plane_cost(view: StereoView, others: Sequence[StereoView], window: Window, plane: Floats) -> FloatMap:
    """Return the mean cost [H, W] of the two best neighbours on one plane.

    Args:
        plane: [3]; the plane contains the points X with ``plane`` · X = 1 in the camera's frame.
    """
    grey = window.crop(view.grey)
    mask = (window.crop(view.mask) > 127).astype(np.float32)
    best = second = np.full(grey.shape, UNKNOWN_COST, np.float32)
    excluded = np.zeros(grey.shape, bool)
    pixel_to_ray = np.linalg.inv(view.camera.intrinsics) @ [
        [1, 0, window.left + 0.5],
        [0, 1, window.top + 0.5],
        [0, 0, 1],
    ]
    size, inverse_map = (window.width, window.height), cv2.WARP_INVERSE_MAP
    for number, other in enumerate(others):
        homography = _homography(view.camera, other.camera, plane) @ pixel_to_ray
        other_grey = cv2.warpPerspective(
            other.grey, homography, size, flags=cv2.INTER_LINEAR | inverse_map, borderValue=[OUT_OF_FRAME]
        )
        other_mask = cv2.warpPerspective(
            other.mask, homography, size, flags=cv2.INTER_NEAREST | inverse_map, borderValue=[255.0]
        )
        both = mask * ((other_mask > 127) & (other_grey >= 0))
        cost = _correlation_cost(grey, np.asarray(other_grey, np.float32), both)
        excluded |= other_mask < 128
        if number == 0:
            best = cost
        else:
            second = np.minimum(second, np.maximum(best, cost))
            best = np.minimum(best, cost)
    return np.asarray(np.where(excluded, EXCLUDED_COST, (best + second) / 2))


def _correlation_cost(a: FloatMap, b: FloatMap, both: FloatMap) -> FloatMap:
    """Return (1 - normalised cross-correlation) / 2 [H, W] in a window around each pixel.

    Args:
        both: [H, W] 1 where the pixel lies on the piece in both photos; other pixels are ignored.
    """
    moments = np.dstack([both, both * a, both * b, both * a * a])
    more_moments = np.dstack(
        [both * b * b, both * a * b]
    )  # a second array, because cv2.boxFilter is called with up to 4 channels
    box = (CORRELATION_WINDOW_PX, CORRELATION_WINDOW_PX)
    share, mean_a, mean_b, square_a = cv2.split(cv2.boxFilter(moments, -1, box, borderType=cv2.BORDER_CONSTANT))
    square_b, product = cv2.split(cv2.boxFilter(more_moments, -1, box, borderType=cv2.BORDER_CONSTANT))
    scale = 1.0 / np.maximum(share, 1e-6)
    mean_a, mean_b = mean_a * scale, mean_b * scale
    variance_a = np.maximum(square_a * scale - mean_a * mean_a, 0)
    variance_b = np.maximum(square_b * scale - mean_b * mean_b, 0)
    covariance = product * scale - mean_a * mean_b
    correlation = covariance / (np.sqrt(variance_a * variance_b) + NOISE_GREY_LEVELS * NOISE_GREY_LEVELS)
    cost = (1 - np.clip(correlation, -1, 1)) / 2
    return np.asarray(np.where(share > MIN_WINDOW_COVER, cost, UNKNOWN_COST), np.float32)


def _homography(a: Camera, b: Camera, plane: Floats) -> Floats:
    """Return the homography [3, 3] from rays of ``a`` via the plane to OpenCV pixels of ``b``."""
    rotation = b.world_to_camera[:3, :3] @ a.world_to_camera[:3, :3].T
    translation = b.world_to_camera[:3, 3] - rotation @ a.world_to_camera[:3, 3]
    to_opencv = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])  # OpenCV's first pixel centre is (0, 0)
    return np.asarray(to_opencv @ b.intrinsics @ (rotation + np.outer(translation, plane)))
