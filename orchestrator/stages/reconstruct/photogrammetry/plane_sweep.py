"""Computes matching costs by plane sweeping.

Two families of planes are swept (Gallup et al. 2007, Real-time plane-sweeping stereo with multiple sweeping
directions): planes that face the camera, and horizontal planes, because photos show seats, tops and shelves at a low
angle. The cost is based on normalised cross-correlation, which is not affected by light that moves with the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.images import FloatMap, Image
from orchestrator.geometry.arrays import Floats
from orchestrator.geometry.cameras import Camera

Value = TypeVar("Value", bound=np.generic)
Volume = NDArray[np.float32]  # [H, W, D] a value for each pixel and depth label

CORRELATION_WINDOW_PX = 7  # side of the correlation window; not tuned
NOISE_GREY_LEVELS = 2.0  # standard deviation of image noise; weaker structure does not count as correlation; not tuned
MIN_WINDOW_COVER = 0.3  # minimum share of the correlation window that lies on the piece in both photos; not tuned
UNKNOWN_COST = 0.5  # cost where nothing can be compared; a perfect match costs 0
EXCLUDED_COST = 1.0  # cost of a point that lies outside the mask of a neighbour
OUT_OF_FRAME = -1e4  # grey level that stands for "beyond the frame of the photo"


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
        """Return the directions [height, width, 3] through the pixel centres, see ``pixel_rays``."""
        columns, rows = np.meshgrid(np.arange(self.width) + self.left, np.arange(self.height) + self.top)
        return pixel_rays(camera, columns, rows)


def pixel_rays(camera: Camera, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> Floats:
    """Return the directions [..., 3] through the centres of pixels in the camera's frame, with depth 1."""
    homogeneous = np.stack([columns + 0.5, rows + 0.5, np.ones(columns.shape)], -1)
    return np.asarray(homogeneous @ np.linalg.inv(camera.intrinsics).T)


def matching_cost(
    view: StereoView, others: Sequence[StereoView], window: Window, inverse_depths: Floats, hull_points: Floats
) -> Volume:
    """Return the matching cost [H, W, D] in ``window`` at D inverse depths.

    It is the lower cost of two planes through the same point: one that faces the camera and a horizontal one. The
    horizontal planes cover the heights of ``hull_points`` [P, 3].
    """
    cost = np.empty((window.height, window.width, len(inverse_depths)), np.float32)
    heights = np.linspace(hull_points[:, 1].min(), hull_points[:, 1].max(), len(inverse_depths))
    horizontal_cost = _horizontal_plane_cost(view, others, window, heights, hull_points)
    height_per_depth = window.rays(view.camera) @ view.camera.world_to_camera[:3, 1]
    spacing = heights[1] - heights[0]
    for label, inverse_depth in enumerate(inverse_depths):
        height = view.camera.position[1] + height_per_depth / inverse_depth
        position = np.asarray((height - heights[0]) / spacing, np.float32)
        inside = (position >= 0) & (position <= len(heights) - 1)
        low = np.clip(position.astype(np.int32), 0, len(heights) - 2)
        fraction = np.clip(position - low, 0, 1)
        below = np.take_along_axis(horizontal_cost, low[..., None], 2)[..., 0]
        above = np.take_along_axis(horizontal_cost, low[..., None] + 1, 2)[..., 0]
        horizontal = np.where(inside, below + (above - below) * fraction, UNKNOWN_COST)
        facing = _plane_cost(view, others, window, np.array([0.0, 0.0, inverse_depth]))
        cost[..., label] = np.where(facing < EXCLUDED_COST, np.minimum(facing, horizontal), EXCLUDED_COST)
    return cost


def _horizontal_plane_cost(
    view: StereoView, others: Sequence[StereoView], window: Window, heights: Floats, hull_points: Floats
) -> Volume:
    """Return the matching cost [H, W, D] on horizontal planes at ``heights`` [D]."""
    camera = view.camera
    up = camera.world_to_camera[:3, 1]  # the world's up direction in the camera's frame
    cost = np.full((window.height, window.width, len(heights)), UNKNOWN_COST, np.float32)
    (left, _, back), (right, _, front) = hull_points.min(0), hull_points.max(0)
    for number, height in enumerate(heights):
        offset = height - camera.position[1]
        pixels, depth = camera.project(np.array([[x, height, z] for x in (left, right) for z in (back, front)]))
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
    window_to_photo = np.array([[1, 0, window.left + 0.5], [0, 1, window.top + 0.5], [0, 0, 1]])
    pixel_to_ray = np.linalg.inv(view.camera.intrinsics) @ window_to_photo
    size = (window.width, window.height)
    for number, other in enumerate(others):
        homography = _homography(view.camera, other.camera, plane) @ pixel_to_ray
        warp = partial(cv2.warpPerspective, M=homography, dsize=size)
        other_grey = warp(other.grey, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=[OUT_OF_FRAME])
        other_mask = warp(other.mask, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=[255.0])
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
    box = (CORRELATION_WINDOW_PX, CORRELATION_WINDOW_PX)
    moments = (both, both * a, both * b, both * a * a, both * b * b, both * a * b)
    share, mean_a, mean_b, square_a, square_b, product = (
        cv2.boxFilter(moment, -1, box, borderType=cv2.BORDER_CONSTANT) for moment in moments
    )
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
