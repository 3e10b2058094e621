"""Blender script: procedural materials that write their ground truth (albedo, roughness, class) as AOVs."""

from __future__ import annotations

from typing import Any

import bpy

from export_models.dataset.blender.nodes import Nodes

SPECIES: dict[str, tuple[str, str, float]] = {
    "maple": ("#E8CDA4", "#C59C68", 0.42),
    "pine": ("#E6C287", "#B07A3E", 0.52),
    "beech": ("#DDB48A", "#AE774A", 0.46),
    "oak": ("#CDA56E", "#875A2F", 0.50),
    "ash_grey": ("#BDAE98", "#76664F", 0.58),
    "teak": ("#B37C45", "#66401F", 0.48),
    "cherry": ("#A9623A", "#662E17", 0.38),
    "mahogany": ("#844128", "#40180D", 0.36),
    "walnut": ("#78523A", "#36200F", 0.44),
    "wenge": ("#54392A", "#22140D", 0.50),
}
"""Light and dark colour of the growth rings, and mean roughness. Chosen by eye from photographs of oiled boards."""
PLAIN: dict[str, tuple[str, float, float]] = {
    "fabric": ("#6F7F95", 0.92, 0.0),
    "metal": ("#B9B6B0", 0.28, 1.0),
    "plastic": ("#2B2B2D", 0.35, 0.0),
    "paint": ("#EDEAE2", 0.45, 0.0),
    "stone": ("#8C8A86", 0.30, 0.0),
}
"""Default colour, roughness and metallic of each surface class."""
RING_M = 0.009
"""Distance between growth rings on a piece of 0.8 m. It is larger than in reality, so that 640 px resolve it."""
PLANK_M = 0.11
"""Width of the planks on a piece of 0.8 m."""


def hex_to_linear(text: str) -> tuple[float, float, float]:
    """Convert ``#RRGGBB`` to linear RGB (IEC 61966-2-1)."""
    channels = [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return red, green, blue


class Surface(Nodes):
    """Builds a material with its ground truth."""

    def finish(
        self,
        albedo: Any,
        roughness: Any,
        height: Any,
        bump: float,
        label: str | None,
        classes: list[str],
        metallic: float = 0.0,
    ) -> bpy.types.Material:
        """Add the shader and the AOVs, and return the material.

        Args:
            bump: depth of the relief in metres.
            label: surface class; None is background.
        """
        inputs = {"Base Color": albedo, "Roughness": roughness, "Metallic": metallic}
        if height is not None:
            inputs["Normal"] = self.add("ShaderNodeBump", inputs={"Height": height, "Distance": bump, "Strength": 1.0})
        shader = self.add("ShaderNodeBsdfPrincipled", inputs=inputs)
        self.add("ShaderNodeOutputMaterial", inputs={"Surface": shader})
        self.add("ShaderNodeOutputAOV", inputs={"Color": albedo}, aov_name="albedo")
        self.add("ShaderNodeOutputAOV", inputs={"Value": roughness}, aov_name="roughness")
        for name in classes:
            self.add("ShaderNodeOutputAOV", inputs={"Value": float(name == label)}, aov_name=f"class_{name}")
        return self.material


def surface_material(name: str, surface: str, species: str, size: float, classes: list[str]) -> bpy.types.Material:
    """Build the material of a surface.

    Args:
        surface: ``wood``, ``wood SPECIES``, ``CLASS`` or ``CLASS #RRGGBB``.
        species: species of wood if ``surface`` names none.
        size: size of the piece in metres.
    """
    label, _, detail = surface.partition(" ")
    if label == "wood":
        return wood(name, detail or species, size, classes)
    color, roughness, metallic = PLAIN[label]
    nodes = Surface(name)
    position = nodes.add("ShaderNodeTexCoord", "Object")
    albedo = hex_to_linear(detail or color)
    grit = {"fabric": 420.0, "stone": 60.0}.get(label, 25.0)
    speck = nodes.noise(position, (grit, grit, grit), detail=3.0)
    depth = {"fabric": 0.0015, "stone": 0.0}.get(label, 0.0002)
    contrast = {"fabric": 0.18, "stone": 0.45}.get(label, 0.03)
    tint = nodes.mix(speck, tuple(c * (1 - contrast) for c in albedo), tuple(c * (1 + contrast) for c in albedo))
    rough = nodes.map_range(speck, max(roughness - 0.06, 0.05), min(roughness + 0.06, 1.0))
    return nodes.finish(tint, rough, speck, depth, label, classes, metallic)


def wood(name: str, species: str, size: float, classes: list[str]) -> bpy.types.Material:
    """Build wood: planks cut lengthwise through growth rings, with fibres and pores along the grain."""
    light, dark, roughness = SPECIES[species]
    nodes = Surface(name)
    scale = max(size / 0.8, 0.8)
    ring, plank_width = RING_M * scale, PLANK_M * scale
    position = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="grain")
    board = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="board")
    _, across, _ = nodes.separate_xyz(position)
    plank = nodes.math("ROUND", nodes.math("DIVIDE", across, plank_width))
    plank_vector = nodes.add("ShaderNodeCombineXYZ", inputs={1: plank})
    random_vector = nodes.add(
        "ShaderNodeTexWhiteNoise",
        "Color",
        {"Vector": nodes.vector("ADD", board, plank_vector)},
        noise_dimensions="3D",
    )
    shift = nodes.vector("MULTIPLY", random_vector, (9.0, 0.7 * plank_width, 0.10 * scale))
    centred = nodes.vector("SUBTRACT", position, nodes.vector("MULTIPLY", plank_vector, (0.0, plank_width, 0.0)))
    origin = nodes.vector("ADD", centred, nodes.vector("ADD", shift, (0.0, -0.35 * plank_width, 0.02 * scale)))
    # The rings bend slowly along the board and quickly across it, because a trunk is not a cylinder.
    bend = nodes.noise(origin, (1.3 / scale, 5.0 / scale, 5.0 / scale), detail=2.0)
    wobble = nodes.noise(origin, (5.0 / scale, 40.0 / scale, 40.0 / scale), detail=1.0)
    _, y, z = nodes.separate_xyz(origin)
    radius = nodes.math("SQRT", nodes.math("ADD", nodes.math("MULTIPLY", y, y), nodes.math("MULTIPLY", z, z)))
    radius = nodes.math("ADD", radius, nodes.math("MULTIPLY", bend, 9.0 * ring))
    radius = nodes.math("ADD", radius, nodes.math("MULTIPLY", wobble, 0.7 * ring))
    growth = nodes.add("ShaderNodeValToRGB", "Color", {"Fac": nodes.math("FRACT", nodes.math("DIVIDE", radius, ring))})
    ramp = growth.node.color_ramp  # pale early wood darkens into late wood, once per ring
    ramp.elements[0].position, ramp.elements[0].color = 0.0, (0.45, 0.45, 0.45, 1)
    ramp.elements[1].position, ramp.elements[1].color = 1.0, (0.45, 0.45, 0.45, 1)
    for position, level in ((0.12, 0.08), (0.5, 0.25), (0.85, 0.9)):
        ramp.elements.new(position).color = (level, level, level, 1)
    streak = nodes.noise(origin, (1.5 / scale, 70.0 / scale, 70.0 / scale), detail=3.0)
    fibre = nodes.noise(origin, (12.0 / scale, 420.0 / scale, 420.0 / scale), detail=1.0)
    darkness = nodes.math(
        "ADD", nodes.math("MULTIPLY", growth, 0.60), nodes.math("MULTIPLY", nodes.map_range(streak, -0.35, 0.75), 0.55)
    )
    darkness = nodes.math("ADD", darkness, nodes.map_range(fibre, -0.22, 0.22))
    clamped = nodes.add("ShaderNodeClamp", inputs={0: darkness})
    color = nodes.mix(clamped, hex_to_linear(light), hex_to_linear(dark))
    tone = nodes.map_range(nodes.separate_xyz(random_vector)[0], 0.86, 1.10)  # differs between planks
    albedo = nodes.vector("SCALE", color, (0.0, 0.0, 0.0))
    nodes.tree.links.new(tone, albedo.node.inputs["Scale"])
    rough = nodes.map_range(clamped, roughness - 0.10, roughness + 0.14)
    return nodes.finish(albedo, rough, fibre, 0.0006 * scale, "wood", classes)


def room_material(surface: str, room: dict[str, Any], classes: list[str]) -> bpy.types.Material:
    """Build plaster, paper, concrete or carpet. ``room[surface]`` is its colour, roughness and strength of blotches."""
    color, roughness, blotch = room[surface]
    nodes = Surface(surface)
    position = nodes.add("ShaderNodeNewGeometry", "Position")
    cloud = nodes.noise(position, (1.7, 1.7, 1.7), detail=4.0)
    grit = nodes.noise(position, (140.0, 140.0, 140.0), detail=1.0)
    level = nodes.math("ADD", nodes.math("MULTIPLY", cloud, 0.7), nodes.math("MULTIPLY", grit, 0.3))
    base = hex_to_linear(color)
    albedo = nodes.mix(level, tuple(c * (1 - blotch) for c in base), tuple(min(c * (1 + blotch), 0.95) for c in base))
    rough = nodes.map_range(level, max(roughness - 0.05, 0.05), min(roughness + 0.05, 1.0))
    return nodes.finish(albedo, rough, None, 0.0, None, classes)
