"""Blender script: lamps and sky."""

from __future__ import annotations

import math
from typing import Any

import bpy
from mathutils import Vector

AO_DISTANCE_M = 0.5
"""Length of the rays of ambient occlusion."""
SKY_MAP_HEIGHT = 64
"""Rows of the map that Cycles samples the sky with. A gradient needs no more; the default map takes 0.5 s to build."""
TARGET = Vector((0, 0, 0.3))
"""Point that the lamps are aimed at."""


def add_lights(lights: dict[str, Any]) -> None:
    """Add the lamps and the sky, see ``scenes.Lights``."""
    for lamp in lights["lamps"]:
        _add_lamp(lamp)
    _add_sky(lights["sky"])


def _add_lamp(lamp: dict[str, Any]) -> None:
    data = bpy.data.lights.new("lamp", lamp["kind"])
    data.color = lamp["color"]
    position = Vector(lamp["position_m"])
    if lamp["kind"] == "SUN":
        data.energy, data.angle = lamp["watts"], math.radians(lamp["angle_deg"])
    else:
        data.shape = "RECTANGLE"
        data.size, data.size_y = lamp["size_m"]
        data.energy = lamp["watts"] * position.length_squared / 4.0  # ``watts`` is for a distance of 2 m
    created = bpy.data.objects.new("lamp", data)
    created.location = position
    created.rotation_euler = (TARGET - position).to_track_quat("-Z", "Y").to_euler()
    bpy.context.collection.objects.link(created)


def _add_sky(sky: dict[str, Any]) -> None:
    """Add uniform light whose strength rises linearly from the nadir to the zenith, as below a bright ceiling."""
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    tree = world.node_tree
    direction = tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"]
    height = tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(direction, height.inputs[0])
    strength = tree.nodes.new("ShaderNodeMapRange")
    strength.inputs["From Min"].default_value = -1.0
    strength.inputs["From Max"].default_value = 1.0
    strength.inputs["To Min"].default_value = (1.0 - sky["gradient"]) * sky["strength"]
    strength.inputs["To Max"].default_value = (1.0 + sky["gradient"]) * sky["strength"]
    tree.links.new(height.outputs[2], strength.inputs[0])
    background = tree.nodes["Background"]
    background.inputs["Color"].default_value = (*sky["color"], 1.0)
    tree.links.new(strength.outputs[0], background.inputs["Strength"])
    world.light_settings.distance = AO_DISTANCE_M
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", SKY_MAP_HEIGHT
    bpy.context.scene.world = world
