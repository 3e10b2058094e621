"""Renders the data set: images of furniture in rooms with the ground truth of each pixel.

python -m export_models.dataset.generate --out DIR [--split train] [--count 2000] [--size 320] [--seed 1] [--jobs N]

Writes one file per image, SPLIT-000123.npz. The same command gives the same images; after an interruption it renders
only the missing ones. Training images show procedurally generated furniture and third-party 3D models of the split
`train`. The images of all other splits show only third-party 3D models that no training image shows, each from several
sides with different surfaces and rooms. Half of the training images, and all of the splits `catalogue` and
`catalogue-validation`, have the style of a shop's catalogue: the piece fills the image and stands on seamless white.

Requires the extra `bench` (bpy, OpenEXR) and Debian's package sweethome3d-furniture. The package is downloaded with
apt-get if it is not installed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.furniture_package import furniture_folder
from export_models.dataset.labelled_meshes import write_labelled_mesh
from export_models.dataset.labels import CATALOGUE_SPLITS, IMAGE_SPLITS, LabelledMesh, read_labels
from export_models.dataset.makers import make_piece
from export_models.dataset.makers.piece import pick
from export_models.dataset.meshes import SceneMesh, mesh_from_labelled_file, mesh_from_piece
from export_models.dataset.samples import read_render, write_sample
from export_models.dataset.scenes import (
    Scene,
    close_up,
    draw_catalogue_scene,
    draw_scene,
    draw_slot_surfaces,
    draw_tabletop_objects,
    from_above,
)
from export_models.dataset.surfaces import Surface

PROCEDURAL_SHARE = 0.6
"""Share of the training images with procedurally generated furniture. Not tuned."""
CLOSE_UP_INTERVAL = 2
"""Every 2nd training image is a close-up, which shows grain and weave but not the outline of the piece. Not tuned."""
CATALOGUE_SHARE = 0.5
"""Share of the training images in the style of a shop's catalogue; the others show homes and photo studios. Not
tuned."""
TABLETOP_OBJECTS_INTERVAL = 4
"""In every 4th training image, objects stand on the piece. Not tuned."""
FROM_ABOVE_INTERVAL = 10
"""Every 10th training image shows a top with objects from above. Not tuned."""
KIND_WEIGHTS = {
    "chair": 3.0,
    "armchair": 2.0,
    "sofa": 2.0,
    "table": 3.0,
    "desk": 1.5,
    "bed": 1.5,
    "cabinet": 3.0,
    "shelf": 2.5,
    "dresser": 2.0,
    "stool": 2.0,
    "bench": 1.0,
    "rack": 0.7,
    "stand": 0.7,
    "mirror": 0.5,
}
"""How often each kind of procedurally generated furniture is shown, as in shops. Not tuned."""
KINDS_FROM_ABOVE = {"table": 2.0, "desk": 1.0, "dresser": 1.0}
"""Kinds that are shown from above, with weights."""
ALTERNATIVE_MATERIALS = {
    "wood": ("painted", "plastic"),
    "painted": ("wood", "plastic"),
    "fabric": ("leather",),
    "leather": ("fabric",),
    "plastic": ("wood", "painted"),
    "metal": ("wood", "painted", "plastic"),
}
"""Other material classes that occur on the same parts as each class."""
ALTERNATIVE_PROBABILITY = 0.12
"""Probability that a material of a third-party mesh is replaced by an alternative, on all its parts. Not tuned."""
MIN_COVERAGE = 0.01
"""Images in which the piece covers a smaller share are discarded: 4 of 2000 training images with seed 3."""

SCENES_PER_PROCESS = 16
"""Number of scenes that one Blender process renders. Its memory use grows with each scene."""
PROCESS_TIMEOUT_S = 900
BLENDER_MODULE = "export_models.dataset.blender.scene"
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class DatasetSpec:
    """Determines all images of one split."""

    split: str
    seed: int
    size: int  # side of the images in pixels
    samples: int  # paths per pixel
    meshes: tuple[LabelledMesh, ...]  # third-party meshes of the split
    package: Path  # folder with their archives
    environments: Path | None = None  # folder of photographed environments in addition to Blender's


class SceneJob(Scene):
    """One image to render. ``blender.scene`` reads it as JSON."""

    name: str
    seed: int  # of the renderer
    mesh: str  # path of the mesh, from SceneMesh.save
    exr: str  # path of the render
    needs_cleanup: bool  # the mesh has duplicate or flipped faces
    surfaces: list[Surface]  # of each slot
    slots: list[tuple[int, int]]  # component and material index of each slot
    meta: dict[str, Any]  # see Sample


def describe_image(spec: DatasetSpec, number: int, scratch: Path) -> SceneJob:
    """Choose the content of image ``number`` at random, and write its mesh into ``scratch``."""
    rng = np.random.default_rng([spec.seed, list(IMAGE_SPLITS).index(spec.split), number])
    name = f"{spec.split}-{number:06d}"
    is_training = spec.split == "train"
    is_from_above = is_training and (number + 1) % FROM_ABOVE_INTERVAL == 0
    is_procedural = is_training and (rng.random() < PROCEDURAL_SHARE or not spec.meshes or is_from_above)
    if is_procedural:
        mesh, materials, source = _draw_procedural_mesh(KINDS_FROM_ABOVE if is_from_above else KIND_WEIGHTS, rng)
    else:
        index = int(rng.integers(len(spec.meshes))) if is_training else number % len(spec.meshes)
        mesh, materials, source = _draw_third_party_mesh(spec.meshes[index], spec.package, rng, scratch)
    slot_surfaces = draw_slot_surfaces(mesh, materials, rng)
    mesh_file = scratch / f"{name}.mesh.npz"
    mesh.save(mesh_file)
    in_catalogue = spec.split in CATALOGUE_SPLITS or (is_training and rng.random() < CATALOGUE_SHARE)
    scene = draw_catalogue_scene(mesh, rng) if in_catalogue else draw_scene(mesh, rng)
    if is_from_above:
        scene["camera"] = from_above(scene["camera"], rng)
        scene["tabletop_objects"] = draw_tabletop_objects(rng, 0.2)
    elif is_training:
        if number % CLOSE_UP_INTERVAL == 0:
            scene["camera"] = close_up(scene["camera"], rng)
        if not in_catalogue and (number + 1) % TABLETOP_OBJECTS_INTERVAL == 0:
            scene["tabletop_objects"] = draw_tabletop_objects(rng)
    return {
        **scene,
        "name": name,
        "seed": number,
        "mesh": str(mesh_file),
        "exr": str(scratch / f"{name}.exr"),
        "needs_cleanup": not is_procedural,
        "surfaces": list(slot_surfaces.surfaces),
        "slots": [
            (COMPONENTS.index(slot.component), MATERIALS.index(material))
            for slot, material in zip(mesh.slots, slot_surfaces.materials, strict=True)
        ],
        "meta": {
            "source": source,
            "camera": scene["camera"],
            "style": "catalogue" if in_catalogue else "room",
            "set": [spec.seed, spec.split, number],
        },
    }


MeshDraw = tuple[SceneMesh, dict[str, tuple[str, ...]], dict[str, Any]]
"""A mesh, the possible material classes of each role, and the source for ``Sample.meta``."""


def _draw_procedural_mesh(kinds: Mapping[str, float], rng: np.random.Generator) -> MeshDraw:
    kind, seed = pick(kinds, rng), int(rng.integers(1 << 31))
    piece = make_piece(kind, seed)
    return mesh_from_piece(piece, rng), piece.roles, {"kind": kind, "maker_seed": seed}


def _draw_third_party_mesh(labelled: LabelledMesh, package: Path, rng: np.random.Generator, scratch: Path) -> MeshDraw:
    folder = scratch / "models"
    folder.mkdir(exist_ok=True)
    mesh = mesh_from_labelled_file(write_labelled_mesh(labelled, folder, package), COMPONENTS, rng)
    alternatives = {name: _draw_alternative(name, rng) for name in sorted(set(labelled.materials.values()))}
    materials = {slot.role: alternatives[labelled.materials[slot.role]] for slot in mesh.slots}
    source = {
        "kind": labelled.kind,
        "archive": labelled.archive,
        "model": labelled.path,
        "components": labelled.components,
    }
    return mesh, materials, source


def _draw_alternative(material: str, rng: np.random.Generator) -> tuple[str, ...]:
    """Return the labelled class, or sometimes another class, so that the shape does not reveal the material."""
    if material in ALTERNATIVE_MATERIALS and rng.random() < ALTERNATIVE_PROBABILITY:
        return (str(rng.choice(ALTERNATIVE_MATERIALS[material])),)
    return (material,)


def render_batch(spec: DatasetSpec, numbers: Sequence[int], out: Path, threads: int) -> list[str]:
    """Render the images ``numbers`` in one Blender process and write their samples into ``out``.

    Returns:
        "NAME: REASON" for each image that failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scenes = [describe_image(spec, number, scratch) for number in numbers]
        environments = str(spec.environments) if spec.environments else None
        job = {
            "size": spec.size,
            "samples": spec.samples,
            "threads": threads,
            "environments": environments,
            "scenes": scenes,
        }
        last_line = _run_blender(job, scratch / "job.json")
        failures = []
        for scene in scenes:
            exr = Path(scene["exr"])
            if not exr.with_suffix(".json").exists():
                failures.append(f"{scene['name']}: {last_line}")
                continue
            sample = read_render(exr, scene["name"], scene["slots"], scene["meta"])
            coverage = float(sample.foreground.mean())
            if coverage < MIN_COVERAGE:
                failures.append(
                    f"{scene['name']}: the piece covers {coverage:.2%} of the image, minimum {MIN_COVERAGE:.0%}"
                )
                continue
            write_sample(sample, out / f"{scene['name']}.npz")
        return failures


def _run_blender(job: dict[str, Any], job_file: Path) -> str:
    """Run Blender on a job. Return the last line of its output, which explains missing renders."""
    job_file.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", BLENDER_MODULE, str(job_file)]
    try:
        process = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=PROCESS_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"Blender exceeded its time limit of {PROCESS_TIMEOUT_S} s"
    lines = (process.stdout + process.stderr).strip().splitlines()
    return lines[-1] if lines else f"Blender exited with code {process.returncode} and without output"


def unpack_environments(folder: Path, out: Path) -> Path:
    """Copy the environments of ``folder`` (*.exr) into ``out``, and decode those of npm's @pmndrs/assets (*.exr.js)."""
    out.mkdir()
    for file in folder.glob("*.exr"):
        shutil.copy(file, out)
    for file in folder.glob("*.exr.js"):
        encoded = file.read_text(encoding="utf-8").partition("base64,")[2].partition("'")[0]
        (out / file.stem).write_bytes(base64.b64decode(encoded))
    return out


def assign_cores(cores: Sequence[int], jobs: int) -> list[list[int]]:
    """Assign CPU cores to each job. Cores are shared only if there are more jobs than cores.

    The threads of Blender processes on the same cores slow each other down by busy waiting.
    """
    count = max(1, len(cores) // jobs)
    return [[cores[(job * count + i) % len(cores)] for i in range(count)] for job in range(jobs)]


def generate(spec: DatasetSpec, count: int, out: Path, jobs: int) -> None:
    """Render the missing images among the first ``count``, in ``jobs`` Blender processes at a time."""
    out.mkdir(parents=True, exist_ok=True)
    failure_file = out / f"{spec.split}.failed.txt"
    missing = _missing_images(spec.split, count, out, failure_file)
    print(f"{count - len(missing)} of {count} images exist already", flush=True)
    batches = [missing[start : start + SCENES_PER_PROCESS] for start in range(0, len(missing), SCENES_PER_PROCESS)]
    core_sets = assign_cores(sorted(os.sched_getaffinity(0)), jobs)
    threads = len(core_sets[0])
    start_time, done = time.monotonic(), 0
    with ThreadPoolExecutor(jobs, initializer=_pin_thread, initargs=(core_sets,)) as pool:
        results = pool.map(lambda batch: render_batch(spec, batch, out, threads), batches)
        for batch, failures in zip(batches, results, strict=True):
            done += len(batch)
            if failures:
                with failure_file.open("a", encoding="utf-8") as stream:
                    stream.write("".join(f"{line}\n" for line in failures))
            minutes_left = (time.monotonic() - start_time) / done * (len(missing) - done) / 60
            suffix = f"; failed: {'; '.join(failures)}" if failures else ""
            print(f"[{done}/{len(missing)}] {minutes_left:.0f} min left{suffix}", flush=True)


def _missing_images(split: str, count: int, out: Path, failure_file: Path) -> list[int]:
    """Return the numbers of the images that were neither written nor recorded as failed."""
    lines = failure_file.read_text(encoding="utf-8").splitlines() if failure_file.exists() else []
    failed = {line.partition(":")[0] for line in lines}
    names = [f"{split}-{number:06d}" for number in range(count)]
    return [n for n, name in enumerate(names) if name not in failed and not (out / f"{name}.npz").exists()]


def _pin_thread(core_sets: list[list[int]]) -> None:
    """Restrict the calling thread, and the processes that it starts, to the next set of cores."""
    os.sched_setaffinity(0, core_sets.pop())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the images")
    parser.add_argument("--split", choices=IMAGE_SPLITS, default="train", help="default: train")
    parser.add_argument("--count", type=int, default=2000, help="number of images (default: 2000)")
    parser.add_argument("--size", type=int, default=320, help="width and height in pixels (default: 320)")
    parser.add_argument("--samples", type=int, default=12, help="paths per pixel, before denoising (default: 12)")
    parser.add_argument("--seed", type=int, default=1, help="seed of all random draws (default: 1)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="number of concurrent Blender processes (default: number of CPU cores)",
    )
    parser.add_argument(
        "--environments",
        type=Path,
        help="folder with environments (latitude-longitude *.exr, or the package/hdri folder of npm's @pmndrs/assets) "
        "that light scenes in addition to Blender's",
    )
    parser.add_argument(
        "--made-only",
        action="store_true",
        help="only procedurally generated furniture, which does not need the Debian package; for the split train",
    )
    options = parser.parse_args()
    if options.made_only and options.split != "train":
        parser.error(
            f"--made-only requires --split train, because images of the split {options.split} show only third-party "
            "3D models"
        )
    meshes = (
        () if options.made_only else tuple(mesh for mesh in read_labels() if mesh.split == IMAGE_SPLITS[options.split])
    )
    with tempfile.TemporaryDirectory() as folder:
        package = furniture_folder(Path(folder)) if meshes else Path(folder)
        environments = options.environments and unpack_environments(options.environments, Path(folder) / "environments")
        spec = DatasetSpec(options.split, options.seed, options.size, options.samples, meshes, package, environments)
        generate(spec, options.count, options.out, options.jobs)


if __name__ == "__main__":
    main()
