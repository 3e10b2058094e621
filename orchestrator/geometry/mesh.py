"""Triangle meshes: clean, simplify, unwrap, stand on the floor, write as GLB.

Arrays: vertices [V, 3] float64, triangles [T, 3] int32, counter-clockwise seen from outside. glTF's frame: +Y up,
right-handed, metres. Textures from photos are in ``texturing.bake_from_photos``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import fast_simplification
import numpy as np
import trimesh
import xatlas
from numpy.typing import NDArray
from PIL import Image as Pictures
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from orchestrator.domain.dimensions import Dimensions
from orchestrator.domain.images import Image
from orchestrator.errors import ToolFailed
from orchestrator.geometry.cameras import Floats

Triangles = NDArray[np.int32]
MIN_PART = 0.02
"""Parts whose extent is below this share of the whole's diagonal are crumbs."""
ROUGHNESS = 0.7
"""Of furniture in the mean: varnished wood 0.4, fabric 0.9."""
ALIKE = 0.35
"""Difference of unit normals (20°) up to which two triangles belong to one smooth surface."""
FIT_ROUNDS = 15
CHART_PADDING_PX = 4
FLATNESS = 4.0
"""Weight of xatlas' normal deviation (2 by default): photos are projected, so that flat charts blur less."""


@dataclass(frozen=True)
class UvMesh:
    """A mesh whose vertices are split where the texture has seams."""

    vertices: Floats  # [V, 3]
    triangles: Triangles  # [T, 3]
    uv: Floats  # [V, 2] in [0, 1]; (0, 0) is the top left corner of the texture, as in glTF
    normals: Floats  # [V, 3] unit, smooth across seams

    def moved(self, vertices: Floats) -> UvMesh:
        """Return the mesh with the vertices at other places; the shape must be similar."""
        return replace(self, vertices=vertices, normals=vertex_normals(vertices, self.triangles))


def clean_mesh(vertices: Floats, triangles: Triangles, *, min_part: float = MIN_PART) -> tuple[Floats, Triangles]:
    """Merge equal vertices, drop degenerate and double triangles, NaN and crumbs; unused vertices go.

    Args:
        min_part: parts whose bounding-box diagonal is smaller than this share of the largest part's are dropped.

    Raises:
        ToolFailed: nothing is left.
    """
    whole = np.isfinite(vertices).all(1)[triangles].all(1)
    vertices, triangles = _merged(vertices, triangles[whole])
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    triangles = triangles[np.sort(first)]
    if len(triangles):
        triangles = triangles[_large_parts(vertices, triangles, min_part)]
    if not len(triangles):
        raise ToolFailed("the mesh is empty after cleaning")
    return _used(vertices, triangles)


def simplify(vertices: Floats, triangles: Triangles, max_triangles: int) -> tuple[Floats, Triangles]:
    """Collapse edges by quadric error (Garland & Heckbert 1997) until at most ``max_triangles`` are left."""
    if len(triangles) <= max_triangles:
        return vertices, triangles
    points, faces = fast_simplification.simplify(vertices, triangles, target_count=max_triangles, agg=5)
    return np.asarray(points, np.float64), np.asarray(faces, np.int32)


def smooth(vertices: Floats, triangles: Triangles, rounds: int) -> Floats:
    """Take away noise without shrinking (Taubin 1995: one step in, a slightly larger one out)."""
    neighbours = _neighbours(len(vertices), triangles)
    share = 1.0 / np.maximum(np.asarray(neighbours.sum(1)).ravel(), 1.0)
    moved = vertices
    for step in (0.5, -0.53) * rounds:
        moved = moved + step * ((neighbours @ moved) * share[:, None] - moved)
    return np.asarray(moved)


def flatten(vertices: Floats, triangles: Triangles, rounds: int) -> Floats:
    """Take away bumps of flat surfaces and keep their edges.

    The triangles' normals are evened out among those that look almost the same way (bilateral normal filtering, Zheng
    et al. 2011), then the vertices are moved to fit the normals (Sun et al. 2007).
    """
    corners = vertices[triangles]
    normals, area = _normals_and_area(corners)
    pairs = _adjacent(triangles)
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    for _ in range(rounds):
        alike = np.exp(-((normals[pairs[:, 0]] - normals[pairs[:, 1]]) ** 2).sum(1) / (2 * ALIKE**2))
        weight = alike * area[pairs[:, 1]]
        around = csr_array((weight, (pairs[:, 0], pairs[:, 1])), shape=(len(triangles),) * 2)
        normals = around @ normals + area[:, None] * normals
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    member = csr_array(
        (np.ones(triangles.size), (triangles.ravel(), np.repeat(np.arange(len(triangles)), 3))),
        shape=(len(vertices), len(triangles)),
    )
    share = 1.0 / np.maximum(np.asarray(member.sum(1)).ravel(), 1.0)
    moved = vertices
    for _ in range(FIT_ROUNDS):
        centre = moved[triangles].mean(1)
        # Each triangle asks its corners to come into its plane: n n·(centre - corner), the mean over a corner's own.
        at = (normals * centre).sum(1, keepdims=True) * normals
        outer = member @ (normals[:, :, None] * normals[:, None, :]).reshape(-1, 9)
        pull = member @ at - np.einsum("vij,vj->vi", outer.reshape(-1, 3, 3), moved)
        moved = moved + pull * share[:, None]
    return np.asarray(moved)


def unwrap(vertices: Floats, triangles: Triangles) -> UvMesh:
    """Cut the mesh into charts and pack them into one square (xatlas)."""
    normals = vertex_normals(vertices, triangles)
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices.astype(np.float32), triangles.astype(np.uint32), normals.astype(np.float32))
    charts, pack = xatlas.ChartOptions(), xatlas.PackOptions()
    charts.normal_deviation_weight = FLATNESS
    pack.padding = CHART_PADDING_PX
    pack.resolution = 1024  # of the packing only; the texture may have any size
    atlas.generate(charts, pack)
    source, faces, uv = atlas[0]
    return UvMesh(
        vertices=vertices[source],
        triangles=np.asarray(faces, np.int32),
        uv=np.asarray(uv, np.float64),
        normals=normals[source],
    )


def place_on_floor(vertices: Floats, dimensions: Dimensions) -> tuple[Floats, Dimensions]:
    """Scale by the first dimension that is known and put the origin at the bottom centre of the bounding box.

    Returns:
        The moved vertices, and the size of their bounding box: metres where a dimension was known.
    """
    low, high = vertices.min(0), vertices.max(0)
    extent = high - low
    wanted = (dimensions.width_m, dimensions.height_m, dimensions.depth_m)
    scale = next((size / extent[axis] for axis, size in enumerate(wanted) if size > 0 and extent[axis] > 0), 1.0)
    foot = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    width, height, depth = (float(side) for side in extent * scale)
    return (vertices - foot) * scale, Dimensions(width, height, depth)


def write_glb(path: Path, mesh: UvMesh, albedo_srgb: Image, roughness: Image | None = None) -> None:
    """Write the mesh with an opaque, non-metallic material.

    Args:
        albedo_srgb: [H, W, 3] uint8 sRGB texture.
        roughness: [H, W] uint8, 255 is fully rough; without it the whole piece gets ROUGHNESS.
    """
    material = trimesh.visual.material.PBRMaterial(
        name="piece",
        baseColorTexture=_jpeg(albedo_srgb),
        metallicFactor=0.0 if roughness is None else 1.0,
        roughnessFactor=ROUGHNESS if roughness is None else 1.0,
        metallicRoughnessTexture=None if roughness is None else _metallic_roughness(roughness),
    )
    upright = mesh.uv * [1, -1] + [0, 1]  # trimesh counts V from the bottom
    visual = trimesh.visual.TextureVisuals(uv=upright, material=material)
    model = trimesh.Trimesh(mesh.vertices, mesh.triangles, vertex_normals=mesh.normals, visual=visual, process=False)
    scene = trimesh.Scene()
    scene.add_geometry(model, geom_name="piece", node_name="piece")
    path.write_bytes(scene.export(file_type="glb", include_normals=True))


def vertex_normals(vertices: Floats, triangles: Triangles) -> Floats:
    """Return [V, 3] unit normals, weighted by area, the same for vertices at the same place."""
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    _, place = np.unique(vertices, axis=0, return_inverse=True)
    place = place.ravel()
    sums = np.stack(
        [np.bincount(place[triangles].ravel(), np.repeat(faces[:, axis], 3), place.max() + 1) for axis in range(3)], -1
    )
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(np.where(length > 0, sums / np.maximum(length, 1e-30), [0.0, 1.0, 0.0])[place])


def _jpeg(picture: Image) -> Pictures.Image:
    """The picture as JPEG: what a base colour needs, at a tenth of PNG's bytes."""
    packed = io.BytesIO()
    Pictures.fromarray(picture).save(packed, "JPEG", quality=92, subsampling=0)
    return Pictures.open(packed)


def _metallic_roughness(roughness: Image) -> Pictures.Image:
    """glTF keeps roughness in green and metalness in blue."""
    nothing = np.zeros_like(roughness)
    return Pictures.fromarray(np.dstack([nothing, roughness, nothing]))


def _merged(vertices: Floats, triangles: Triangles) -> tuple[Floats, Triangles]:
    if not len(triangles):
        return vertices, triangles
    places, number = np.unique(vertices, axis=0, return_inverse=True)
    return places, number.ravel()[triangles].astype(np.int32)


def _used(vertices: Floats, triangles: Triangles) -> tuple[Floats, Triangles]:
    used, number = np.unique(triangles, return_inverse=True)
    return vertices[used], number.reshape(-1, 3).astype(np.int32)


def _normals_and_area(corners: Floats) -> tuple[Floats, Floats]:
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(across, axis=1)
    return across / np.maximum(length, 1e-30)[:, None], length / 2


def _adjacent(triangles: Triangles) -> NDArray[np.int64]:
    """[E, 2] triangles that share an edge, each pair once."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(triangles)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, owner = edges[order], owner[order]
    same = np.flatnonzero((edges[1:] == edges[:-1]).all(1))
    return np.stack([owner[same], owner[same + 1]], -1)


def _neighbours(count: int, triangles: Triangles) -> csr_array:
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    ends = np.unique(np.sort(ends, axis=1), axis=0)
    ones = np.ones(len(ends))
    half = coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(count, count))
    return (half + half.T).tocsr()


def _large_parts(vertices: Floats, triangles: Triangles, min_part: float) -> NDArray[np.bool_]:
    """[T] whether the triangle belongs to a part that is large enough."""
    count, part = connected_components(_neighbours(len(vertices), triangles), directed=False)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    used = np.unique(triangles)
    np.minimum.at(low, part[used], vertices[used])
    np.maximum.at(high, part[used], vertices[used])
    extent = np.linalg.norm(np.where(np.isfinite(low), high - low, 0.0), axis=1)
    return np.asarray((extent >= min_part * extent.max())[part[triangles[:, 0]]])
