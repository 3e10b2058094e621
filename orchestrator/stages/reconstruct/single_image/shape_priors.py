"""Furniture priors that correct the visual hull of a silhouette.

Silhouettes from the side cannot carve the space above a chair's seat, under a table's top or between legs. Knowledge of
furniture, or a depth map, can.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from orchestrator.domain.images import FloatMap
from orchestrator.stages.reconstruct.single_image.symmetry import FULL_WIDTH, front_share
from orchestrator.stages.reconstruct.single_image.visual_cone import VisualCone, Voxels, box_field

BACK_THICKNESS = 0.06
"""Thickness of a chair's back, relative to the height of the piece."""
BACK_LEANS = (0.0, 0.1, 0.2, 0.3)
"""Candidate slopes of a back: how far it leans to the rear, per height."""
MIN_BACK_SHARE = 0.6
"""Minimum share of the silhouette above the seat that a back must cover to replace the rest of the hull there."""
MAX_NARROW_HOLE_VOXELS = 5.0
"""Maximum half width of a narrow hole in the silhouette."""
HOLE_DEPTH_VOXELS = 5.0
"""Maximum depth of the voxels that close a narrow hole."""
PHANTOM_REACH = 0.65
"""Maximum distance of a phantom leg from the middle plane, relative to the farthest leg on the same line of sight."""
MIN_PHANTOM_SHARE = 0.8
"""Minimum share of a leg that lies within PHANTOM_REACH for the leg to be a phantom."""
SAME_SLICE = np.zeros((3, 3, 3), int)
SAME_SLICE[:, 1] = 1
"""Structuring element that connects voxels within one horizontal slice."""
MAX_DEPTH_SPREAD = 0.05
"""Maximum deviation of a depth map from the depth of the hull, divided by its range. Worse maps are ignored."""
MIN_DEPTH_PIXELS = 100
"""Minimum number of coarse pixels for the fit of a depth map."""
DEPTH_FIT_ROUNDS = 30
MIN_COMPONENT = 0.01
"""Disconnected parts below this share of the largest part's volume are removed."""


def hidden_below_seat(cone: VisualCone, inside: Voxels) -> Voxels:
    """Return the voxels to remove below a seat or a top: the space between the legs that only the seat hides.

    A slice of a seat reaches the front along the whole width; a slice of the legs does not. Voxels below such a step
    are empty if the shape above the step covers their line of sight and if no voxel that is visible in the silhouette
    is below them. Legs and cabinet bodies are kept because they reach up to the step.
    """
    hidden = np.zeros_like(inside)
    is_full = front_share(inside) >= FULL_WIDTH
    for layer in np.flatnonzero(is_full[1:] & ~is_full[:-1]) + 1:
        covered = cone.pixel_mask(cone.pixel[:, layer:][inside[:, layer:]])
        below = inside[:, :layer]
        hidden_below = below & covered[cone.pixel[:, :layer]]
        hidden_below &= hidden_below[::-1]  # hidden in the photo and in its mirror image
        visible = below & ~hidden_below
        phantoms = _phantom_legs(cone, visible)
        hidden_below &= ~np.logical_or.accumulate(visible & ~phantoms, axis=1)
        hidden[:, :layer] |= hidden_below | phantoms
    return hidden


def _phantom_legs(cone: VisualCone, legs: Voxels) -> Voxels:
    """Return phantom legs: intersections of one leg's visual cone with the mirrored cone of another leg.

    They stand between the real legs, closer to the middle plane. ``legs`` contains only the slices below the seat.
    """
    distance = np.broadcast_to(np.abs(cone.grid.x)[:, None, None], legs.shape)
    pixel = cone.pixel[:, : legs.shape[1]]
    farthest = np.zeros(len(cone.silhouette))
    np.maximum.at(farthest, pixel[legs], distance[legs])
    inner = legs & (distance < PHANTOM_REACH * farthest[pixel])
    inner &= inner[::-1]
    components, count = label(legs, SAME_SLICE)
    inner_share = np.bincount(components[inner], minlength=count + 1) / np.maximum(np.bincount(components.ravel()), 1)
    is_phantom = inner_share > MIN_PHANTOM_SHARE
    is_phantom[0] = False  # component 0 is the space between the legs
    return np.asarray(is_phantom[components])


def replaced_by_back(cone: VisualCone, inside: Voxels, seat_height: float) -> Voxels:
    """Return the voxels above the seat that the back of a chair or the headboard of a bed replaces.

    Above a seat, the hull is a wedge from the back to the front, which projects to the same pixels as the back alone. A
    back is an upright or leaning board across the piece. The board that covers most of the silhouette above the seat
    replaces the voxels in front of it and behind it.
    """
    grid = cone.grid
    above = inside & (grid.y > seat_height)[:, None]
    pixel = cone.pixel[above]
    _, y_index, z_index = np.nonzero(above)
    height_above_seat, z = grid.y[y_index] - seat_height, grid.z[z_index]
    required = cone.pixel_mask(pixel) & cone.silhouette
    best_board, best_count = np.zeros(len(pixel), bool), 0
    for lean in BACK_LEANS:
        upright_z = z + lean * height_above_seat
        for centre in np.arange(grid.z[0], grid.z[-1], 2 * grid.pitch):
            board = np.abs(upright_z - centre) <= BACK_THICKNESS / 2
            count = int((cone.pixel_mask(pixel[board]) & required).sum())
            if count > best_count:
                best_board, best_count = board, count
    removed = np.zeros_like(inside)
    if best_count and best_count / required.sum() >= MIN_BACK_SHARE:
        covered = cone.pixel_mask(pixel[best_board]).reshape(-1, cone.columns)
        removed[above] = ~best_board & binary_dilation(covered, iterations=2).ravel()[pixel]
    return np.asarray(removed & removed[::-1])


def in_front_of_depth(cone: VisualCone, inside: Voxels, depth: FloatMap) -> Voxels:
    """Return the voxels in front of the surface in the depth map ``depth`` [h, w], whose scale and offset are unknown.

    Most of the visible surface of a piece lies on its hull. The map is therefore fitted to the visible depth of the
    hull with a robust line. If it does not fit, no voxel is returned.
    """
    nearest, farthest = _depth_range(cone, inside)
    size = cone.columns, len(cone.silhouette) // cone.columns
    small = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_AREA), np.float32).ravel()
    pixels = np.flatnonzero(cone.silhouette & np.isfinite(nearest) & np.isfinite(small))
    if len(pixels) < MIN_DEPTH_PIXELS or np.ptp(small[pixels]) == 0:
        return np.zeros_like(inside)
    hull_depth = nearest[pixels].astype(np.float64)
    fitted, slope, spread = _fit_line(small[pixels], hull_depth)
    if slope <= 0 or spread > MAX_DEPTH_SPREAD * float(np.ptp(np.percentile(hull_depth, [5, 95]))):
        return np.zeros_like(inside)
    surface = np.full(len(small), -np.inf)
    surface[pixels] = fitted - 2 * spread - 2 * cone.grid.pitch
    # The last voxels on each line of sight stay, so that the silhouette is still covered.
    surface = np.minimum(surface, farthest - 2 * cone.grid.pitch)
    return np.asarray(inside & (cone.depth < surface[cone.pixel]))


def _fit_line(x: FloatMap, y: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Fit ``y`` [N] by a line in ``x`` [N] (iteratively reweighted least squares with Cauchy weights).

    Returns the fitted values [N], the slope, and a robust standard deviation of the residuals.
    """
    design = np.stack([x, np.ones(len(x))], -1).astype(np.float64)
    weight = np.ones(len(x))
    for _ in range(DEPTH_FIT_ROUNDS):
        root = np.sqrt(weight)[:, None]
        line = np.linalg.lstsq(design * root, y * root[:, 0], rcond=None)[0]
        residual = y - design @ line
        spread = max(1.4826 * float(np.median(np.abs(residual))), 1e-6)  # 1.4826 × MAD
        weight = 1 / (1 + (residual / (2 * spread)) ** 2)
    return design @ line, float(line[0]), spread


def closing_voxels(cone: VisualCone, kept: Voxels) -> Voxels:
    """Return voxels of the silhouette's cone that close the holes which the shape ``kept`` leaves in the silhouette.

    A narrow hole is an error of the camera or of the symmetry. It is closed at the depth of its surroundings. A wide
    hole is an asymmetric part of the piece. It gets all voxels of the cone within the box.
    """
    grid = cone.grid
    nearest, farthest = _depth_range(cone, kept)
    uncovered = np.isinf(nearest).reshape(-1, cone.columns)
    hole = cone.silhouette.reshape(uncovered.shape) & uncovered
    distance, closest = distance_transform_edt(uncovered, return_indices=True)
    closest_pixel = (closest[0] * cone.columns + closest[1]).ravel()[cone.pixel]
    components, _ = label(hole)
    wide = np.isin(components, components[hole & (distance > MAX_NARROW_HOLE_VOXELS)])
    in_hole = hole.ravel()[cone.pixel] & (np.minimum(cone.field, box_field(grid, *grid.box)) > 0)
    low, high = nearest[closest_pixel], farthest[closest_pixel]
    high = np.minimum(high, low + HOLE_DEPTH_VOXELS * grid.pitch)
    at_surroundings = (cone.depth >= low - grid.pitch) & (cone.depth <= high + grid.pitch)
    return np.asarray(in_hole & (wide.ravel()[cone.pixel] | at_surroundings))


def small_components(inside: Voxels) -> Voxels:
    """Return the voxels of components that are too small to belong to the piece."""
    components, count = label(inside)
    if count < 2:
        return np.zeros_like(inside)
    sizes = np.bincount(components.ravel())
    return np.asarray(inside & (sizes < MIN_COMPONENT * sizes[1:].max())[components])


def _depth_range(cone: VisualCone, inside: Voxels) -> tuple[FloatMap, FloatMap]:
    """Return the smallest and the largest depth of ``inside`` in each coarse pixel, infinite where there is none."""
    count = len(cone.silhouette)
    nearest, farthest = np.full(count, np.inf, np.float32), np.full(count, -np.inf, np.float32)
    np.minimum.at(nearest, cone.pixel[inside], cone.depth[inside])
    np.maximum.at(farthest, cone.pixel[inside], cone.depth[inside])
    return nearest, farthest
