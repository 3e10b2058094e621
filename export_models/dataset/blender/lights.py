"""Blender script: lamps and sky."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

AO_DISTANCE_M = 0.5
"""Length of the rays of ambient occlusion."""
SKY_MAP_HEIGHT = 64
"""Rows of the map that Cycles samples the sky with. A gradient needs no more; the default map takes 0.5 s to build."""
ENVIRONMENT_MAP_HEIGHT = 256
"""Rows of the map that Cycles samples a photographed environment with."""
MAX_ENVIRONMENT_RADIANCE = 50.0
"""Radiance to which a sun in an environment is clipped when its mean is computed. Not tuned."""
TARGET = Vector((0, 0, 0.3))
"""Point that the lamps are aimed at."""


def add_lights(lights: dict[str, Any], environments: str | None) -> None:
    """Add the lamps and the sky.

    Args:
        lights: see ``scenes.Lights``.
        environments: folder of photographed environments (*.exr, latitude-longitude) in addition to Blender's.
    """
    for lamp in lights["lamps"]:
        _add_lamp(lamp)
    _add_sky(lights["sky"], environments)


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


def _add_sky(sky: dict[str, Any], environments: str | None) -> None:
    """Add the light from all directions: uniform or photographed, see ``scenes.Sky``."""
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    world.light_settings.distance = AO_DISTANCE_M
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", SKY_MAP_HEIGHT
    if "environment" in sky:
        world.cycles.sample_map_resolution = ENVIRONMENT_MAP_HEIGHT
        files = environment_files(environments)
        _add_environment(world.node_tree, sky, files[int(sky["environment"] * len(files))])
    else:
        _add_gradient(world.node_tree, sky)
    bpy.context.scene.world = world


def _add_environment(tree: bpy.types.NodeTree, sky: dict[str, Any], file: Path) -> None:
    """Light the scene with a photographed environment, scaled so that its mean radiance is ``strength``."""
    image = bpy.data.images.load(str(file))
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    brightness = pixels.reshape(image.size[1], image.size[0], -1)[..., :3].mean(-1)
    area = np.cos((np.arange(image.size[1]) + 0.5) / image.size[1] * np.pi - np.pi / 2)  # of the pixels of each row
    mean = float((brightness.clip(max=MAX_ENVIRONMENT_RADIANCE).mean(1) * area).sum() / area.sum())
    rotation = tree.nodes.new("ShaderNodeMapping")
    rotation.inputs["Rotation"].default_value[2] = math.radians(sky["rotation_deg"])
    tree.links.new(tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"], rotation.inputs["Vector"])
    texture = tree.nodes.new("ShaderNodeTexEnvironment")
    texture.image = image
    tree.links.new(rotation.outputs[0], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    tree.nodes["Background"].inputs["Strength"].default_value = sky["strength"] / max(mean, 1e-3)


def environment_files(extra: str | None) -> list[Path]:
    """Return the environments of the bpy wheel (CC0) and those of the folder ``extra``, by name."""
    folders = [Path(bpy.utils.resource_path("LOCAL")) / "datafiles" / "studiolights" / "world"]
    if extra is not None:
        folders.append(Path(extra))
    return sorted((file for folder in folders for file in folder.glob("*.exr")), key=lambda file: file.name)


def _add_gradient(tree: bpy.types.NodeTree, sky: dict[str, Any]) -> None:
    """Add uniform light whose strength rises linearly from the nadir to the zenith, as below a bright ceiling."""
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
