"""Blender side: the surfaces that ``surfaces.py`` describes, each writing its albedo and roughness as AOVs.

Colours are linear RGB. ``Vector`` attributes of the mesh: ``grain`` is metres along, across and through the board,
``board`` a random vector for each board.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from export_models.dataset.blender.nodes import Nodes
from export_models.dataset.surfaces import MAX_ALBEDO

Surface = dict[str, Any]


def material_of(name: str, surface: Surface, index: int) -> bpy.types.Material:
    """Build ``surface``; ``index`` goes into the material index pass and names what the pixel shows."""
    nodes = Nodes(name)
    albedo, rough, height, depth = PATTERNS[surface["pattern"]](nodes, surface)
    if surface.get("wear", 0.0) > 0:
        albedo, rough = worn(nodes, surface, albedo, rough)
    nodes.material.pass_index = index
    return finish(nodes, surface, albedo, rough, height, depth)


def finish(nodes: Nodes, surface: Surface, albedo: Any, rough: Any, height: Any, depth: float) -> bpy.types.Material:
    inputs = {
        "Base Color": albedo,
        "Roughness": rough,
        "Metallic": surface.get("metallic", 0.0),
        "Coat Weight": surface.get("coat", 0.0),
        "Coat Roughness": surface.get("coat_roughness", 0.1),
        "Sheen Weight": surface.get("sheen", 0.0),
        "Transmission Weight": surface.get("transmission", 0.0),
    }
    if height is not None and depth > 0:
        inputs["Normal"] = nodes.add("ShaderNodeBump", inputs={"Height": height, "Distance": depth, "Strength": 1.0})
    shader = nodes.add("ShaderNodeBsdfPrincipled", inputs=inputs)
    nodes.add("ShaderNodeOutputMaterial", inputs={"Surface": shader})
    nodes.add("ShaderNodeOutputAOV", inputs={"Color": albedo}, aov_name="albedo")
    nodes.add("ShaderNodeOutputAOV", inputs={"Value": rough}, aov_name="roughness")
    shape = nodes.add("ShaderNodeNewGeometry", "Normal")  # without weave and pores, which no photo of the whole tells
    nodes.add("ShaderNodeOutputAOV", inputs={"Color": shape}, aov_name="shape")
    return nodes.material


Made = tuple[Any, Any, Any, float]
"""Albedo, roughness, height in [0, 1] or None, and the height's depth in metres."""


def around(nodes: Nodes, value: Any, surface: Surface) -> Any:
    """Roughness that varies with ``value`` about the surface's own."""
    spread = surface.get("roughness_spread", 0.05)
    low, high = max(surface["roughness"] - spread, 0.03), min(surface["roughness"] + spread, 1.0)
    return nodes.between(value, low, high)


def scaled(color: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    red, green, blue = (min(channel * factor, MAX_ALBEDO) for channel in color)
    return red, green, blue


def wood(nodes: Nodes, surface: Surface) -> Made:
    """Growth rings around a pith that lies off the board, fibres and pores along it, glued from planks."""
    scale = surface["scale"]
    ring, plank = scale * surface["ring_m"], scale * surface["plank_m"]
    place = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="grain")
    board = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="board")
    _, across, _ = nodes.xyz(place)
    number = nodes.math("ROUND", nodes.math("DIVIDE", across, plank))
    plank_vector = nodes.add("ShaderNodeCombineXYZ", inputs={1: number})
    dice = nodes.add(
        "ShaderNodeTexWhiteNoise", "Color", {"Vector": nodes.vector("ADD", board, plank_vector)},
        noise_dimensions="3D",
    )  # fmt: skip
    shift = nodes.vector("MULTIPLY", dice, (11.0, scale * surface["pith_across_m"], 0.08 * scale))
    centred = nodes.vector("SUBTRACT", place, nodes.vector("MULTIPLY", plank_vector, (0.0, plank, 0.0)))
    origin = nodes.vector("ADD", centred, nodes.vector("ADD", shift, (0.0, 0.0, scale * surface["pith_below_m"])))
    bend = nodes.noise(origin, (1.1 / scale, 4.0 / scale, 4.0 / scale))
    wobble = nodes.noise(origin, (6.0 / scale, 45.0 / scale, 45.0 / scale), detail=1.0)
    _, y, z = nodes.xyz(origin)
    radius = nodes.math("SQRT", nodes.math("ADD", nodes.math("MULTIPLY", y, y), nodes.math("MULTIPLY", z, z)))
    radius = nodes.math("ADD", radius, nodes.math("MULTIPLY", bend, surface["bend"] * ring))
    radius = nodes.math("ADD", radius, nodes.math("MULTIPLY", wobble, 0.6 * ring))
    if surface.get("knots", 0.0) > 0:
        cells = nodes.add(
            "ShaderNodeTexVoronoi", "Distance",
            {"Vector": nodes.vector("MULTIPLY", origin, (2.2 / scale, 6.0 / scale, 0.0)), "Scale": 1.0},
        )  # fmt: skip
        knot = nodes.add("ShaderNodeMapRange", inputs={0: cells, 1: 0.0, 2: surface["knots"], 3: 1.0, 4: 0.0})
        radius = nodes.math("ADD", radius, nodes.math("MULTIPLY", knot, 5.0 * ring))
    growth = nodes.add("ShaderNodeValToRGB", "Color", {"Fac": nodes.math("FRACT", nodes.math("DIVIDE", radius, ring))})
    ramp = growth.node.color_ramp  # pale early wood darkens into late wood, then starts afresh
    ramp.elements[0].position, ramp.elements[0].color = 0.0, (0.5, 0.5, 0.5, 1)
    ramp.elements[1].position, ramp.elements[1].color = 1.0, (0.5, 0.5, 0.5, 1)
    for position, level in ((0.15, 0.1), (0.55, 0.3), (0.9, 0.95)):
        ramp.elements.new(position).color = (level, level, level, 1)
    streak = nodes.noise(origin, (1.2 / scale, 60.0 / scale, 60.0 / scale), detail=3.0)
    fibre = nodes.noise(origin, (14.0 / scale, 480.0 / scale, 480.0 / scale), detail=1.0)
    dark = nodes.math(
        "ADD",
        nodes.math("MULTIPLY", growth, surface["rings"]),
        nodes.math("MULTIPLY", nodes.between(streak, -0.9, 1.5), surface["streaks"]),
    )
    dark = nodes.math("ADD", dark, nodes.between(fibre, -surface["fibres"], surface["fibres"]))
    if surface.get("pores", 0.0) > 0:  # short dark dashes, as oak and ash have
        dash = nodes.noise(origin, (25.0 / scale, 700.0 / scale, 700.0 / scale), detail=0.0)
        pore = nodes.add("ShaderNodeMapRange", inputs={0: dash, 1: 0.6, 2: 0.72, 3: 0.0, 4: surface["pores"]})
        dark = nodes.math("ADD", dark, pore)
    if surface.get("knots", 0.0) > 0:
        dark = nodes.math("ADD", dark, nodes.math("MULTIPLY", nodes.math("POWER", knot, 2.0), 1.2))
    share = nodes.add("ShaderNodeClamp", inputs={0: dark})
    color = nodes.mix(share, surface["light"], surface["dark"])
    tone = nodes.between(nodes.xyz(dice)[0], *surface["tones"])
    albedo = nodes.add("ShaderNodeVectorMath", inputs={0: color}, operation="SCALE")
    nodes.tree.links.new(tone, albedo.node.inputs["Scale"])
    return albedo, around(nodes, share, surface), fibre, scale * surface["relief_m"]


def speckled(nodes: Nodes, surface: Surface) -> Made:
    """One colour with blotches and grit: paint, plastic, plaster, metal, concrete."""
    place = nodes.add("ShaderNodeTexCoord", "Object")
    stretch = surface.get("stretch", (1.0, 1.0, 1.0))
    fine, coarse = surface["fine"], surface["coarse"]
    grit = nodes.noise(place, tuple(fine * one for one in stretch), detail=2.0)
    cloud = nodes.noise(place, (coarse, coarse, coarse), detail=3.0)
    level = nodes.math(
        "ADD", nodes.math("MULTIPLY", grit, surface["grit"]), nodes.math("MULTIPLY", cloud, 1.0 - surface["grit"])
    )
    contrast = surface["contrast"]
    albedo = nodes.mix(level, scaled(surface["color"], 1 - contrast), scaled(surface["color"], 1 + contrast))
    return albedo, around(nodes, level, surface), grit, surface.get("relief_m", 0.0)


def woven(nodes: Nodes, surface: Surface) -> Made:
    """Cloth: two threads over and under each other, perhaps with stripes, checks or a print."""
    place = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="grain")
    thread = surface["thread_m"]
    x, y, z = nodes.xyz(place)
    if surface["motif"] == "none":
        motif: Any = 0.0
    elif surface["motif"] == "print":
        cell = nodes.add(
            "ShaderNodeTexVoronoi", "Distance",
            {"Vector": nodes.vector("DIVIDE", place, (surface["motif_m"],) * 3), "Scale": 1.0},
        )  # fmt: skip
        motif = nodes.add("ShaderNodeMapRange", inputs={0: cell, 1: 0.3, 2: 0.36})
    else:
        motif = wave(nodes, x, surface["motif_m"], surface["share"])
        if surface["motif"] == "checks":
            motif = nodes.math("MULTIPLY", nodes.math("ADD", motif, wave(nodes, y, surface["motif_m"], 0.5)), 0.5)
    ground = nodes.mix(motif, surface["color"], surface["second"])
    over = nodes.math("SINE", nodes.math("DIVIDE", nodes.math("ADD", x, z), thread / 6.2832))
    under = nodes.math("SINE", nodes.math("DIVIDE", nodes.math("ADD", y, z), thread / 6.2832))
    weave = nodes.between(nodes.math("MULTIPLY", over, under), -0.5, 1.5)
    fuzz = nodes.noise(place, (surface["fuzz"],) * 3, detail=3.0)
    level = nodes.math("ADD", nodes.math("MULTIPLY", weave, 0.5), nodes.math("MULTIPLY", fuzz, 0.5))
    contrast = surface["contrast"]
    shade = nodes.between(level, 1 - contrast, 1 + contrast)
    albedo = nodes.add("ShaderNodeVectorMath", inputs={0: ground}, operation="SCALE")
    nodes.tree.links.new(shade, albedo.node.inputs["Scale"])
    return albedo, around(nodes, fuzz, surface), level, surface["relief_m"]


def wave(nodes: Nodes, value: Any, period: float, share: float) -> Any:
    """1 on ``share`` of each ``period``."""
    return nodes.math("LESS_THAN", nodes.math("FRACT", nodes.math("DIVIDE", value, period)), share)


def leather(nodes: Nodes, surface: Surface) -> Made:
    """Cells of a hide, darker in the creases, worn lighter in blotches."""
    place = nodes.add("ShaderNodeTexCoord", "Object")
    cell = surface["cell_m"]
    cells = nodes.add(
        "ShaderNodeTexVoronoi", "Distance", {"Vector": nodes.vector("DIVIDE", place, (cell,) * 3), "Scale": 1.0}
    )
    cloud = nodes.noise(place, (6.0, 6.0, 6.0), detail=3.0)
    contrast = surface["contrast"]
    albedo = nodes.mix(cloud, scaled(surface["color"], 1 - contrast), scaled(surface["color"], 1 + contrast))
    return albedo, around(nodes, cloud, surface), nodes.math("SUBTRACT", 1.0, cells), surface["relief_m"]


def marble(nodes: Nodes, surface: Surface) -> Made:
    """Veins along the zero of a warped noise, over a cloudy ground."""
    place = nodes.add("ShaderNodeTexCoord", "Object")
    size = surface["vein_m"]
    warp = nodes.noise(place, (1.5 / size,) * 3, detail=4.0)
    fold = nodes.noise(nodes.vector("ADD", place, nodes.vector("SCALE", (size,) * 3, (0, 0, 0))), (0.8 / size,) * 3)
    line = nodes.math(
        "ABSOLUTE", nodes.math("SUBTRACT", nodes.math("ADD", warp, nodes.math("MULTIPLY", fold, 0.5)), 0.75)
    )
    vein = nodes.add("ShaderNodeMapRange", inputs={0: line, 1: 0.0, 2: surface["vein_width"], 3: 1.0, 4: 0.0})
    albedo = nodes.mix(vein, nodes.mix(fold, surface["color"], scaled(surface["color"], 0.8)), surface["second"])
    return albedo, around(nodes, fold, surface), None, 0.0


def granite(nodes: Nodes, surface: Surface) -> Made:
    """Grains of several colours."""
    place = nodes.add("ShaderNodeTexCoord", "Object")
    cells = nodes.add(
        "ShaderNodeTexVoronoi", "Color",
        {"Vector": nodes.vector("DIVIDE", place, (surface["cell_m"],) * 3), "Scale": 1.0},
    )  # fmt: skip
    dice, _, _ = nodes.xyz(cells)
    albedo = nodes.mix(dice, surface["color"], surface["second"])
    return albedo, around(nodes, dice, surface), None, 0.0


def planks(nodes: Nodes, surface: Surface) -> Made:
    """A floor of boards or tiles: each of its own tone, with dark joints. Lies in the plane of X and Y."""
    place = nodes.add("ShaderNodeNewGeometry", "Position")
    long, wide = surface["tile_m"]
    turned = nodes.add(
        "ShaderNodeVectorRotate", inputs={"Vector": place, "Angle": surface["turn_rad"]}, rotation_type="Z_AXIS"
    )
    x, y, _ = nodes.xyz(turned)
    row = nodes.math("FLOOR", nodes.math("DIVIDE", y, wide))
    start = nodes.math("MULTIPLY", nodes.math("FRACT", nodes.math("MULTIPLY", row, surface["offset"])), long)
    column = nodes.math("FLOOR", nodes.math("DIVIDE", nodes.math("ADD", x, start), long))
    dice = nodes.add(
        "ShaderNodeTexWhiteNoise", "Value",
        {"Vector": nodes.add("ShaderNodeCombineXYZ", inputs={0: row, 1: column})}, noise_dimensions="3D",
    )  # fmt: skip
    grain = nodes.noise(
        nodes.vector("ADD", turned, nodes.add("ShaderNodeCombineXYZ", inputs={2: nodes.math("MULTIPLY", dice, 7.0)})),
        surface["grain"], detail=3.0,
    )  # fmt: skip
    inside = nodes.math(
        "MINIMUM",
        edge(nodes, nodes.math("DIVIDE", y, wide), surface["joint_m"] / wide),
        edge(nodes, nodes.math("DIVIDE", nodes.math("ADD", x, start), long), surface["joint_m"] / long),
    )
    color = nodes.mix(grain, surface["color"], surface["second"])
    tone = nodes.math("MULTIPLY", nodes.between(dice, *surface["tones"]), nodes.between(inside, 0.35, 1.0))
    albedo = nodes.add("ShaderNodeVectorMath", inputs={0: color}, operation="SCALE")
    nodes.tree.links.new(tone, albedo.node.inputs["Scale"])
    return albedo, around(nodes, grain, surface), inside, surface["relief_m"]


def edge(nodes: Nodes, value: Any, share: float) -> Any:
    """0 in the joint, 1 on the tile."""
    return nodes.math("GREATER_THAN", nodes.math("FRACT", value), share)


def worn(nodes: Nodes, surface: Surface, albedo: Any, rough: Any) -> tuple[Any, Any]:
    """Scuffs where noise is high: what is below shows, and it is rougher there."""
    place = nodes.add("ShaderNodeTexCoord", "Object")
    noise = nodes.noise(place, (9.0, 9.0, 9.0), detail=6.0)
    most = 1.0 - 0.35 * surface["wear"]
    scuff = nodes.add("ShaderNodeMapRange", inputs={0: noise, 1: most - 0.2, 2: most - 0.14})
    return (
        nodes.mix(scuff, albedo, surface["below"]),
        nodes.add("ShaderNodeClamp", inputs={0: nodes.math("ADD", rough, nodes.math("MULTIPLY", scuff, 0.15))}),
    )


PATTERNS: dict[str, Callable[[Nodes, Surface], Made]] = {
    "wood": wood,
    "speckled": speckled,
    "woven": woven,
    "leather": leather,
    "marble": marble,
    "granite": granite,
    "planks": planks,
}
