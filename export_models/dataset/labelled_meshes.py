"""Reads third-party meshes from their archives and writes them with their labels.

A mesh is rotated by the ``modelRotation`` of the catalogue, and then as by Blender's OBJ import with Y up and -Z
forward. The result has +X right, +Y back and +Z up, so that the piece faces -Y.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.furniture_package import INSTALLED
from export_models.dataset.labels import LabelledMesh, label_faces
from export_models.dataset.obj_mesh import Floats, Ints, ObjMesh, read_obj

CATALOGUE = "PluginFurnitureCatalog.properties"
"""File in each archive with the height and the rotation of its meshes."""


def read_mesh(labelled: LabelledMesh, folder: Path = INSTALLED) -> ObjMesh:
    """Read a mesh upright, in metres, centred on the floor, with its faces cut at ``labelled.cuts``.

    Args:
        folder: contains the ``.sh3f`` archives.

    Raises:
        FileNotFoundError: the archive is not in ``folder``.
        KeyError: the archive has no such mesh.
    """
    with zipfile.ZipFile(folder / f"{labelled.archive}.sh3f") as archive:
        return read_mesh_from(archive, labelled)


def read_mesh_from(archive: zipfile.ZipFile, labelled: LabelledMesh) -> ObjMesh:
    """Read a mesh from an open archive, see ``read_mesh``.

    Use it to read several meshes of one archive: opening an archive is slow, because it has thousands of files.
    """
    mesh = read_obj(archive.read(labelled.path))
    height_m, rotation = _catalogue_entry(archive.read(CATALOGUE).decode("latin-1"), labelled.path)
    x, y, z = rotation @ mesh.vertices.T
    points = np.stack([x, -z, y], 1)
    low, high = points.min(0), points.max(0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    scale = height_m / max(high[2] - low[2], 1e-9)
    normal_x, normal_y, normal_z = rotation @ mesh.normals.reshape(-1, 3).T
    normals = np.stack([normal_x, -normal_z, normal_y], 1).reshape(mesh.normals.shape)
    mesh = replace(mesh, vertices=(points - origin) * scale, normals=normals)
    for axis, shares in labelled.cuts.items():
        for share in shares:
            mesh = cut_at_plane(mesh, "xyz".index(axis), share)
    return mesh


def _catalogue_entry(catalogue: str, path: str) -> tuple[float, Floats]:
    """Return the height in metres, and the rotation [3, 3] that makes the OBJ upright and face +Z."""
    entry = re.search(rf"^model#(\d+)\s*=\s*/?{re.escape(path)}\s*$", catalogue, re.MULTILINE)
    if entry is None:
        raise KeyError(f"The furniture catalogue has no model {path!r}.")
    values = dict(re.findall(rf"^(\w+)#{entry[1]}\s*=\s*(.*?)\s*$", catalogue, re.MULTILINE))
    rotation = np.array(values.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), np.float64)
    return float(values["height"]) / 100, rotation.reshape(3, 3)


def cut_at_plane(mesh: ObjMesh, axis: int, share: float) -> ObjMesh:
    """Cut each triangle that crosses a plane into three, so that rules can label its two sides differently.

    Args:
        axis: axis perpendicular to the plane.
        share: position of the plane as a share of the bounding box.
    """
    position = mesh.vertices[mesh.triangles][:, :, axis]  # [T, 3]
    low, high = position.min(), position.max()
    plane = low + share * (high - low)
    side = position - plane >= 0
    crossing = np.flatnonzero(side.any(1) & ~side.all(1))
    one_above = side[crossing].sum(1) == 1  # otherwise one corner is below the plane
    single = np.argmax(side[crossing] == one_above[:, None], 1)  # index of the corner that is alone on its side
    order = (single[:, None] + np.arange(3)) % 3
    first, second, third = np.take_along_axis(position[crossing], order, 1).T
    weights = np.stack([(plane - first) / (second - first), (plane - first) / (third - first)], 1)[:, :, None]
    kept = np.delete(np.arange(len(mesh.triangles)), crossing)
    source = np.concatenate([kept, np.tile(crossing, 3)])
    corners = _split_corners(mesh.vertices[mesh.triangles[crossing]], order, weights)
    new_vertices, new_triangles = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return ObjMesh(
        np.concatenate([mesh.vertices, new_vertices]),
        np.concatenate([mesh.triangles[kept], new_triangles.reshape(-1, 3) + len(mesh.vertices)]),
        np.concatenate([mesh.uv[kept], _split_corners(mesh.uv[crossing], order, weights)]),
        np.concatenate([mesh.normals[kept], _split_corners(mesh.normals[crossing], order, weights)]),
        mesh.material[source],
        mesh.material_names,
        mesh.group[source],
        mesh.group_names,
    )


def _split_corners(corners: Floats, order: Ints, weights: Floats) -> Floats:
    """Split triangles along the line between two of their edges and interpolate their corner values.

    Args:
        corners: [C, 3, K] values at the corners.
        order: [C, 3] corner indices, starting with the corner that is alone on its side.
        weights: [C, 2, 1] position of the line on the two edges from that corner.

    Returns:
        [3C, 3, K] values at the corners of the first, the second and the third triangle of each.
    """
    a, b, c = np.take_along_axis(corners, order[:, :, None], 1).transpose(1, 0, 2)
    ab, ac = a + weights[:, 0] * (b - a), a + weights[:, 1] * (c - a)
    return np.concatenate([np.stack(triangle, 1) for triangle in ((a, ab, ac), (ab, b, c), (ab, c, ac))])


def write_labelled_mesh(labelled: LabelledMesh, folder: Path, installed: Path = INSTALLED) -> Path:
    """Write a mesh and its labels as an NPZ file into ``folder``; return its path.

    Args:
        installed: contains the ``.sh3f`` archives.

    Arrays in the file:
        vertices: [V, 3] float32, metres.
        triangles: [T, 3] int32.
        triangle_uv, triangle_normals: [T, 3, 2] and [T, 3, 3] float32, zeros if the OBJ has none.
        component, material: [T] int32, indices into component_names and material_names.
        component_names, material_names: COMPONENTS and MATERIALS.
        triangle_mtl: [T] int32, index into mtl_names.
        mtl_names: the material names of the OBJ.
    """
    mesh = read_mesh(labelled, installed)
    component, material = label_faces(labelled, mesh)
    path = folder / f"{labelled.archive}-{Path(labelled.path).stem}.npz"
    np.savez_compressed(
        path,
        vertices=mesh.vertices.astype(np.float32),
        triangles=mesh.triangles.astype(np.int32),
        triangle_uv=mesh.uv.astype(np.float32),
        triangle_normals=mesh.normals.astype(np.float32),
        component=component.astype(np.int32),
        component_names=np.array(COMPONENTS),
        material=material.astype(np.int32),
        material_names=np.array(MATERIALS),
        triangle_mtl=mesh.material.astype(np.int32),
        mtl_names=np.array(mesh.material_names),
    )
    return path
