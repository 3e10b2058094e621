"""Render a piece from many sides, with what a benchmark needs to know of it: ``render_orbit``.

python -m tests.benchmarks.orbit.photos NAME --out DIR [--photos 36] [--size 800x600] [--turntable]

python -m tests.benchmarks.orbit.photos --demo

NAME is a piece of ``furniture/picks.toml``. Finished orbits are kept. ``--demo`` makes the demo's picture set again.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export_models.dataset.furniture_package import furniture_folder
from export_models.dataset.samples import read_passes
from orchestrator.imaging.photo import EXIF_IFD, FOCAL_LENGTH_35MM
from tests.benchmarks.furniture.catalogue import read_catalogue, read_picks, unpack_model
from tests.benchmarks.furniture.pictures import CLASSES, to_srgb

BLENDER_CODE = Path(__file__).with_name("orbit_blender.py")
EXPOSURE = 0.9
DEMO_FOLDER = Path(__file__).parents[3] / "orchestrator" / "demo_photos" / "orbit"
DEMO_PIECE, DEMO_PHOTOS, DEMO_HIGH, DEMO_SIZE = "cushion_chair", 26, 8, (1350, 1800)
FILM_WIDTH_MM = 35.0
"""What COLMAP takes for the width of the film that EXIF's focal length refers to."""
UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""Blender's world (+Z up) to ours (+Y up)."""
OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""A camera that looks along +Z with +Y down, from one that looks along -Z with +Y up."""

View = tuple[float, float]
"""Azimuth and elevation of the camera, degrees."""


@dataclass(frozen=True)
class Orbit:
    """Photos of one piece. World: metres, +Y up, the piece's foot in the origin."""

    name: str
    photos: tuple[Path, ...]  # 8-bit sRGB PNG
    masks: tuple[Path, ...]  # 8-bit grey PNG, 255 on the piece
    camera_to_world: NDArray[np.float64]  # [N, 4, 4], OpenCV camera: +X right, +Y down, +Z forward
    focal_px: float  # square pixels, the principal point in the middle, no distortion
    size: tuple[int, int]  # width, height
    vertices: NDArray[np.float64]  # [V, 3]
    triangles: NDArray[np.int32]  # [T, 3]


def ring(count: int, elevation_deg: float = 22.0, wobble_deg: float = 12.0) -> list[View]:
    """One walk around the piece, the camera rising and falling three times as a hand would."""
    turns = [index / count for index in range(count)]
    return [(360.0 * turn, elevation_deg + wobble_deg * math.sin(3 * 2 * math.pi * turn)) for turn in turns]


def render_orbit(
    name: str,
    folder: Path,
    views: Sequence[View],
    *,
    size: tuple[int, int] = (800, 600),
    turntable: bool = False,
    samples: int = 12,
) -> Orbit:
    """Render the piece ``name`` from ``views``, unless ``folder`` has it already.

    ``turntable`` leaves the surroundings plain and keeps the light with the camera, as when the piece turns before a
    camera that stands still; otherwise the piece stands in a room full of detail.
    """
    facts_file = folder / "orbit.json"
    if not facts_file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            _render(name, folder, views, size, turntable, samples, Path(scratch))
    facts = json.loads(facts_file.read_text())
    mesh = np.load(folder / "mesh.npz")
    count = len(facts["camera_to_world"])
    return Orbit(
        name=name,
        photos=tuple(folder / f"photo-{index:03d}.png" for index in range(count)),
        masks=tuple(folder / f"mask-{index:03d}.png" for index in range(count)),
        camera_to_world=np.array(facts["camera_to_world"]),
        focal_px=facts["focal_px"],
        size=(facts["width"], facts["height"]),
        vertices=mesh["vertices"] @ UP[:3, :3].T,
        triangles=mesh["triangles"],
    )


def _render(
    name: str,
    folder: Path,
    views: Sequence[View],
    size: tuple[int, int],
    turntable: bool,
    samples: int,
    scratch: Path,
) -> None:
    piece = next(one for one in read_picks()["pick"] if one["name"] == name)
    archive = furniture_folder(scratch) / f"{piece['archive']}.sh3f"
    model = read_catalogue(archive)[piece["model"]]
    job = {
        "piece": piece
        | {
            "obj": str(unpack_model(archive, piece["model"], scratch / "models")),
            "height_m": model.height_m,
            "seed": 1,
        },
        "classes": list(CLASSES),
        "samples": samples,
        "size": size,
        "turntable": turntable,
        "mesh": str(folder / "mesh.npz"),
        "views": [
            {"azimuth_deg": azimuth, "elevation_deg": elevation, "exr": str(scratch / f"{index:03d}.exr")}
            for index, (azimuth, elevation) in enumerate(views)
        ],
    }
    job_file = scratch / "job.json"
    job_file.write_text(json.dumps(job))
    done = subprocess.run([sys.executable, str(BLENDER_CODE), str(job_file)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"Blender ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    cameras, focal = [], 0.0
    for index in range(len(views)):
        exr = scratch / f"{index:03d}.exr"
        passes = read_passes(exr)
        known = json.loads(exr.with_suffix(".json").read_text())
        cameras.append((UP @ np.array(known["camera_to_world"]) @ OPENCV).tolist())
        focal = known["focal_px"]
        photo = to_srgb(np.clip(passes["Combined"][..., :3] * EXPOSURE, 0, 1))
        piece_mask = sum(passes[f"class_{kind}"][..., 0] for kind in CLASSES) >= 0.5
        Image.fromarray(photo).save(folder / f"photo-{index:03d}.png", exif=lens_exif(focal, size))
        Image.fromarray(piece_mask.astype(np.uint8) * 255).save(folder / f"mask-{index:03d}.png")
    facts = {"camera_to_world": cameras, "focal_px": focal, "width": size[0], "height": size[1]}
    (folder / "orbit.json").write_text(json.dumps(facts))


def lens_exif(focal_px: float, size: tuple[int, int]) -> Image.Exif:
    """What any camera and phone writes of its lens: the 35 mm equivalent focal length, in whole millimetres."""
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[FOCAL_LENGTH_35MM] = round(focal_px * FILM_WIDTH_MM / max(size))
    return exif


def make_demo() -> None:
    """Write the demo's picture set: a chair on a turntable, seen from all sides and from above."""
    views = ring(DEMO_PHOTOS - DEMO_HIGH, 14.0, 8.0) + ring(DEMO_HIGH, 48.0, 0.0)
    DEMO_FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        made = render_orbit(DEMO_PIECE, Path(scratch), views, size=DEMO_SIZE, turntable=True, samples=16)
        for number, photo in enumerate(made.photos, 1):
            picture = Image.open(photo)
            target = DEMO_FOLDER / f"{DEMO_PIECE}-{number:02d}.jpg"
            picture.save(target, quality=90, optimize=True, exif=picture.getexif())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--demo", action="store_true", help="make orchestrator/demo_photos/orbit again instead")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--photos", type=int, default=36)
    parser.add_argument("--size", default="800x600")
    parser.add_argument("--turntable", action="store_true")
    arguments = parser.parse_args()
    if arguments.demo:
        make_demo()
        return
    if not arguments.name or not arguments.out:
        parser.error("give a NAME and --out DIR, or --demo")
    width, height = map(int, arguments.size.split("x"))
    made = render_orbit(
        arguments.name, arguments.out, ring(arguments.photos), size=(width, height), turntable=arguments.turntable
    )
    print(f"{len(made.photos)} photos in {arguments.out}")


if __name__ == "__main__":
    main()
