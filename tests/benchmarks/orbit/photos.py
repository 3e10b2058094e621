"""Renders a piece from many sides, with its true masks, cameras and shape.

python -m tests.benchmarks.orbit.photos NAME --out DIR [--photos 36] [--size 800x600] [--turntable]

python -m tests.benchmarks.orbit.photos --demo

NAME is a piece of ``furniture/picks.toml``. Existing orbits are kept. ``--demo`` renders the demo's photo set again.
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
from PIL import ExifTags, Image

from export_models.dataset.furniture_package import furniture_folder
from export_models.dataset.samples import read_passes
from orchestrator.geometry.cameras import Camera
from tests.benchmarks.furniture.catalogue import read_catalogue, read_picks, unpack_model
from tests.benchmarks.furniture.pictures import CLASSES, to_srgb

BLENDER_SCRIPT = Path(__file__).with_name("orbit_blender.py")
EXPOSURE = 0.9
DEMO_FOLDER = Path(__file__).parents[3] / "orchestrator" / "demo_photos" / "orbit"
DEMO_PIECE = "cushion_chair"
DEMO_PHOTOS = 26
DEMO_HIGH_PHOTOS = 8
"""How many of the demo's photos are from a second, higher ring."""
DEMO_SIZE = (1350, 1800)
FILM_WIDTH_MM = 35.0
"""Film width that COLMAP assumes for EXIF's 35 mm equivalent focal length."""
FROM_BLENDER_WORLD = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""From Blender's world (+Z up) to +Y up."""
FROM_OPENCV_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
"""From a camera that looks along +Z with +Y down to Blender's, which looks along -Z with +Y up."""

View = tuple[float, float]
"""Azimuth and elevation of the camera in degrees."""


@dataclass(frozen=True)
class Orbit:
    """Photos of one piece. World: metres, +Y up, the bottom centre of the piece in the origin."""

    name: str
    photos: tuple[Path, ...]  # 8-bit sRGB PNG
    masks: tuple[Path, ...]  # 8-bit grey PNG, 255 on the piece
    camera_to_world: NDArray[np.float64]  # [N, 4, 4], OpenCV camera: +X right, +Y down, +Z forward
    focal_px: float  # square pixels, principal point in the centre, no distortion
    size: tuple[int, int]  # width, height
    vertices: NDArray[np.float64]  # [V, 3]
    triangles: NDArray[np.int32]  # [T, 3]

    @property
    def cameras(self) -> list[Camera]:
        """The true cameras of the photos."""
        width, height = self.size
        intrinsics = np.array([[self.focal_px, 0, width / 2], [0, self.focal_px, height / 2], [0, 0, 1.0]])
        return [Camera(intrinsics, np.linalg.inv(pose), self.size) for pose in self.camera_to_world]

    @property
    def centre(self) -> NDArray[np.float64]:
        """[3] the centre of the bounding box."""
        return np.asarray((self.vertices.min(0) + self.vertices.max(0)) / 2)


def ring(count: int, elevation_deg: float = 22.0, variation_deg: float = 12.0) -> list[View]:
    """Return the views of one walk around the piece. The camera rises and falls three times, like a hand-held one."""
    turns = [index / count for index in range(count)]
    return [(360.0 * turn, elevation_deg + variation_deg * math.sin(3 * 2 * math.pi * turn)) for turn in turns]


def render_orbit(
    name: str,
    folder: Path,
    views: Sequence[View],
    *,
    size: tuple[int, int] = (800, 600),
    turntable: bool = False,
    samples: int = 12,
) -> Orbit:
    """Render the piece ``name`` from ``views``, unless ``folder`` already contains it.

    With ``turntable``, the background is plain and the light moves with the camera, as if the piece turned in front of
    a camera that stands still. Otherwise the piece stands in a room full of detail.
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
        vertices=mesh["vertices"] @ FROM_BLENDER_WORLD[:3, :3].T,
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
    piece = next(pick for pick in read_picks()["pick"] if pick["name"] == name)
    archive = furniture_folder(scratch) / f"{piece['archive']}.sh3f"
    catalogue_entry = read_catalogue(archive)[piece["model"]]
    source = {
        "obj": str(unpack_model(archive, piece["model"], scratch / "models")),
        "height_m": catalogue_entry.height_m,
        "seed": 1,
    }
    job = {
        "piece": piece | source,
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
    process = subprocess.run([sys.executable, str(BLENDER_SCRIPT), str(job_file)], capture_output=True, text=True)
    if process.returncode != 0:
        output = (process.stdout + process.stderr)[-2000:]
        raise RuntimeError(f"Blender failed with exit code {process.returncode}:\n{output}")
    poses, focal_px = [], 0.0
    for index in range(len(views)):
        exr = scratch / f"{index:03d}.exr"
        passes = read_passes(exr)
        camera = json.loads(exr.with_suffix(".json").read_text())
        poses.append((FROM_BLENDER_WORLD @ np.array(camera["camera_to_world"]) @ FROM_OPENCV_CAMERA).tolist())
        focal_px = camera["focal_px"]
        photo = to_srgb(np.clip(passes["Combined"][..., :3] * EXPOSURE, 0, 1))
        mask = sum(passes[f"class_{kind}"][..., 0] for kind in CLASSES) >= 0.5
        Image.fromarray(photo).save(folder / f"photo-{index:03d}.png", exif=lens_exif(focal_px, size))
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"mask-{index:03d}.png")
    facts = {"camera_to_world": poses, "focal_px": focal_px, "width": size[0], "height": size[1]}
    (folder / "orbit.json").write_text(json.dumps(facts))


def lens_exif(focal_px: float, size: tuple[int, int]) -> Image.Exif:
    """Return EXIF with the 35 mm equivalent focal length in whole millimetres, as cameras and phones write it."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = round(focal_px * FILM_WIDTH_MM / max(size))
    return exif


def render_demo() -> None:
    """Write the demo's photo set: a chair on a turntable, from all sides and from above."""
    views = ring(DEMO_PHOTOS - DEMO_HIGH_PHOTOS, 14.0, 8.0) + ring(DEMO_HIGH_PHOTOS, 48.0, 0.0)
    DEMO_FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        orbit = render_orbit(DEMO_PIECE, Path(scratch), views, size=DEMO_SIZE, turntable=True, samples=16)
        for number, path in enumerate(orbit.photos, 1):
            photo = Image.open(path)
            target = DEMO_FOLDER / f"{DEMO_PIECE}-{number:02d}.jpg"
            photo.save(target, quality=90, optimize=True, exif=photo.getexif())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--demo", action="store_true", help="render orchestrator/demo_photos/orbit again instead")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--photos", type=int, default=36)
    parser.add_argument("--size", default="800x600")
    parser.add_argument("--turntable", action="store_true")
    arguments = parser.parse_args()
    if arguments.demo:
        render_demo()
        return
    if not arguments.name or not arguments.out:
        parser.error("NAME and --out DIR are required without --demo")
    width, height = map(int, arguments.size.split("x"))
    orbit = render_orbit(
        arguments.name, arguments.out, ring(arguments.photos), size=(width, height), turntable=arguments.turntable
    )
    print(f"{len(orbit.photos)} photos in {arguments.out}")


if __name__ == "__main__":
    main()
