"""Operations on triangle meshes: remove defects, simplify, smooth and flatten."""

from __future__ import annotations

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from orchestrator.errors import ToolFailed
from orchestrator.geometry.arrays import Floats, Triangles

MIN_COMPONENT = 0.02
"""Connected components below this share of the largest component's bounding-box diagonal are debris. Not tuned."""
SIMPLIFY_AGGRESSION = 5
"""Speed against quality in ``fast_simplification``, 0 (best) to 10 (fastest). Not tuned."""
TAUBIN_SHRINK = 0.5
TAUBIN_INFLATE = -0.53
"""Step sizes of the two smoothing passes. The second must be slightly larger in magnitude (Taubin 1995)."""
NORMAL_SIGMA = 0.35
"""Difference of two unit normals (0.35 is 20°) at which the weight in ``flatten`` has fallen to 0.61. Smaller values
keep more creases, larger values flatten more bumps. Not tuned."""
FIT_ROUNDS = 15
"""Iterations that move the vertices to the filtered normals in ``flatten``. Not tuned."""
MIN_LENGTH = 1e-30
"""Avoids a division by zero for degenerate triangles."""


def clean_mesh(
    vertices: Floats, triangles: Triangles, min_component: float = MIN_COMPONENT
) -> tuple[Floats, Triangles]:
    """Merge equal vertices and remove triangles that are degenerate, duplicate, not finite or debris.

    Components whose bounding-box diagonal is smaller than ``min_component`` of the largest one are debris.

    Raises:
        ToolFailed: no triangle is left.
    """
    finite = np.isfinite(vertices).all(1)[triangles].all(1)
    vertices, index = np.unique(vertices, axis=0, return_inverse=True)
    triangles = index[triangles[finite]]
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    if not len(triangles):
        raise ToolFailed("the mesh is empty after cleaning: all triangles are degenerate or not finite")
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    triangles = triangles[np.sort(first)]
    triangles = triangles[_in_large_component(vertices, triangles, min_component)]
    used, index = np.unique(triangles, return_inverse=True)
    return vertices[used], index.reshape(-1, 3).astype(np.int32)


def simplify(vertices: Floats, triangles: Triangles, max_triangles: int) -> tuple[Floats, Triangles]:
    """Collapse edges by quadric error (Garland & Heckbert 1997) until at most ``max_triangles`` are left."""
    if len(triangles) <= max_triangles:
        return vertices, triangles
    simplified = fast_simplification.simplify(vertices, triangles, target_count=max_triangles, agg=SIMPLIFY_AGGRESSION)
    return np.asarray(simplified[0], np.float64), np.asarray(simplified[1], np.int32)


def smooth(vertices: Floats, triangles: Triangles, rounds: int) -> Floats:
    """Return the vertices of the surface after ``rounds`` of smoothing that does not shrink it (Taubin 1995)."""
    adjacency = _vertex_adjacency(len(vertices), triangles)
    weight = 1.0 / np.maximum(np.asarray(adjacency.sum(1)).ravel(), 1.0)
    smoothed = vertices
    for step in (TAUBIN_SHRINK, TAUBIN_INFLATE) * rounds:
        smoothed = smoothed + step * ((adjacency @ smoothed) * weight[:, None] - smoothed)
    return np.asarray(smoothed)


def flatten(vertices: Floats, triangles: Triangles, rounds: int) -> Floats:
    """Return the vertices after removing bumps from flat surfaces in ``rounds`` iterations. Sharp edges stay.

    Bilateral normal filtering (Zheng et al. 2011) smooths the normals among neighbours that face almost the same way.
    The vertices are then fitted to the filtered normals (Sun et al. 2007).
    """
    corners = vertices[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1)
    normals, area = cross / np.maximum(length, MIN_LENGTH)[:, None], length / 2
    pairs = _adjacent_triangles(triangles)
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    for _ in range(rounds):
        difference = ((normals[pairs[:, 0]] - normals[pairs[:, 1]]) ** 2).sum(1)
        weight = np.exp(-difference / (2 * NORMAL_SIGMA**2)) * area[pairs[:, 1]]
        neighbours = csr_array((weight, (pairs[:, 0], pairs[:, 1])), shape=(len(triangles),) * 2)
        normals = neighbours @ normals + area[:, None] * normals
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), MIN_LENGTH)
    return _fit_to_normals(vertices, triangles, normals)


def _fit_to_normals(vertices: Floats, triangles: Triangles, normals: Floats) -> Floats:
    """Move the vertices until the triangles have the given ``normals`` [T, 3].

    Each triangle pulls its corners into its plane: n n·(centroid - corner). A vertex takes the mean over its triangles.
    """
    corner_of = (triangles.ravel(), np.repeat(np.arange(len(triangles)), 3))
    membership = csr_array((np.ones(triangles.size), corner_of), shape=(len(vertices), len(triangles)))
    weight = 1.0 / np.maximum(np.asarray(membership.sum(1)).ravel(), 1.0)
    fitted = vertices
    for _ in range(FIT_ROUNDS):
        centroid = fitted[triangles].mean(1)
        projected = (normals * centroid).sum(1, keepdims=True) * normals
        outer = membership @ (normals[:, :, None] * normals[:, None, :]).reshape(-1, 9)
        pull = membership @ projected - np.einsum("vij,vj->vi", outer.reshape(-1, 3, 3), fitted)
        fitted = fitted + pull * weight[:, None]
    return np.asarray(fitted)


def triangle_edges(triangles: Triangles) -> Triangles:
    """Return the vertices [3 T, 2] at the ends of the sides of all triangles."""
    return np.concatenate([triangles[:, ends] for ends in ([0, 1], [1, 2], [2, 0])])


def _adjacent_triangles(triangles: Triangles) -> NDArray[np.int64]:
    """Return the pairs [E, 2] of triangles that share an edge, each pair once."""
    edges = np.sort(triangle_edges(triangles), axis=1)
    owner = np.tile(np.arange(len(triangles)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, owner = edges[order], owner[order]
    same = np.flatnonzero((edges[1:] == edges[:-1]).all(1))
    return np.stack([owner[same], owner[same + 1]], -1)


def _vertex_adjacency(count: int, triangles: Triangles) -> csr_array:
    """Return the symmetric matrix [count, count] that is 1 where an edge joins two vertices."""
    edges = np.unique(np.sort(triangle_edges(triangles), axis=1), axis=0)
    upper = coo_array((np.ones(len(edges)), edges.T), shape=(count, count))
    return (upper + upper.T).tocsr()


def _in_large_component(vertices: Floats, triangles: Triangles, min_component: float) -> NDArray[np.bool_]:
    """Return for each triangle [T] whether the bounding box of its connected component is large enough."""
    count, component = connected_components(_vertex_adjacency(len(vertices), triangles), directed=False)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    used = np.unique(triangles)
    np.minimum.at(low, component[used], vertices[used])
    np.maximum.at(high, component[used], vertices[used])
    extent = np.linalg.norm(np.where(np.isfinite(low), high - low, 0.0), axis=1)
    return np.asarray((extent >= min_component * extent.max())[component[triangles[:, 0]]])
