"""Blender script: materials for the surfaces that ``dataset.surfaces`` draws.

Each material also writes its albedo, roughness and geometric normal as AOVs, the ground truth of the image. Colours are
linear RGB. The mesh has two vector attributes: ``grain``, the position in metres along, across and through the board,
and ``board``, a random vector for each board.

Keys of every surface:

- ``pattern``: one of ``PATTERNS``; the docstring of its function documents the other keys.
- ``roughness``, ``roughness_spread``: mean, and maximum deviation within the pattern (0.05 by default).
- ``metallic``, ``coat``, ``coat_roughness``, ``sheen``, ``transmission``: inputs of the Principled BSDF, 0 by default
  (``coat_roughness``: 0.1).
- ``wear``, ``undercoat``: amount of scuffs (0 by default), and the colour below the finish that shows in them.
- ``glow``, ``glow_share``: radiance of the light behind the surface, and its share (0 by default) in what the camera
  sees. All other rays see the surface only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import bpy

from export_models.dataset.blender.nodes import Nodes
from export_models.dataset.colors import MAX_ALBEDO

Surface = dict[str, Any]


class Pattern(NamedTuple):
    """Output sockets of a pattern."""

    albedo: Any
    roughness: Any
    height: Any  # relief in [0, 1], or None
    relief_m: float  # depth of the relief in metres


def build_material(name: str, surface: Surface, index: int) -> bpy.types.Material:
    """Build the material of ``surface``. ``index`` is its value in the material index pass."""
    nodes = Nodes(name)
    pattern = PATTERNS[surface["pattern"]](nodes, surface)
    if surface.get("wear", 0.0) > 0:
        pattern = _add_wear(nodes, surface, pattern)
    _add_outputs(nodes, surface, pattern)
    nodes.material.pass_index = index
    return nodes.material


def _add_outputs(nodes: Nodes, surface: Surface, pattern: Pattern) -> None:
    """Add the shader and the AOVs."""
    inputs = {
        "Base Color": pattern.albedo,
        "Roughness": pattern.roughness,
        "Metallic": surface.get("metallic", 0.0),
        "Coat Weight": surface.get("coat", 0.0),
        "Coat Roughness": surface.get("coat_roughness", 0.1),
        "Sheen Weight": surface.get("sheen", 0.0),
        "Transmission Weight": surface.get("transmission", 0.0),
    }
    if pattern.height is not None and pattern.relief_m > 0:
        relief = {"Height": pattern.height, "Distance": pattern.relief_m, "Strength": 1.0}
        inputs["Normal"] = nodes.add("ShaderNodeBump", inputs=relief)
    shader = nodes.add("ShaderNodeBsdfPrincipled", inputs=inputs)
    if surface.get("glow_share", 0.0) > 0:
        shader = _add_glow(nodes, surface, shader)
    nodes.add("ShaderNodeOutputMaterial", inputs={"Surface": shader})
    nodes.add("ShaderNodeOutputAOV", inputs={"Color": pattern.albedo}, aov_name="albedo")
    nodes.add("ShaderNodeOutputAOV", inputs={"Value": pattern.roughness}, aov_name="roughness")
    # This normal ignores the relief, which is not visible in a photo of a whole piece.
    normal = nodes.add("ShaderNodeNewGeometry", "Normal")
    nodes.add("ShaderNodeOutputAOV", inputs={"Color": normal}, aov_name="geometric_normal")


def _add_glow(nodes: Nodes, surface: Surface, shader: Any) -> Any:
    """Blend what the camera sees with uniform white light, as on a backdrop with lights of its own."""
    light = nodes.add("ShaderNodeEmission", inputs={"Color": (1.0, 1.0, 1.0), "Strength": surface["glow"]})
    is_camera_ray = nodes.add("ShaderNodeLightPath", "Is Camera Ray")
    share = nodes.math("MULTIPLY", is_camera_ray, surface["glow_share"])
    return nodes.add("ShaderNodeMixShader", inputs={0: share, 1: shader, 2: light})


def _add_wear(nodes: Nodes, surface: Surface, pattern: Pattern) -> Pattern:
    """Add scuffs. The undercoat shows in them, and they are rougher than the finish."""
    position = nodes.add("ShaderNodeTexCoord", "Object")
    noise = nodes.noise(position, (9.0, 9.0, 9.0), detail=6.0)
    threshold = 1.0 - 0.35 * surface["wear"]
    scuff = nodes.add("ShaderNodeMapRange", inputs={0: noise, 1: threshold - 0.2, 2: threshold - 0.14})
    rougher = nodes.math("ADD", pattern.roughness, nodes.math("MULTIPLY", scuff, 0.15))
    return pattern._replace(
        albedo=nodes.mix(scuff, pattern.albedo, surface["undercoat"]),
        roughness=nodes.add("ShaderNodeClamp", inputs={0: rougher}),
    )


def _wood(nodes: Nodes, surface: Surface) -> Pattern:
    """Planks with growth rings, streaks, fibres, pores and knots.

    The rings are concentric about the pith: a line parallel to the plank and outside it.

    Keys:
        early_color, late_color: of the light and the dark part of a ring.
        ring_m, plank_m: mean distance between the rings, and width of the planks.
        pith_across_m: range of the pith's position across the plank.
        pith_below_m: distance of the pith below the plank.
        bend: amplitude of the slow bending of the rings, in rings.
        ring_contrast, streak_contrast, fibre_contrast, pore_contrast: contributions to the darkness.
        knot_size: radius of knots as a share of their spacing; 0 for none.
        node_m: distance between the nodes of bamboo; 0 for none.
        ply_m: thickness of the layers of plywood, which show on its edges; 0 for solid wood.
        tone_range: range of the brightness factor of the planks.
        relief_m: depth of the fibres.
        scale: factor of all lengths.
    """
    scale = surface["scale"]
    ring, plank = scale * surface["ring_m"], scale * surface["plank_m"]
    position, plank_random = _plank_coordinates(nodes, surface, scale, plank)
    radius = _ring_radius(nodes, surface, position, scale, ring)
    knot = None
    if surface.get("knot_size", 0.0) > 0:
        scaled = nodes.vector("MULTIPLY", position, (2.2 / scale, 6.0 / scale, 0.0))
        cells = nodes.add("ShaderNodeTexVoronoi", "Distance", {"Vector": scaled, "Scale": 1.0})
        knot = nodes.add("ShaderNodeMapRange", inputs={0: cells, 1: 0.0, 2: surface["knot_size"], 3: 1.0, 4: 0.0})
        radius = nodes.math("ADD", radius, nodes.math("MULTIPLY", knot, 5.0 * ring))
    growth = _growth_ring(nodes, nodes.math("FRACT", nodes.math("DIVIDE", radius, ring)))
    streak = nodes.noise(position, (1.2 / scale, 60.0 / scale, 60.0 / scale), detail=3.0)
    fibre = nodes.noise(position, (14.0 / scale, 480.0 / scale, 480.0 / scale), detail=1.0)
    darkness = nodes.math(
        "ADD",
        nodes.math("MULTIPLY", growth, surface["ring_contrast"]),
        nodes.math("MULTIPLY", nodes.map_range(streak, -0.9, 1.5), surface["streak_contrast"]),
    )
    fibre_darkness = nodes.map_range(fibre, -surface["fibre_contrast"], surface["fibre_contrast"])
    darkness = nodes.math("ADD", darkness, fibre_darkness)
    if surface.get("pore_contrast", 0.0) > 0:  # short dark dashes, as in oak and ash
        dash = nodes.noise(position, (25.0 / scale, 700.0 / scale, 700.0 / scale), detail=0.0)
        pore = nodes.add("ShaderNodeMapRange", inputs={0: dash, 1: 0.6, 2: 0.72, 3: 0.0, 4: surface["pore_contrast"]})
        darkness = nodes.math("ADD", darkness, pore)
    if knot is not None:
        darkness = nodes.math("ADD", darkness, nodes.math("MULTIPLY", nodes.math("POWER", knot, 2.0), 1.2))
    if surface.get("node_m", 0.0) > 0:
        node = _stripes(nodes, nodes.separate_xyz(position)[0], scale * surface["node_m"], 0.02)
        darkness = nodes.math("ADD", darkness, nodes.math("MULTIPLY", node, 0.5))
    if surface.get("ply_m", 0.0) > 0:
        depth = nodes.separate_xyz(nodes.add("ShaderNodeAttribute", "Vector", attribute_name="grain"))[2]
        layer = _stripes(nodes, depth, 2 * surface["ply_m"], 0.5)
        darkness = nodes.math("ADD", darkness, nodes.math("MULTIPLY", layer, 0.6))
    share = nodes.add("ShaderNodeClamp", inputs={0: darkness})
    color = nodes.mix(share, surface["early_color"], surface["late_color"])
    tone = nodes.map_range(nodes.separate_xyz(plank_random)[0], *surface["tone_range"])
    albedo = nodes.scaled(color, tone)
    return Pattern(albedo, _varied_roughness(nodes, share, surface), fibre, scale * surface["relief_m"])


def _plank_coordinates(nodes: Nodes, surface: Surface, scale: float, plank: float) -> tuple[Any, Any]:
    """Return the position relative to the pith of the plank, and a random vector for each plank."""
    position = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="grain")
    board = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="board")
    _, across, _ = nodes.separate_xyz(position)
    number = nodes.math("ROUND", nodes.math("DIVIDE", across, plank))
    plank_vector = nodes.add("ShaderNodeCombineXYZ", inputs={1: number})
    seed = nodes.vector("ADD", board, plank_vector)
    plank_random = nodes.add("ShaderNodeTexWhiteNoise", "Color", {"Vector": seed}, noise_dimensions="3D")
    shift = nodes.vector("MULTIPLY", plank_random, (11.0, scale * surface["pith_across_m"], 0.08 * scale))
    centred = nodes.vector("SUBTRACT", position, nodes.vector("MULTIPLY", plank_vector, (0.0, plank, 0.0)))
    below = nodes.vector("ADD", shift, (0.0, 0.0, scale * surface["pith_below_m"]))
    return nodes.vector("ADD", centred, below), plank_random


def _ring_radius(nodes: Nodes, surface: Surface, position: Any, scale: float, ring: float) -> Any:
    """Return the distance from the pith with slow and fast deviations from a cylinder."""
    bend = nodes.noise(position, (1.1 / scale, 4.0 / scale, 4.0 / scale))
    wobble = nodes.noise(position, (6.0 / scale, 45.0 / scale, 45.0 / scale), detail=1.0)
    _, y, z = nodes.separate_xyz(position)
    radius = nodes.math("SQRT", nodes.math("ADD", nodes.math("MULTIPLY", y, y), nodes.math("MULTIPLY", z, z)))
    radius = nodes.math("ADD", radius, nodes.math("MULTIPLY", bend, surface["bend"] * ring))
    return nodes.math("ADD", radius, nodes.math("MULTIPLY", wobble, 0.6 * ring))


def _growth_ring(nodes: Nodes, phase: Any) -> Any:
    """Return the darkness over one ring: light early wood darkens into late wood, then the next ring starts."""
    growth = nodes.add("ShaderNodeValToRGB", "Color", {"Fac": phase})
    ramp = growth.node.color_ramp
    ramp.elements[0].position, ramp.elements[0].color = 0.0, (0.5, 0.5, 0.5, 1)
    ramp.elements[1].position, ramp.elements[1].color = 1.0, (0.5, 0.5, 0.5, 1)
    for position, level in ((0.15, 0.1), (0.55, 0.3), (0.9, 0.95)):
        ramp.elements.new(position).color = (level, level, level, 1)
    return growth


def _speckled(nodes: Nodes, surface: Surface) -> Pattern:
    """One colour with blotches and grit: paint, plastic, plaster, metal, concrete.

    Keys:
        color, contrast: mean colour, and maximum relative deviation.
        grit_per_m, blotches_per_m: frequencies.
        grit_share: weight of the grit; the blotches have the rest.
        stretch: factors of the grit's frequency along each axis.
    """
    position = nodes.add("ShaderNodeTexCoord", "Object")
    blotches_per_m, stretch = surface["blotches_per_m"], surface.get("stretch", (1.0, 1.0, 1.0))
    grit = nodes.noise(position, tuple(surface["grit_per_m"] * factor for factor in stretch), detail=2.0)
    blotches = nodes.noise(position, (blotches_per_m, blotches_per_m, blotches_per_m), detail=3.0)
    level = nodes.math(
        "ADD",
        nodes.math("MULTIPLY", grit, surface["grit_share"]),
        nodes.math("MULTIPLY", blotches, 1.0 - surface["grit_share"]),
    )
    albedo = _varied_color(nodes, level, surface)
    return Pattern(albedo, _varied_roughness(nodes, level, surface), grit, surface.get("relief_m", 0.0))


def _woven(nodes: Nodes, surface: Surface) -> Pattern:
    """Woven cloth, plain or with stripes, checks or a print.

    Keys:
        color, second_color: of the ground and the motif.
        motif: "none", "stripes", "checks" or "print".
        motif_m, stripe_share: period of the motif, and width of a stripe as a share of it.
        thread_m, fuzz_per_m: period of the weave, and frequency of the fuzz.
        contrast: maximum relative deviation of the colour.
        relief_m: depth of the weave.
    """
    position = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="grain")
    x, y, z = nodes.separate_xyz(position)
    motif: Any = 0.0
    if surface["motif"] == "print":
        cell = _voronoi(nodes, position, surface["motif_m"])
        motif = nodes.add("ShaderNodeMapRange", inputs={0: cell, 1: 0.3, 2: 0.36})
    elif surface["motif"] != "none":
        motif = _stripes(nodes, x, surface["motif_m"], surface["stripe_share"])
        if surface["motif"] == "checks":
            crosswise = _stripes(nodes, y, surface["motif_m"], 0.5)
            motif = nodes.math("MULTIPLY", nodes.math("ADD", motif, crosswise), 0.5)
    color = nodes.mix(motif, surface["color"], surface["second_color"])
    period = surface["thread_m"] / 6.2832
    warp = nodes.math("SINE", nodes.math("DIVIDE", nodes.math("ADD", x, z), period))
    weft = nodes.math("SINE", nodes.math("DIVIDE", nodes.math("ADD", y, z), period))
    weave = nodes.map_range(nodes.math("MULTIPLY", warp, weft), -0.5, 1.5)
    fuzz = nodes.noise(position, (surface["fuzz_per_m"],) * 3, detail=3.0)
    level = nodes.math("ADD", nodes.math("MULTIPLY", weave, 0.5), nodes.math("MULTIPLY", fuzz, 0.5))
    tone = nodes.map_range(level, 1 - surface["contrast"], 1 + surface["contrast"])
    albedo = nodes.scaled(color, tone)
    return Pattern(albedo, _varied_roughness(nodes, fuzz, surface), level, surface["relief_m"])


def _wicker(nodes: Nodes, surface: Surface) -> Pattern:
    """Strands woven over and under stakes, as in rattan, cane and paper cord.

    Keys:
        color, second_color: of the strands, and of the gaps between them.
        strand_m, stake_m: width of the strands, and distance between the stakes.
        contrast: maximum relative deviation of the colour.
        relief_m: depth of the weave.
    """
    position = nodes.add("ShaderNodeAttribute", "Vector", attribute_name="grain")
    x, y, z = nodes.separate_xyz(position)
    row = nodes.math("DIVIDE", nodes.math("ADD", y, z), surface["strand_m"])
    column = nodes.math("DIVIDE", nodes.math("ADD", x, z), surface["stake_m"])
    column = nodes.math("ADD", column, nodes.math("FLOOR", row))  # neighbouring strands are on opposite sides
    strand = nodes.math("SINE", nodes.math("MULTIPLY", nodes.math("FRACT", row), math.pi))
    wave = nodes.math("COSINE", nodes.math("MULTIPLY", column, math.pi))
    height = nodes.math("MULTIPLY", strand, nodes.add("ShaderNodeMapRange", inputs={0: wave, 1: -1.0, 2: 1.0, 3: 0.3}))
    fuzz = nodes.noise(position, (200.0, 200.0, 200.0))
    color = nodes.mix(nodes.math("POWER", height, 0.6), surface["second_color"], surface["color"])
    albedo = nodes.scaled(color, nodes.map_range(fuzz, 1 - surface["contrast"], 1 + surface["contrast"]))
    return Pattern(albedo, _varied_roughness(nodes, fuzz, surface), height, surface["relief_m"])


def _leather(nodes: Nodes, surface: Surface) -> Pattern:
    """Leather: small cells with creases between them, and blotches of lighter and darker colour.

    Keys:
        color, contrast: mean colour, and maximum relative deviation.
        cell_m, relief_m: size of the cells, and depth of the creases.
    """
    position = nodes.add("ShaderNodeTexCoord", "Object")
    cells = _voronoi(nodes, position, surface["cell_m"])
    blotches = nodes.noise(position, (6.0, 6.0, 6.0), detail=3.0)
    albedo = _varied_color(nodes, blotches, surface)
    height = nodes.math("SUBTRACT", 1.0, cells)
    return Pattern(albedo, _varied_roughness(nodes, blotches, surface), height, surface["relief_m"])


def _marble(nodes: Nodes, surface: Surface) -> Pattern:
    """A cloudy ground with veins where a sum of two noises is near a fixed level.

    Keys:
        color, second_color: of the ground and the veins.
        vein_m: distance between the veins.
        vein_width: difference from the fixed level at which a vein ends; the noises are in [0, 1].
    """
    position = nodes.add("ShaderNodeTexCoord", "Object")
    size = surface["vein_m"]
    warp = nodes.noise(position, (1.5 / size,) * 3, detail=4.0)
    fold = nodes.noise(nodes.vector("ADD", position, (size,) * 3), (0.8 / size,) * 3)
    level = nodes.math("SUBTRACT", nodes.math("ADD", warp, nodes.math("MULTIPLY", fold, 0.5)), 0.75)
    distance = nodes.math("ABSOLUTE", level)
    vein = nodes.add("ShaderNodeMapRange", inputs={0: distance, 1: 0.0, 2: surface["vein_width"], 3: 1.0, 4: 0.0})
    ground = nodes.mix(fold, surface["color"], _scaled_color(surface["color"], 0.8))
    albedo = nodes.mix(vein, ground, surface["second_color"])
    return Pattern(albedo, _varied_roughness(nodes, fold, surface), None, 0.0)


def _granite(nodes: Nodes, surface: Surface) -> Pattern:
    """Grains of size ``cell_m`` with colours between ``color`` and ``second_color``."""
    position = nodes.add("ShaderNodeTexCoord", "Object")
    grain_random, _, _ = nodes.separate_xyz(_voronoi(nodes, position, surface["cell_m"], "Color"))
    albedo = nodes.mix(grain_random, surface["color"], surface["second_color"])
    return Pattern(albedo, _varied_roughness(nodes, grain_random, surface), None, 0.0)


def _planks(nodes: Nodes, surface: Surface) -> Pattern:
    """A floor of boards or tiles in the plane of X and Y, with dark joints.

    Keys:
        tile_m, joint_m: length and width of the tiles, and width of the joints.
        offset: shift between neighbouring rows as a share of the length.
        rotation_rad: direction of the rows.
        color, second_color, grain_per_m: colours and frequencies of the grain.
        tone_range: range of the brightness factor of the tiles.
        relief_m: depth of the joints.
    """
    length, width = surface["tile_m"]
    position = nodes.add(
        "ShaderNodeVectorRotate",
        inputs={"Vector": nodes.add("ShaderNodeNewGeometry", "Position"), "Angle": surface["rotation_rad"]},
        rotation_type="Z_AXIS",
    )
    x, y, _ = nodes.separate_xyz(position)
    row = nodes.math("FLOOR", nodes.math("DIVIDE", y, width))
    start = nodes.math("MULTIPLY", nodes.math("FRACT", nodes.math("MULTIPLY", row, surface["offset"])), length)
    column = nodes.math("FLOOR", nodes.math("DIVIDE", nodes.math("ADD", x, start), length))
    tile = nodes.add("ShaderNodeCombineXYZ", inputs={0: row, 1: column})
    tile_random = nodes.add("ShaderNodeTexWhiteNoise", "Value", {"Vector": tile}, noise_dimensions="3D")
    shift = nodes.add("ShaderNodeCombineXYZ", inputs={2: nodes.math("MULTIPLY", tile_random, 7.0)})
    grain = nodes.noise(nodes.vector("ADD", position, shift), surface["grain_per_m"], detail=3.0)
    on_tile = nodes.math(
        "MINIMUM",
        _outside_joint(nodes, nodes.math("DIVIDE", y, width), surface["joint_m"] / width),
        _outside_joint(nodes, nodes.math("DIVIDE", nodes.math("ADD", x, start), length), surface["joint_m"] / length),
    )
    color = nodes.mix(grain, surface["color"], surface["second_color"])
    tile_tone = nodes.map_range(tile_random, *surface["tone_range"])
    albedo = nodes.scaled(color, nodes.math("MULTIPLY", tile_tone, nodes.map_range(on_tile, 0.35, 1.0)))
    return Pattern(albedo, _varied_roughness(nodes, grain, surface), on_tile, surface["relief_m"])


PATTERNS: dict[str, Callable[[Nodes, Surface], Pattern]] = {
    "wood": _wood,
    "speckled": _speckled,
    "woven": _woven,
    "wicker": _wicker,
    "leather": _leather,
    "marble": _marble,
    "granite": _granite,
    "planks": _planks,
}


def _varied_roughness(nodes: Nodes, level: Any, surface: Surface) -> Any:
    """Return a roughness that varies around the mean with ``level`` in [0, 1]."""
    spread = surface.get("roughness_spread", 0.05)
    low, high = max(surface["roughness"] - spread, 0.03), min(surface["roughness"] + spread, 1.0)
    return nodes.map_range(level, low, high)


def _varied_color(nodes: Nodes, level: Any, surface: Surface) -> Any:
    """Return a colour that varies around the mean with ``level`` in [0, 1]."""
    color, contrast = surface["color"], surface["contrast"]
    return nodes.mix(level, _scaled_color(color, 1 - contrast), _scaled_color(color, 1 + contrast))


def _scaled_color(color: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    red, green, blue = (min(channel * factor, MAX_ALBEDO) for channel in color)
    return red, green, blue


def _voronoi(nodes: Nodes, position: Any, cell_m: float, output: str = "Distance") -> Any:
    """Return an output of a Voronoi texture with cells of size ``cell_m``."""
    scaled = nodes.vector("DIVIDE", position, (cell_m,) * 3)
    return nodes.add("ShaderNodeTexVoronoi", output, {"Vector": scaled, "Scale": 1.0})


def _stripes(nodes: Nodes, value: Any, period: float, share: float) -> Any:
    """Return 1 in the first ``share`` of each period, else 0."""
    return nodes.math("LESS_THAN", nodes.math("FRACT", nodes.math("DIVIDE", value, period)), share)


def _outside_joint(nodes: Nodes, value: Any, share: float) -> Any:
    """Return 0 in the joints and 1 elsewhere. A joint covers the first ``share`` of each unit of ``value``."""
    return nodes.math("GREATER_THAN", nodes.math("FRACT", value), share)
