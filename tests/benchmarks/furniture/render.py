"""Renders the images of the benchmarks with their ground truth, or the demo photos.

python -m tests.benchmarks.furniture.render --out DIR [--count 14] [--size 640] [--seed 1]
python -m tests.benchmarks.furniture.render --demo

Requires the extra ``bench`` (bpy, OpenEXR). Finished images are kept, so that an interrupted run can be continued.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from export_models.dataset.furniture_package import furniture_folder
from export_models.dataset.photograph import expose
from export_models.dataset.samples import read_passes
from tests.benchmarks.furniture.catalogue import read_catalogue, read_picks, unpack_model
from tests.benchmarks.furniture.pictures import CLASSES, save_picture, to_srgb

BLENDER_CODE = Path(__file__).with_name("scene_blender.py")
DEMO_FOLDER = Path(__file__).parents[3] / "orchestrator" / "demo_photos"
DEMO_SIZE = 1600
"""Longer side of the demo photos in pixels."""
DEMO_SAMPLES = 12
"""Paths per pixel of the demo photos, before denoising."""
DEMO_QUALITY = 92
"""JPEG quality of the demo photos."""
DEMO_MIN_QUALITY = 70
"""Lower limit of the JPEG quality."""
DEMO_MAX_BYTES = 500_000
"""Maximum size of a demo photo, because the photos are part of the package."""


def main() -> None:
    arguments = parse_arguments()
    picks = read_picks()
    chosen = picks["demo"] if arguments.demo else picks["pick"][: arguments.count]
    pieces = [piece | {"seed": arguments.seed * 1000 + number} for number, piece in enumerate(chosen)]
    out: Path = DEMO_FOLDER if arguments.demo else arguments.out
    missing = [piece for piece in pieces if not finished(out, piece["name"], arguments.demo)]
    print(f"{len(pieces) - len(missing)} of {len(pieces)} pictures exist", flush=True)
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        job = make_job(missing, picks["rooms"], arguments, scratch)
        for done, name in enumerate(render(job, scratch, arguments.python), start=1):
            piece = next(piece for piece in missing if piece["name"] == name)
            exr = scratch / f"{name}.exr"
            if arguments.demo:
                save_demo_photo(exr, out / f"{name}.jpg")
            else:
                save_picture(exr, out / name, describe(piece, arguments))
            exr.unlink()
            print(f"[{done}/{len(missing)}] {name}", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", type=Path, help="folder for the images of the benchmarks")
    target.add_argument("--demo", action="store_true", help="render orchestrator/demo_photos instead")
    parser.add_argument("--count", type=int, default=14, help="number of pieces, in the order of picks.toml")
    parser.add_argument("--size", type=int, default=640, help="longer side in pixels")
    parser.add_argument("--seed", type=int, default=1, help="seed of the boards and of the sampling")
    parser.add_argument("--samples", type=int, default=16, help="paths per pixel, before denoising")
    parser.add_argument("--python", default=sys.executable, help="a Python interpreter with the bpy wheel")
    return parser.parse_args()


def finished(out: Path, name: str, demo: bool) -> bool:
    return (out / f"{name}.jpg").exists() if demo else (out / name / "meta.json").exists()


def make_job(
    pieces: list[dict[str, Any]], rooms: dict[str, Any], arguments: argparse.Namespace, scratch: Path
) -> dict[str, Any]:
    """Unpack the models and describe the job for ``scene_blender.py``."""
    library = furniture_folder(scratch)
    described = []
    for piece in pieces:
        archive = library / f"{piece['archive']}.sh3f"
        model = read_catalogue(archive)[piece["model"]]
        described.append(
            piece
            | {
                "obj": str(unpack_model(archive, piece["model"], scratch / "models")),
                "exr": str(scratch / f"{piece['name']}.exr"),
                "height_m": model.height_m,
                "room": rooms[piece["room"]],
            }
        )
    return {
        "size": DEMO_SIZE if arguments.demo else arguments.size,
        "samples": DEMO_SAMPLES if arguments.demo else arguments.samples,
        "classes": list(CLASSES),
        "pieces": described,
    }


def render(job: dict[str, Any], scratch: Path, python: str) -> Iterator[str]:
    """Run Blender in a child process and yield the name of each piece when its EXR file is complete.

    Raises:
        RuntimeError: Blender failed. The message contains the last lines of its output.
    """
    job_file = scratch / "job.json"
    job_file.write_text(json.dumps(job))
    command = [python, str(BLENDER_CODE), str(job_file)]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as blender:
        try:
            for line in blender.stdout or ():
                lines = [*lines[-19:], line]
                if line.startswith("rendered "):
                    yield line.split()[1]
        except BaseException:  # includes GeneratorExit, so that the child never outlives the generator
            blender.kill()
            raise
    if blender.returncode != 0:
        raise RuntimeError(f"Blender exited with code {blender.returncode}:\n{''.join(lines)}")


def describe(piece: dict[str, Any], arguments: argparse.Namespace) -> dict[str, object]:
    keys = ("archive", "model", "author", "license", "species", "room", "materials")
    credit = f"{piece['title']} by {piece['author']} ({piece['license']}), path-traced with new surfaces"
    return {key: piece[key] for key in keys} | {"credit": credit, "seed": arguments.seed, "size": arguments.size}


def save_demo_photo(exr: Path, jpeg: Path) -> None:
    """Write the JPEG at DEMO_QUALITY, or at the highest lower quality that fits in DEMO_MAX_BYTES."""
    photo = Image.fromarray(to_srgb(expose(read_passes(exr)["Combined"][..., :3])))
    for quality in range(DEMO_QUALITY, DEMO_MIN_QUALITY, -3):
        photo.save(jpeg, quality=quality, optimize=True)
        if jpeg.stat().st_size <= DEMO_MAX_BYTES:
            return


if __name__ == "__main__":
    main()
