"""Draws random scenes: the surfaces of a piece, its surroundings, the light and the camera.

Coordinates are in metres with +Z up. The piece stands at the origin and faces -Y. Azimuths are in degrees, from the
front of the piece counter-clockwise as seen from above. "Draw" always means to draw at random. The distributions are
not tuned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from export_models.dataset.backgrounds import draw_backdrop, draw_floor, draw_wall
from export_models.dataset.meshes import SceneMesh
from export_models.dataset.surfaces import Surface, draw_mirror, draw_surface
from orchestrator.imaging.color import decode_srgb

Generator = np.random.Generator

CARCASS_ROLES = ("wood", "wood2", "panel")
"""Roles of the boards of a piece, the main one first."""
SAME_FINISH_SHARE = 0.55
"""Share of the pieces whose boards all have the same material and finish. Not tuned."""
ONE_FINISH_SHARE = 0.75
"""Probability that a material has one finish on a piece, as on most pieces in shops. Otherwise, it has two. Not
tuned."""
ENVIRONMENT_SHARE = 0.25
"""Share of the scenes that are lit by a photographed environment."""
LAMP_WATTS_PER_RADIANCE = 4.0 * math.pi**2
"""Power in watts of an area light, as given in ``Lamp``, that lights a white diffuse surface to a radiance of 1."""


class Camera(TypedDict):
    """A camera aimed at the piece. The samples of the data set store it."""

    azimuth_deg: float
    elevation_deg: float
    roll_deg: float
    lens_mm: float  # focal length for a sensor 36 mm wide
    fill: float  # share of the image that the outline of the piece fills
    upon: float  # > 0: the camera is aimed at the top of the piece, and this share of its width fills the image
    shift: list[float]  # lens shift to the right and up, as shares of the image


class RoomObject(TypedDict):
    """An object behind or beside the piece, or a picture on the wall."""

    kind: str  # "box", "vase", "ball", "plant" or "picture"
    surface: Surface
    image_surface: Surface  # of a picture, inside its frame
    x_m: float  # to the right of the piece, in the axes of the room
    width_m: float
    height_m: float
    depth_m: float
    seed: int  # of the leaves of a plant


class Room(TypedDict):
    """The floor, the wall behind the piece and what else is in a room."""

    rotation_deg: float
    wall_gap_m: float  # between the piece and the wall
    cove_radius_m: float  # of the curve between the floor and the wall of a studio; 0 in a home
    floor: Surface
    wall: Surface
    objects: list[RoomObject]
    rug: Surface | None
    rug_size_m: NotRequired[list[float]]  # width and depth
    side_wall_m: float | None  # from the side of the piece to a side wall; negative on the left
    skirting: Surface | None


class Lamp(TypedDict):
    """An area light or the sun, aimed at the piece."""

    kind: str  # "AREA" or "SUN"
    position_m: list[float]
    size_m: list[float]
    watts: float  # for a distance of 2 m, scaled with the squared distance; W/m² for the sun
    color: list[float]
    angle_deg: NotRequired[float]  # angular diameter of the sun


class Sky(TypedDict):
    """Uniform light from all directions, brighter from above."""

    color: list[float]
    strength: float
    gradient: float  # relative difference in strength between the zenith and the horizon
    environment: NotRequired[float]  # in [0, 1), selects a photographed environment in place of uniform light
    rotation_deg: NotRequired[float]  # of the environment about the vertical


class Lights(TypedDict):
    """All lights of a scene."""

    lamps: list[Lamp]
    sky: Sky


class TabletopObject(TypedDict):
    """An object that stands on the piece and does not belong to it."""

    kind: str  # "cup", "vase", "book", "fruit", "plate", "bowl" or "spoon"
    surface: Surface
    position: list[float]  # x and y as shares of the bounding box of the piece
    rotation_rad: float
    has_saucer: bool  # for a cup
    size_m: float


class Scene(TypedDict):
    """Everything in an image but the piece."""

    camera: Camera
    room: Room
    lights: Lights
    tabletop_objects: list[TabletopObject]


@dataclass(frozen=True)
class SlotSurfaces:
    """The material class and the surface of each slot of a mesh."""

    materials: tuple[str, ...]
    surfaces: tuple[Surface, ...]


def draw_slot_surfaces(mesh: SceneMesh, choices: Mapping[str, tuple[str, ...]], rng: Generator) -> SlotSurfaces:
    """Draw a surface for each role of ``mesh``.

    A material has one or two finishes on a piece, however many roles it has. The boards often share one.

    Args:
        choices: the material classes of each role. Each is half as likely as the one before it.
    """
    drawn: dict[str, tuple[str, Surface]] = {}
    finishes: dict[str, list[Surface]] = {}
    for role in sorted({slot.role for slot in mesh.slots}):
        if role == "mirror":
            drawn[role] = choices[role][0], draw_mirror(rng)
            continue
        weights = 0.5 ** np.arange(len(choices[role]))
        material = str(rng.choice(choices[role], p=weights / weights.sum()))
        if material not in finishes:
            count = 1 if rng.random() < ONE_FINISH_SHARE else 2
            finishes[material] = [draw_surface(material, rng, mesh.size_m) for _ in range(count)]
        drawn[role] = material, finishes[material][int(rng.integers(len(finishes[material])))]
    carcass = [role for role in CARCASS_ROLES if role in drawn]
    if carcass and rng.random() < SAME_FINISH_SHARE:
        drawn |= dict.fromkeys(carcass, drawn[carcass[0]])
    return SlotSurfaces(
        tuple(drawn[slot.role][0] for slot in mesh.slots), tuple(drawn[slot.role][1] for slot in mesh.slots)
    )


def draw_catalogue_scene(mesh: SceneMesh, rng: Generator) -> Scene:
    """Draw a catalogue photo of ``mesh``: the piece fills most of the image, on seamless white, in soft, bright light.

    The backdrop has light of its own. It is therefore white, and shadows on it are faint or missing.
    """
    size = max(mesh.size_m, 0.5)
    camera = _draw_catalogue_camera(rng)
    lights = _draw_catalogue_lights(camera["azimuth_deg"], size, rng)
    room = _draw_studio(camera["azimuth_deg"], size, rng)
    backdrop = room["floor"] | {
        "color": (0.9, 0.9, 0.9),
        "glow": _white_radiance(lights) * float(rng.uniform(0.75, 1.5)),
        "glow_share": _draw_glow_share(rng),
    }
    return {
        "camera": camera,
        "room": {**room, "floor": backdrop, "wall": backdrop, "wall_gap_m": size * float(rng.uniform(0.8, 2.0))},
        "lights": lights,
        "tabletop_objects": [],
    }


def draw_scene(mesh: SceneMesh, rng: Generator) -> Scene:
    """Draw the camera, the room and the light for ``mesh``, in a home or a photo studio, without objects on it."""
    azimuth = float(rng.normal(0.0, 35.0)) if rng.random() < 0.75 else float(rng.uniform(-180.0, 180.0))
    in_studio = rng.random() < 0.35
    size = max(mesh.size_m, 0.5)
    return {
        "camera": _draw_camera(azimuth, rng),
        "room": _draw_studio(azimuth, size, rng) if in_studio else _draw_home(azimuth, size, rng),
        "lights": _draw_lights(azimuth, size, in_studio, rng),
        "tabletop_objects": [],
    }


def close_up(camera: Camera, rng: Generator) -> Camera:
    """Return the camera with a longer lens, aimed at a detail, so that the outline does not reveal the piece."""
    zoom = float(rng.uniform(1.4, 3.5))
    reach = 0.3 * camera["fill"] * zoom
    shift = [float(rng.uniform(-reach, reach)) for _ in range(2)]
    return {**camera, "lens_mm": camera["lens_mm"] * zoom, "fill": camera["fill"] * zoom, "shift": shift}


def from_above(camera: Camera, rng: Generator) -> Camera:
    """Return the camera close to the top of the piece, as in photos of objects on a table."""
    elevation, upon = float(rng.uniform(20.0, 70.0)), float(rng.uniform(0.2, 0.7))
    return {**camera, "elevation_deg": elevation, "upon": upon}


def draw_tabletop_objects(rng: Generator, spread: float = 0.4) -> list[TabletopObject]:
    """Draw one to four objects that stand on the piece.

    Args:
        spread: maximum distance in x and y from the centre of the piece, as a share of its bounding box.
    """
    objects: list[TabletopObject] = []
    for _ in range(int(rng.integers(1, 5))):
        kind = str(rng.choice(["cup", "vase", "book", "fruit", "plate", "bowl", "spoon"]))
        others = ["painted", "wood", "fabric", "plastic", "metal", "stone", "glass"]
        material = "ceramic" if rng.random() < 0.5 else str(rng.choice(others))
        objects.append(
            {
                "kind": kind,
                "surface": draw_surface(material, rng, 0.3),
                "position": [float(rng.uniform(0.5 - spread, 0.5 + spread)) for _ in range(2)],
                "rotation_rad": float(rng.uniform(0.0, 2.0 * math.pi)),
                "has_saucer": bool(rng.random() < 0.5),
                "size_m": float(rng.uniform(0.025, 0.065)),
            }
        )
    return objects


def _draw_camera(azimuth: float, rng: Generator) -> Camera:
    return {
        "azimuth_deg": azimuth,
        "elevation_deg": float(np.clip(rng.normal(14.0, 10.0), -3.0, 45.0)),
        "roll_deg": float(rng.normal(0.0, 1.2)),
        "lens_mm": float(rng.choice([24, 28, 35, 50, 50, 70, 85])),
        "fill": float(rng.uniform(0.45, 0.92)),
        "upon": 0.0,
        "shift": [float(rng.normal(0.0, 0.05)), float(rng.normal(0.0, 0.04))],
    }


def _draw_glow_share(rng: Generator) -> float:
    """Draw the strength of the backdrop's own light: 1 hides all shadows, 0 leaves them as dark as on paper."""
    kind = rng.random()
    if kind < 0.4:
        return 1.0
    return float(rng.uniform(0.5, 0.97) if kind < 0.85 else rng.uniform(0, 0.5))


def _draw_catalogue_camera(rng: Generator) -> Camera:
    """Draw a three-quarter view from eye level or slightly above, a front view, or sometimes any other."""
    view = rng.random()
    if view < 0.6:
        azimuth = float(rng.choice([-1.0, 1.0]) * rng.normal(32.0, 9.0))
    else:
        azimuth = float(rng.normal(0.0, 4.0)) if view < 0.85 else float(rng.uniform(-180.0, 180.0))
    return {
        "azimuth_deg": azimuth,
        "elevation_deg": float(np.clip(rng.normal(12.0, 8.0), -2.0, 40.0)),
        "roll_deg": 0.0,
        "lens_mm": float(rng.choice([35, 50, 70, 85, 100])),
        "fill": float(rng.uniform(0.6, 0.96)),
        "upon": 0.0,
        "shift": [float(rng.normal(0.0, 0.008)), float(rng.normal(0.0, 0.008))],
    }


def _draw_catalogue_lights(azimuth: float, size: float, rng: Generator) -> Lights:
    """Draw soft boxes in nearly white light, under a strong sky or in a photographed environment."""
    side = float(rng.choice([-1.0, 1.0]))
    lamps = _draw_soft_boxes(azimuth, side, 2.2 * size, rng) if rng.random() < 0.8 else []
    power = float(rng.uniform(0.2, 1.0))
    lamps = [
        {**lamp, "color": _kelvin_to_rgb(rng.uniform(5200, 6800)), "watts": lamp["watts"] * power} for lamp in lamps
    ]
    sky: Sky = {
        "color": _kelvin_to_rgb(rng.uniform(5800, 6800)),
        "strength": float(rng.uniform(0.4, 1.2)),
        "gradient": float(rng.uniform(0.0, 0.9)),
    }
    return {"lamps": lamps, "sky": _in_environment(sky, rng)}


def _white_radiance(lights: Lights) -> float:
    """Return the approximate radiance of a white surface under the lights, at the mean angle of a lamp."""
    return lights["sky"]["strength"] + sum(0.6 * lamp["watts"] / LAMP_WATTS_PER_RADIANCE for lamp in lights["lamps"])


def _in_environment(sky: Sky, rng: Generator) -> Sky:
    """Replace the uniform light of some skies by a photographed environment of the same strength."""
    if rng.random() >= ENVIRONMENT_SHARE:
        return sky
    return {**sky, "environment": float(rng.random()), "rotation_deg": float(rng.uniform(0.0, 360.0))}


def _draw_studio(azimuth: float, size: float, rng: Generator) -> Room:
    """Draw a photo studio: a paper backdrop that curves from the floor to the wall."""
    paper = draw_backdrop(rng)
    return {
        "rotation_deg": azimuth + float(rng.normal(0.0, 6.0)),
        "wall_gap_m": size * float(rng.uniform(0.4, 1.5)),
        "cove_radius_m": size * float(rng.uniform(0.4, 1.0)),
        "floor": paper,
        "wall": paper,
        "objects": [],
        "rug": None,
        "side_wall_m": None,
        "skirting": None,
    }


def _draw_home(azimuth: float, size: float, rng: Generator) -> Room:
    """Draw a room of a home, with objects and perhaps a rug, a skirting board and a side wall."""
    skirting = draw_surface("painted", rng, size) if rng.random() < 0.7 else None
    rug = draw_surface("fabric", rng, 2.0) if rng.random() < 0.25 else None
    rotation = float(rng.uniform(-38.0, 38.0))
    side_wall = size * float(rng.uniform(0.4, 1.0)) if rng.random() < 0.35 else None
    return {
        "rotation_deg": azimuth + rotation,
        "wall_gap_m": float(rng.uniform(0.03, 0.6)) if rng.random() < 0.7 else float(rng.uniform(0.6, 2.5)),
        "cove_radius_m": 0.0,
        "floor": draw_floor(rng),
        "wall": draw_wall(rng),
        "objects": [_draw_room_object(size, rng) for _ in range(int(rng.integers(0, 7)))],
        "rug": rug,
        "rug_size_m": [size * float(rng.uniform(1.2, 2.5)), size * float(rng.uniform(0.9, 2.0))],
        # The side wall is on the side away from the camera.
        "side_wall_m": None if side_wall is None else math.copysign(side_wall, rotation),
        "skirting": skirting,
    }


def _draw_room_object(size: float, rng: Generator) -> RoomObject:
    kind = str(rng.choice(["box", "vase", "ball", "plant", "picture", "picture"]))
    material = str(rng.choice(["painted", "wood", "fabric", "plastic", "metal", "stone"]))
    return {
        "kind": kind,
        "surface": draw_surface(material, rng, size),
        "image_surface": draw_surface("painted", rng, size),
        "x_m": float(rng.uniform(-2.2, 2.2)) * size,
        "width_m": float(rng.uniform(0.15, 0.7)),
        "height_m": float(rng.uniform(0.2, 1.6)),
        "depth_m": float(rng.uniform(0.1, 0.4)),
        "seed": int(rng.integers(1 << 30)),
    }


def _draw_lights(azimuth: float, size: float, in_studio: bool, rng: Generator) -> Lights:
    """Draw lamps around the camera's side of the piece, and the sky."""
    styles = ["soft boxes", "sky"] if in_studio else ["window", "sun", "lamps", "sky", "soft boxes"]
    style = str(rng.choice(styles))
    distance = 2.2 * size
    warm, cold = _kelvin_to_rgb(rng.uniform(2500, 3600)), _kelvin_to_rgb(rng.uniform(5000, 8000))
    side = float(rng.choice([-1.0, 1.0]))
    lamps: list[Lamp] = []
    if style == "soft boxes":
        lamps = _draw_soft_boxes(azimuth, side, distance, rng)
        strength = float(rng.uniform(0.2, 1.2))
    elif style == "window":
        direction = azimuth + side * rng.uniform(40, 120), rng.uniform(5, 35)
        lamps = [_draw_lamp(*direction, distance, (0.5, 1.0), 110, rng)]
        strength = float(rng.uniform(0.05, 0.5))
    elif style == "sun":
        direction = azimuth + side * rng.uniform(20, 110), rng.uniform(20, 60)
        sun = _draw_lamp(*direction, distance, (0.0, 0.0), 3.0, rng)
        lamps = [{**sun, "kind": "SUN", "angle_deg": float(rng.uniform(0.3, 4.0))}]
        strength = float(rng.uniform(0.2, 1.0))
    elif style == "lamps":
        for _ in range(int(rng.integers(1, 4))):
            direction = azimuth + rng.uniform(-100, 100), rng.uniform(30, 85)
            lamps.append({**_draw_lamp(*direction, distance, (0.03, 0.15), 60, rng), "color": warm})
        strength = float(rng.uniform(0.03, 0.3))
    else:
        strength = float(rng.uniform(0.6, 1.5))
    color = cold if rng.random() < 0.6 else _kelvin_to_rgb(rng.uniform(4000, 6500))
    sky: Sky = {"color": color, "strength": strength, "gradient": float(rng.uniform(0.0, 0.8))}
    return {"lamps": lamps, "sky": _in_environment(sky, rng)}


def _draw_soft_boxes(azimuth: float, side: float, distance: float, rng: Generator) -> list[Lamp]:
    """Draw a key light, a weaker fill light on the other side, and sometimes a back light."""
    key = azimuth + side * rng.uniform(15, 75), rng.uniform(25, 70)
    lamps = [_draw_lamp(*key, distance, (0.4, 1.2), 70, rng)]
    fill = azimuth - side * rng.uniform(30, 90), rng.uniform(10, 60)
    lamps.append(_draw_lamp(*fill, distance, (0.5, 1.2), 18, rng))
    if rng.random() < 0.5:
        back = azimuth + 180 + rng.normal(0, 40), rng.uniform(30, 70)
        lamps.append(_draw_lamp(*back, distance, (0.3, 1.0), 35, rng))
    return lamps


def _draw_lamp(
    azimuth: float, elevation: float, distance: float, sizes: tuple[float, float], watts: float, rng: Generator
) -> Lamp:
    """Draw an area light.

    Args:
        distance, watts: typical values; the drawn values vary around them.
        sizes: range of the sides of the light as shares of ``distance``.
    """
    azimuth_rad, elevation_rad = math.radians(azimuth), math.radians(elevation)
    drawn_distance = distance * float(rng.uniform(0.8, 1.3))
    return {
        "kind": "AREA",
        "position_m": [
            drawn_distance * math.sin(azimuth_rad) * math.cos(elevation_rad),
            -drawn_distance * math.cos(azimuth_rad) * math.cos(elevation_rad),
            drawn_distance * math.sin(elevation_rad) + 0.2,
        ],
        "size_m": [distance * float(rng.uniform(*sizes)) + 0.01, distance * float(rng.uniform(*sizes)) + 0.01],
        "watts": float(watts * rng.uniform(0.5, 1.6)),
        "color": _kelvin_to_rgb(rng.uniform(3000, 7000)),
    }


def _kelvin_to_rgb(temperature: float) -> list[float]:
    """Return the linear RGB of a black body relative to 6500 K, with its brightest channel at 1.

    The formulas are Helland's (2012) fit to the sRGB colours of black bodies.
    """
    t = temperature / 100.0
    red = 255.0 if t <= 66 else 329.7 * (t - 60) ** -0.1332
    green = 99.47 * math.log(t) - 161.12 if t <= 66 else 288.12 * (t - 60) ** -0.0755
    blue = 255.0 if t >= 66 else 138.52 * math.log(t - 10) - 305.04
    color = decode_srgb(np.clip(np.array([red, green, blue]) / 255.0, 0.0, 1.0))
    return [float(channel) for channel in color / color.max()]
