"""Render the data set: furniture in rooms, with what is true of each pixel.

python -m export_models.dataset.generate --out DIR [--split train] [--count 2000] [--size 320] [--seed 1] [--jobs N]

Needs the extra ``bench`` (bpy, OpenEXR) and Debian's package ``sweethome3d-furniture`` (fetched with apt-get where it
is not installed). One file a picture, ``SPLIT-000123.npz``; the same command gives the same pictures, and goes on where
an interrupted run was. Training pictures show made pieces and models by others of the split ``train``; validation and
test pictures only models by others that training never sees, each from several sides in other surfaces and rooms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.labels import LabelledModel, read_labels, write_labelled
from export_models.dataset.makers import KINDS, make_piece
from export_models.dataset.meshes import SceneMesh, from_labelled, from_piece
from export_models.dataset.package import furniture_folder
from export_models.dataset.samples import from_render, write
from export_models.dataset.scenes import close_up, dress, from_above, scene, standing

SPLITS = ("train", "validation", "test")
MADE_SHARE = 0.6
"""Of the training pictures; the rest show models by others."""
CLOSE_EVERY, STANDING_EVERY, ABOVE_EVERY = 8, 4, 10
"""Every so many training pictures show a part of the piece that fills the picture, or things that stand on it, or both
from above."""
TOPS = ("table", "desk", "dresser")
BATCH = 16
"""Scenes that one Blender renders before the next starts: its memory grows."""
MIN_SHOWN = 0.01
"""Share of the picture that the piece must cover."""
BLENDER_CODE = "export_models.dataset.blender.scene"
BATCH_SECONDS = 900
CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Set:
    """What is rendered, and how."""

    split: str
    seed: int
    size: int
    samples: int
    models: tuple[LabelledModel, ...]  # of the split
    package: Path  # the folder with their archives


def describe(wanted: Set, number: int, scratch: Path) -> dict[str, Any]:
    """Draw picture ``number``; write its mesh into ``scratch``."""
    random = np.random.default_rng([wanted.seed, SPLITS.index(wanted.split), number])
    name = f"{wanted.split}-{number:06d}"
    above = wanted.split == "train" and (number + 1) % ABOVE_EVERY == 0
    made = wanted.split == "train" and (random.random() < MADE_SHARE or not wanted.models or above)
    if made:
        kind, seed = str(random.choice(TOPS if above else sorted(KINDS))), int(random.integers(1 << 31))
        piece = make_piece(kind, seed)
        mesh, choices = from_piece(piece, random), piece.roles
        source: dict[str, Any] = {"kind": kind, "maker_seed": seed}
    else:
        at = int(random.integers(len(wanted.models))) if wanted.split == "train" else number % len(wanted.models)
        model = wanted.models[at]
        mesh, choices = labelled_mesh(model, wanted.package, random, scratch)
        source = {"kind": model.kind, "archive": model.archive, "model": model.model, "components": model.components}
    dressed = dress(mesh, choices, random)
    file = scratch / f"{name}.mesh.npz"
    mesh.save(file)
    slots = [
        (COMPONENTS.index(slot.component), MATERIALS.index(kind))
        for slot, kind in zip(mesh.slots, dressed.materials, strict=True)
    ]
    drawn = scene(mesh, random)
    if above:
        drawn["camera"], drawn["standing"] = from_above(drawn["camera"], random), standing(random, 0.2)
    elif wanted.split == "train":
        if (number + 1) % CLOSE_EVERY == 0:
            drawn["camera"] = close_up(drawn["camera"], random)
        if (number + 1) % STANDING_EVERY == 0:
            drawn["standing"] = standing(random)
    return drawn | {
        "name": name,
        "seed": number,
        "mesh": str(file),
        "exr": str(scratch / f"{name}.exr"),
        "clean": not made,
        "surfaces": list(dressed.surfaces),
        "slots": slots,
        "meta": {"source": source, "camera": drawn["camera"], "set": [wanted.seed, wanted.split, number]},
    }


def labelled_mesh(
    model: LabelledModel, package: Path, random: np.random.Generator, scratch: Path
) -> tuple[SceneMesh, dict[str, tuple[str, ...]]]:
    """The mesh of a model by others, and what its materials are, as a person judged."""
    folder = scratch / "models"
    folder.mkdir(exist_ok=True)
    mesh = from_labelled(write_labelled(model, folder, package), COMPONENTS, random)
    return mesh, {slot.role: swapped(model.materials[slot.role], random) for slot in mesh.slots}


def swapped(kind: str, random: np.random.Generator) -> tuple[str, ...]:
    """The class itself; now and then another that is seen on such parts, so that shape does not tell the material."""
    alike = {
        "wood": ("painted", "plastic"), "painted": ("wood", "plastic"), "fabric": ("leather",),
        "leather": ("fabric",), "plastic": ("wood", "painted"), "metal": ("wood", "painted", "plastic"),
    }  # fmt: skip
    if kind in alike and random.random() < 0.12:
        return (str(random.choice(alike[kind])),)
    return (kind,)


def render_batch(wanted: Set, numbers: Sequence[int], out: Path, threads: int) -> list[str]:
    """Render the pictures ``numbers``; return the names of those that failed, with why."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        scenes = [describe(wanted, number, scratch) for number in numbers]
        job = {"size": wanted.size, "samples": wanted.samples, "threads": threads, "scenes": scenes}
        job_file = scratch / "job.json"
        job_file.write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, "-m", BLENDER_CODE, str(job_file)]
        try:
            done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=BATCH_SECONDS)
            said = (done.stdout + done.stderr).strip().splitlines()
        except subprocess.TimeoutExpired:
            said = [f"took more than {BATCH_SECONDS} s"]
        failed = []
        for one in scenes:
            exr = Path(one["exr"])
            if not exr.with_suffix(".json").exists():
                failed.append(f"{one['name']}: {said[-1] if said else 'Blender said nothing'}")
                continue
            sample = from_render(exr, one["name"], one["slots"], one["meta"])
            if sample.foreground.mean() < MIN_SHOWN:
                failed.append(f"{one['name']}: the piece covers {sample.foreground.mean():.2%} of the picture")
                continue
            write(sample, out / f"{one['name']}.npz")
        return failed


def shared_out(cores: Sequence[int], jobs: int) -> list[Sequence[int]]:
    """The cores that each job runs on: Blenders that share cores spin on each other's threads.

    A thread of Linux keeps to cores of its own, and so do the processes that it starts.
    """
    each = max(1, len(cores) // jobs)
    return [[cores[(job * each + n) % len(cores)] for n in range(each)] for job in range(jobs)]


def generate(wanted: Set, count: int, out: Path, jobs: int) -> None:
    """Render what is missing of pictures 0 … ``count`` - 1, several Blenders at a time."""
    out.mkdir(parents=True, exist_ok=True)
    failures = out / f"{wanted.split}.failed.txt"
    known = failures.read_text(encoding="utf-8").splitlines() if failures.exists() else []
    passed_over = {line.partition(":")[0] for line in known}
    names = [f"{wanted.split}-{number:06d}" for number in range(count)]
    missing = [n for n, name in enumerate(names) if name not in passed_over and not (out / f"{name}.npz").exists()]
    print(f"{count - len(missing)} of {count} pictures are there already", flush=True)
    batches = [missing[at : at + BATCH] for at in range(0, len(missing), BATCH)]
    shares = shared_out(sorted(os.sched_getaffinity(0)), jobs)
    threads = len(shares[0])
    began, done = time.monotonic(), 0
    with ThreadPoolExecutor(jobs, initializer=lambda: os.sched_setaffinity(0, shares.pop())) as pool:
        for batch, failed in zip(
            batches, pool.map(lambda some: render_batch(wanted, some, out, threads), batches), strict=True
        ):
            done += len(batch)
            if failed:
                with failures.open("a", encoding="utf-8") as listed:
                    listed.write("".join(f"{line}\n" for line in failed))
            left = (time.monotonic() - began) / done * (len(missing) - done)
            print(
                f"[{done}/{len(missing)}] {left / 60:.0f} min left{'; ' + '; '.join(failed) if failed else ''}",
                flush=True,
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", type=int, default=320, help="side in pixels")
    parser.add_argument("--samples", type=int, default=12, help="paths a pixel, before denoising")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="Blenders at a time")
    parser.add_argument("--made-only", action="store_true", help="no models by others: needs no Debian package")
    chosen = parser.parse_args()
    if chosen.made_only and chosen.split != "train":
        parser.error("--made-only is for the split train: the others show models by others only")
    models = () if chosen.made_only else tuple(model for model in read_labels() if model.split == chosen.split)
    with tempfile.TemporaryDirectory() as scratch:
        package = furniture_folder(Path(scratch)) if models else Path(scratch)
        wanted = Set(chosen.split, chosen.seed, chosen.size, chosen.samples, models, package)
        generate(wanted, chosen.count, chosen.out, chosen.jobs)


if __name__ == "__main__":
    main()
