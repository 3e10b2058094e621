"""Draw random scenes: what stands where, in which light, seen by which camera. Plain Python, the same for one seed.

Metres, +Z up; the piece stands in the origin with its front to -Y. Angles in degrees, from the front to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from export_models.dataset import surfaces
from export_models.dataset.meshes import SceneMesh
from orchestrator.imaging.color import decode_srgb

Random = np.random.Generator
Description = dict[str, Any]


@dataclass(frozen=True)
class Dressed:
    """The class and the surface of each slot of a mesh."""

    materials: tuple[str, ...]
    surfaces: tuple[surfaces.Surface, ...]


def dress(mesh: SceneMesh, choices: dict[str, tuple[str, ...]], random: Random) -> Dressed:
    """Give each role of ``mesh`` a surface of one of the classes in ``choices``, the first the likeliest."""
    drawn: dict[str, tuple[str, surfaces.Surface]] = {}
    for role in sorted({slot.role for slot in mesh.slots}):
        weights = 0.5 ** np.arange(len(choices[role]))
        kind = str(random.choice(choices[role], p=weights / weights.sum()))
        drawn[role] = kind, surfaces.surface(kind, random, mesh.size_m)
    return Dressed(tuple(drawn[slot.role][0] for slot in mesh.slots), tuple(drawn[slot.role][1] for slot in mesh.slots))


def scene(mesh: SceneMesh, random: Random) -> Description:
    """Draw the camera, the room and the light for ``mesh``."""
    azimuth = float(random.normal(0.0, 35.0)) if random.random() < 0.75 else float(random.uniform(-180.0, 180.0))
    studio = random.random() < 0.35
    size = max(mesh.size_m, 0.5)
    return {
        "camera": camera(azimuth, random),
        "room": studio_room(azimuth, size, random) if studio else lived_in_room(azimuth, size, random),
        "lights": light(azimuth, size, studio, random),
        "standing": [],
    }


def camera(azimuth: float, random: Random) -> Description:
    return {
        "azimuth_deg": azimuth,
        "elevation_deg": float(np.clip(random.normal(14.0, 10.0), -3.0, 45.0)),
        "roll_deg": float(random.normal(0.0, 1.2)),
        "lens_mm": float(random.choice([24, 28, 35, 50, 50, 70, 85])),
        "fill": float(random.uniform(0.45, 0.92)),
        "upon": 0.0,
        "shift": [float(random.normal(0.0, 0.05)), float(random.normal(0.0, 0.04))],
    }


def close_up(camera: Description, random: Random) -> Description:
    """The same camera with a longer lens on some part of the piece, so that no outline tells what it is."""
    zoom = float(random.uniform(1.4, 3.5))
    reach = 0.3 * camera["fill"] * zoom
    shift = [float(random.uniform(-reach, reach)) for _ in range(2)]
    return camera | {"lens_mm": camera["lens_mm"] * zoom, "fill": camera["fill"] * zoom, "shift": shift}


def from_above(camera: Description, random: Random) -> Description:
    """The same camera near the piece's top, which fills the picture, as in photos of what stands on a table."""
    elevation, upon = float(random.uniform(20.0, 70.0)), float(random.uniform(0.2, 0.7))
    return camera | {"elevation_deg": elevation, "upon": upon}


def standing(random: Random, spread: float = 0.4) -> list[Description]:
    """A few things on the piece: crockery, vases, books, fruit.

    ``at`` is where above it, as shares of its bounding box, up to ``spread`` from its middle.
    """
    made = []
    for _ in range(int(random.integers(1, 5))):
        kind = str(random.choice(["cup", "vase", "book", "fruit", "plate", "bowl", "spoon"]))
        others = ["painted", "wood", "fabric", "plastic", "metal", "stone", "glass"]
        material = "ceramic" if random.random() < 0.5 else str(random.choice(others))
        made.append(
            {
                "kind": kind,
                "surface": surfaces.surface(material, random, 0.3),
                "at": [float(random.uniform(0.5 - spread, 0.5 + spread)) for _ in range(2)],
                "turn_rad": float(random.uniform(0.0, 2.0 * math.pi)),
                "saucer": bool(random.random() < 0.5),
                "size_m": float(random.uniform(0.025, 0.065)),
            }
        )
    return made


def studio_room(azimuth: float, size: float, random: Random) -> Description:
    paper = surfaces.paper(random)
    return {
        "turn_deg": azimuth + float(random.normal(0.0, 6.0)),
        "gap_m": size * float(random.uniform(0.4, 1.5)),
        "cove_m": size * float(random.uniform(0.4, 1.0)),
        "floor": paper,
        "wall": paper,
        "things": [],
        "rug": None,
        "corner_m": None,
        "skirting": None,
    }


def lived_in_room(azimuth: float, size: float, random: Random) -> Description:
    skirting = surfaces.surface("painted", random, size) if random.random() < 0.7 else None
    rug = surfaces.surface("fabric", random, 2.0) if random.random() < 0.25 else None
    turned = float(random.uniform(-38.0, 38.0))
    corner = size * float(random.uniform(0.4, 1.0)) if random.random() < 0.35 else None
    return {
        "turn_deg": azimuth + turned,
        "gap_m": float(random.uniform(0.03, 0.6)) if random.random() < 0.7 else float(random.uniform(0.6, 2.5)),
        "cove_m": 0.0,
        "floor": surfaces.floor(random),
        "wall": surfaces.wall(random),
        "things": [thing(size, random) for _ in range(int(random.integers(0, 7)))],
        "rug": rug,
        "rug_m": [size * float(random.uniform(1.2, 2.5)), size * float(random.uniform(0.9, 2.0))],
        # A side wall, on the side that the camera does not look from.
        "corner_m": None if corner is None else math.copysign(corner, turned),
        "skirting": skirting,
    }


def thing(size: float, random: Random) -> Description:
    """Something beside or behind the piece: a box, a vase, a plant, a picture on the wall."""
    kind = str(random.choice(["box", "vase", "ball", "plant", "picture", "picture"]))
    material = str(random.choice(["painted", "wood", "fabric", "plastic", "metal", "stone"]))
    return {
        "kind": kind,
        "surface": surfaces.surface(material, random, size),
        "second": surfaces.surface("painted", random, size),
        "across": float(random.uniform(-2.2, 2.2)) * size,
        "wide_m": float(random.uniform(0.15, 0.7)),
        "high_m": float(random.uniform(0.2, 1.6)),
        "deep_m": float(random.uniform(0.1, 0.4)),
        "seed": int(random.integers(1 << 30)),
    }


def light(azimuth: float, size: float, studio: bool, random: Random) -> Description:
    """Lamps around the camera's side of the piece, and the sky. ``watts`` are for a room of 1 m."""
    style = str(random.choice(["soft boxes", "sky"] if studio else ["window", "sun", "lamps", "sky", "soft boxes"]))
    reach = 2.2 * size
    lamps: list[Description] = []
    warm, cold = kelvin(random.uniform(2500, 3600)), kelvin(random.uniform(5000, 8000))
    side = float(random.choice([-1.0, 1.0]))
    if style == "soft boxes":
        lamps.append(
            lamp(azimuth + side * random.uniform(15, 75), random.uniform(25, 70), reach, (0.4, 1.2), 70, random)
        )
        lamps.append(
            lamp(azimuth - side * random.uniform(30, 90), random.uniform(10, 60), reach, (0.5, 1.2), 18, random)
        )
        if random.random() < 0.5:
            lamps.append(
                lamp(azimuth + 180 + random.normal(0, 40), random.uniform(30, 70), reach, (0.3, 1.0), 35, random)
            )
        sky = float(random.uniform(0.2, 1.2))
    elif style == "window":
        lamps.append(
            lamp(azimuth + side * random.uniform(40, 120), random.uniform(5, 35), reach, (0.5, 1.0), 110, random)
        )
        sky = float(random.uniform(0.05, 0.5))
    elif style == "sun":
        lamps.append(
            lamp(azimuth + side * random.uniform(20, 110), random.uniform(20, 60), reach, (0.0, 0.0), 3.0, random)
            | {"kind": "SUN", "angle_deg": float(random.uniform(0.3, 4.0))}
        )
        sky = float(random.uniform(0.2, 1.0))
    elif style == "lamps":
        for _ in range(int(random.integers(1, 4))):
            lamps.append(
                lamp(azimuth + random.uniform(-100, 100), random.uniform(30, 85), reach, (0.03, 0.15), 60, random)
                | {"color": warm}
            )
        sky = float(random.uniform(0.03, 0.3))
    else:
        sky = float(random.uniform(0.6, 1.5))
    sky_color = cold if random.random() < 0.6 else kelvin(random.uniform(4000, 6500))
    return {"lamps": lamps, "sky": {"color": sky_color, "strength": sky, "above": float(random.uniform(0.0, 0.8))}}


def lamp(
    azimuth: float, elevation: float, reach: float, sizes: tuple[float, float], watts: float, random: Random
) -> Description:
    azimuth_rad, elevation_rad = math.radians(azimuth), math.radians(elevation)
    distance = reach * float(random.uniform(0.8, 1.3))
    return {
        "kind": "AREA",
        "at": [
            distance * math.sin(azimuth_rad) * math.cos(elevation_rad),
            -distance * math.cos(azimuth_rad) * math.cos(elevation_rad),
            distance * math.sin(elevation_rad) + 0.2,
        ],
        "size_m": [reach * float(random.uniform(*sizes)) + 0.01, reach * float(random.uniform(*sizes)) + 0.01],
        "watts": float(watts * random.uniform(0.5, 1.6)),
        "color": kelvin(random.uniform(3000, 7000)),
    }


def kelvin(temperature: float) -> list[float]:
    """Linear RGB of a black body, relative to 6500 K, brightest channel 1 (Krystek's fit as used by Helland 2012)."""
    t = temperature / 100.0
    red = 255.0 if t <= 66 else 329.7 * (t - 60) ** -0.1332
    green = 99.47 * math.log(t) - 161.12 if t <= 66 else 288.12 * (t - 60) ** -0.0755
    blue = 255.0 if t >= 66 else 138.52 * math.log(t - 10) - 305.04
    color = decode_srgb(np.clip(np.array([red, green, blue]) / 255.0, 0.0, 1.0))
    return [float(channel) for channel in color / color.max()]
