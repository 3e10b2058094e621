"""Blender script: the room around a piece, the objects in it and the objects on the piece."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from export_models.dataset.blender.primitives import box, cup_handle, ellipsoid, swept_strip, vessel
from export_models.dataset.blender.surfaces import build_material

ROOM_HALF_WIDTH_M = 9.0
"""Half the width of floor and wall, and the length of the floor in front of the origin."""
WALL_HEIGHT_M = 3.2
STUDIO_WALL_HEIGHT_M = 6.0
MIN_TOP_NORMAL_Z = 0.95
"""Minimum vertical component of the normal where an object can stand."""


def add_room(room: dict[str, Any], points: np.ndarray) -> None:
    """Add a room whose wall stands behind the piece.

    Args:
        room: see ``scenes.Room``.
        points: [V, 3] vertices of the piece.
    """
    rotation = Matrix.Rotation(math.radians(room["rotation_deg"]), 4, "Z")
    local = points @ np.array(rotation.to_3x3())  # in the axes of the room, with +Y towards the wall
    wall_y = float(local[:, 1].max()) + room["wall_gap_m"]
    floor, wall = build_material("floor", room["floor"], 0), build_material("wall", room["wall"], 0)
    objects = _add_floor_and_wall(room, wall_y, floor, wall)
    if room["side_wall_m"] is not None:
        reach = float(np.abs(local[:, 0]).max())
        x = math.copysign(reach + abs(room["side_wall_m"]), room["side_wall_m"])
        centre, size = (x, wall_y - ROOM_HALF_WIDTH_M / 2, WALL_HEIGHT_M / 2), (0.02, ROOM_HALF_WIDTH_M, WALL_HEIGHT_M)
        objects.append(box("side wall", centre, size, wall))
    if room["skirting"] is not None:
        material = build_material("skirting", room["skirting"], 0)
        size = (2 * ROOM_HALF_WIDTH_M, 0.016, 0.1)
        objects.append(box("skirting", (0, wall_y - 0.008, 0.05), size, material))
    if room["rug"] is not None:
        width, depth = room["rug_size_m"]
        material = build_material("rug", room["rug"], 0)
        objects.append(box("rug", (0, 0, 0.004), (width, depth, 0.006), material))
    for number, description in enumerate(room["objects"]):
        objects += _add_room_object(description, number, wall_y, local)
    for created in objects:
        created.matrix_world = rotation @ created.matrix_world


def _add_floor_and_wall(
    room: dict[str, Any], wall_y: float, floor: bpy.types.Material, wall: bpy.types.Material
) -> list[bpy.types.Object]:
    """Add the floor and the wall, or a studio backdrop that joins them with a quarter circle."""
    if room["cove_radius_m"] == 0:
        return [
            swept_strip("floor", [(-ROOM_HALF_WIDTH_M, 0.0), (wall_y, 0.0)], ROOM_HALF_WIDTH_M, floor),
            swept_strip("wall", [(wall_y, 0.0), (wall_y, WALL_HEIGHT_M)], ROOM_HALF_WIDTH_M, wall),
        ]
    radius = min(room["cove_radius_m"], room["wall_gap_m"])
    angles = [math.radians(6 * step) for step in range(16)]
    cove = [(wall_y - radius + radius * math.sin(a), radius - radius * math.cos(a)) for a in angles]
    profile = [(-ROOM_HALF_WIDTH_M, 0.0), *cove, (wall_y, STUDIO_WALL_HEIGHT_M)]
    return [swept_strip("backdrop", profile, ROOM_HALF_WIDTH_M, wall)]


def _add_room_object(
    description: dict[str, Any], number: int, wall_y: float, local: np.ndarray
) -> list[bpy.types.Object]:
    """Add an object at the wall or beside the piece, never inside or in front of it.

    Args:
        description: see ``scenes.RoomObject``.
        local: [V, 3] vertices of the piece in the axes of the room.
    """
    material = build_material(f"object {number}", description["surface"], 0)
    width, height, depth = description["width_m"], description["height_m"], description["depth_m"]
    x = description["x_m"]
    if description["kind"] == "picture":
        inner = build_material(f"picture {number}", description["image_surface"], 0)
        frame = box("frame", (x * 0.6, wall_y - 0.012, 1.5), (width * 1.3, 0.02, width * 1.1), material)
        return [frame, box("picture", (x * 0.6, wall_y - 0.018, 1.5), (width * 1.15, 0.02, width * 0.95), inner)]
    reach = float(np.abs(local[:, 0]).max())
    y = float(local[:, 1].max()) + depth / 2 + 0.02
    if y + depth / 2 > wall_y or abs(x) > reach:  # does not fit behind the piece
        x = math.copysign(reach + width / 2 + 0.05 + 0.3 * abs(x), x)
        y = min(y, wall_y - depth / 2 - 0.02)
    radius = min(width, depth) / 2
    if description["kind"] == "box":
        return [box("box", (x, y, height / 2), (width, depth, height), material)]
    if description["kind"] == "plant":
        leaf = build_material(f"leaves {number}", description["surface"] | {"color": (0.05, 0.14, 0.03)}, 0)
        pot = vessel("cup", (x, y), radius, material, height_scale=1.5)
        return [pot, *_add_leaves(description["seed"], x, y, radius, wall_y, leaf)]
    if description["kind"] == "ball":
        return [ellipsoid("ball", Vector((x, y, radius)), radius, material)]
    return [vessel("vase", (x, y), radius, material, height_scale=height / (8 * radius))]


def _add_leaves(
    seed: int, x: float, y: float, radius: float, wall_y: float, material: bpy.types.Material
) -> list[bpy.types.Object]:
    """Add the leaves of a plant in a pot of ``radius`` at x, y."""
    rng = np.random.default_rng(seed)
    leaves = []
    for _ in range(24):
        position = Vector(rng.normal(0.0, 0.6, 3)) * 2.0 * radius + Vector((x, y, 4.0 * radius))
        position.y = min(position.y, wall_y - 0.1)
        leaves.append(ellipsoid("leaf", position, 0.5 * radius, material, scale=tuple(rng.uniform(0.15, 1.0, 3))))
    return leaves


def add_tabletop_objects(descriptions: list[dict[str, Any]], points: np.ndarray) -> None:
    """Add objects where a horizontal face of the piece is below their position; skip the others.

    Args:
        descriptions: see ``scenes.TabletopObject``.
        points: [V, 3] vertices of the piece.
    """
    piece = bpy.data.objects["piece"]
    low, high = points.min(0), points.max(0)
    for number, description in enumerate(descriptions):
        x, y = (float(low[axis] + description["position"][axis] * (high[axis] - low[axis])) for axis in range(2))
        hit, point, normal, _ = piece.ray_cast(Vector((x, y, float(high[2]) + 1.0)), Vector((0.0, 0.0, -1.0)))
        if not hit or abs(normal.z) < MIN_TOP_NORMAL_Z:
            continue
        material = build_material(f"tabletop object {number}", description["surface"], 0)
        for created in _add_tabletop_object(description, material):
            created.location = (x, y, point.z)
            created.rotation_euler.z = description["rotation_rad"]


def _add_tabletop_object(description: dict[str, Any], material: bpy.types.Material) -> list[bpy.types.Object]:
    """Add one object at the origin."""
    kind, size = description["kind"], description["size_m"]
    if kind == "book":
        return [box("book", (0, 0, 0.3 * size), (3.0 * size, 2.2 * size, 0.6 * size), material)]
    if kind == "fruit":
        return [ellipsoid("fruit", Vector((0, 0, size)), size, material)]
    if kind == "spoon":
        bowl = ellipsoid("spoon", Vector((1.6 * size, 0, 0.12 * size)), size, material, scale=(0.5, 0.35, 0.12))
        return [bowl, box("handle", (0.2 * size, 0, 0.1 * size), (2.0 * size, 0.12 * size, 0.08 * size), material)]
    objects = [vessel(kind, (0.0, 0.0), size, material)]
    if kind == "cup":
        objects.append(cup_handle(Vector((0.9 * size, 0.0, 0.75 * size)), 0.45 * size, 0.1 * size, material))
        if description["has_saucer"]:
            objects.append(vessel("plate", (0.0, 0.0), size, material))
    return objects
