"""Blender script: simple objects for the surroundings of a piece. All lengths are in metres."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Vector

Point = tuple[float, float, float]

PROFILES: dict[str, list[tuple[float, float]]] = {
    "vase": [(0, 0.0), (0.85, 0.0), (1.0, 0.5), (1.0, 1.2), (0.75, 2.4), (0.5, 3.2), (0.6, 4.0), (0.52, 4.0), (0.4, 3)],
    "cup": [(0, 0.0), (0.6, 0.0), (0.66, 0.1), (0.9, 0.8), (1.0, 1.5), (0.93, 1.5), (0.82, 0.8), (0.5, 0.3), (0, 0.25)],
    "bowl": [(0.0, 0.0), (0.6, 0.0), (1.2, 0.35), (1.6, 0.9), (1.53, 0.9), (1.1, 0.4), (0.0, 0.15)],
    "plate": [(0.0, 0.0), (0.9, 0.0), (1.5, 0.15), (1.9, 0.3), (1.86, 0.34), (1.4, 0.22), (0.95, 0.1), (0.0, 0.1)],
}  # fmt: skip
"""Profile of each vessel as (radius, height), in multiples of its size: from the foot up the outside, over the rim and
down the inside."""


def swept_strip(
    name: str, profile: Sequence[tuple[float, float]], half_length: float, material: bpy.types.Material
) -> bpy.types.Object:
    """Add a surface: a profile of (y, z) swept along x from ``-half_length`` to ``half_length``."""
    points = [(x, y, z) for y, z in profile for x in (-half_length, half_length)]
    faces = [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(profile) - 1)]
    return _add_object(name, points, faces, material, smooth=len(profile) > 2)


def box(name: str, centre: Point, size: Point, material: bpy.types.Material) -> bpy.types.Object:
    """Add a box."""
    corners = [
        tuple(middle + side * (bit - 0.5) for middle, side, bit in zip(centre, size, bits, strict=True))
        for bits in itertools.product((0, 1), repeat=3)
    ]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return _add_object(name, corners, faces, material, smooth=False)


def ellipsoid(
    name: str,
    centre: Vector,
    radius: float,
    material: bpy.types.Material,
    scale: Sequence[float] = (1.0, 1.0, 1.0),
) -> bpy.types.Object:
    """Add a sphere scaled along each axis."""
    sides, rings = 16, 9
    points = [
        (
            centre.x + radius * scale[0] * math.sin(math.pi * r / (rings - 1)) * math.cos(2 * math.pi * s / sides),
            centre.y + radius * scale[1] * math.sin(math.pi * r / (rings - 1)) * math.sin(2 * math.pi * s / sides),
            centre.z + radius * scale[2] * math.cos(math.pi * r / (rings - 1)),
        )
        for r in range(rings)
        for s in range(sides)
    ]
    return _add_rings(name, points, sides, rings, material)


def vessel(
    kind: str, position: tuple[float, float], size: float, material: bpy.types.Material, height_scale: float = 1.0
) -> bpy.types.Object:
    """Add a surface of revolution: the profile ``kind``, standing on the floor at ``position``."""
    sides, profile = 28, PROFILES[kind]
    angles = [2 * math.pi * s / sides for s in range(sides)]
    points = [
        (
            position[0] + size * radius * math.cos(angle),
            position[1] + size * radius * math.sin(angle),
            size * height_scale * height,
        )
        for radius, height in profile
        for angle in angles
    ]
    return _add_rings(kind, points, sides, len(profile), material)


def cup_handle(centre: Vector, radius: float, tube_radius: float, material: bpy.types.Material) -> bpy.types.Object:
    """Add an upright half ring that is open towards -X."""
    sides, rings = 8, 11
    points = []
    for ring in range(rings):
        elevation = math.pi * (ring / (rings - 1) - 0.5)
        for side in range(sides):
            angle = 2 * math.pi * side / sides
            reach = radius + tube_radius * math.cos(angle)
            sideways = tube_radius * math.sin(angle)
            points.append(
                (centre.x + reach * math.cos(elevation), centre.y + sideways, centre.z + reach * math.sin(elevation))
            )
    return _add_rings("handle", points, sides, rings, material)


def _add_rings(
    name: str, points: Sequence[Point], sides: int, rings: int, material: bpy.types.Material
) -> bpy.types.Object:
    """Add a smooth surface through consecutive rings of ``sides`` points."""
    faces = [
        (r * sides + s, r * sides + (s + 1) % sides, (r + 1) * sides + (s + 1) % sides, (r + 1) * sides + s)
        for r in range(rings - 1)
        for s in range(sides)
    ]
    return _add_object(name, points, faces, material, smooth=True)


def _add_object(
    name: str,
    points: Sequence[Point],
    faces: Sequence[tuple[int, ...]],
    material: bpy.types.Material,
    *,
    smooth: bool,
) -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    if smooth:
        mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    positions = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", positions)
    for attribute, values in (("grain", positions), ("board", np.full_like(positions, 0.5))):
        add_vector_attribute(mesh, attribute, values)
    mesh.materials.append(material)
    created = bpy.data.objects.new(name, mesh)
    bpy.context.collection.objects.link(created)
    return created


def add_vector_attribute(mesh: bpy.types.Mesh, name: str, values: np.ndarray) -> None:
    """Add the attribute ``name`` with ``values`` [V, 3], one vector per vertex, to ``mesh``."""
    attribute = mesh.attributes.new(name, "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", values.astype(np.float32).ravel())
