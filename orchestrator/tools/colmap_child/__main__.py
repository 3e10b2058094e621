"""COLMAP's side of ``colmap.solve_poses``: a process of its own; native code may crash.

Prints ``PROGRESS <fraction> <message>``; COLMAP's own lines stand between. Writes ``poses.npz`` and the photos and
masks without lens distortion into the job's folder.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycolmap

from orchestrator.tools.colmap_child.features import Recipe, find_features, match
from orchestrator.tools.colmap_child.mapping import SEEDS, models_of, refine
from orchestrator.tools.colmap_child.outlines import covered, misplaced
from orchestrator.tools.colmap_child.photos import background_moves, prepare, prepare_look
from orchestrator.tools.colmap_child.result import matrix_of, measure_depths, pose_of, write

ALL = Recipe("all", on_piece=False)
PIECE = Recipe("piece", on_piece=True)
NEIGHBOURS = Recipe("neighbours", on_piece=True, domains=True, far_pairs=False)
DOMAINS = Recipe("domains", on_piece=True, domains=True)
FITS = 0.95
"""Share of the masks that the hull fills where the cameras are right; masks have errors too."""


@dataclass(frozen=True)
class Solution:
    """A model of COLMAP's and how well it agrees with the masks."""

    model: Any
    recipe: Recipe
    database: Path
    photos: int
    covered: float  # mean share of the placed photos' masks

    @property
    def worth(self) -> float:
        """Placed photos, those in part that are placed wrongly."""
        return self.photos * self.covered

    def good(self, count: int) -> bool:
        return self.photos == count and self.covered >= FITS


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    for name in ("images", "looks", "masks", "flat"):
        (folder / name).mkdir(exist_ok=True)
    pycolmap.set_random_seed(SEEDS[0])
    say(0.0, "reading the photos")
    focals = [
        prepare(folder, number, *pair) for number, pair in enumerate(zip(job["photos"], job["masks"], strict=True))
    ]
    for number, look in enumerate(job["looks"]):
        prepare_look(folder, number, look)
    moves = background_moves(folder, len(focals))
    known_lens = all(focal > 0 for focal in focals)
    recipes = (ALL, PIECE) if moves else (PIECE, NEIGHBOURS, DOMAINS, ALL)
    best = solve(folder, focals, job["ordered"], known_lens, recipes)
    say(0.9, "adjusting the cameras")
    if best is not None:
        refine(best.model, keep_lens=best.recipe.on_piece and known_lens)
        leave_out_misplaced(folder, best.model)
    write(folder, len(focals), None if best is None else (best.model, best.database, best.recipe.on_piece))
    if best is not None and pycolmap.has_cuda:
        say(0.96, "measuring depths on the GPU")
        measure_depths(folder, best.model)


def solve(
    folder: Path, focals: list[float], ordered: bool, known_lens: bool, recipes: tuple[Recipe, ...]
) -> Solution | None:
    """Try the recipes, best first, until one places all cameras so that the masks agree; else return the best."""
    best = None
    for recipe in recipes:
        if not (recipe.far_pairs or ordered):
            continue  # unordered photos have no neighbours
        where = "on the piece" if recipe.on_piece else "in the whole photos"
        database = folder / f"features-{recipe.features}.db"
        if not database.exists():
            say(0.05, f"finding features {where}")
            find_features(folder, database, focals, recipe)
        say(0.3, f"matching the photos by features {where}")
        match(folder, database, ordered, recipe.far_pairs)
        say(0.6, f"placing the cameras by features {where}")
        for models in models_of(folder, database, recipe.on_piece, known_lens):
            for model in models:
                found = judged(folder, model, recipe, database)
                if best is None or found.worth > best.worth:
                    best = found
            if best is not None and best.good(len(focals)):
                return best
    return best


def judged(folder: Path, model: Any, recipe: Recipe, database: Path) -> Solution:
    shares = shares_of(folder, model)
    found = Solution(model, recipe, database, len(shares), float(np.mean(list(shares.values()))))
    print(f"{recipe.name}: {found.photos} photos placed, the masks agree to {found.covered:.1%}", flush=True)
    return found


def shares_of(folder: Path, model: Any) -> dict[int, float]:
    """For each placed photo, by COLMAP's number, the share of its mask that the hull fills."""
    images = [image for image in model.images.values() if image.has_pose]
    masks = [np.asarray(cv2.imread(str(folder / "masks" / f"{image.name}.png"), 0), np.uint8) for image in images]
    matrices = [matrix_of(model.cameras[image.camera_id]) for image in images]
    shares = covered(matrices, [pose_of(image) for image in images], masks)
    return {image.image_id: float(share) for image, share in zip(images, shares, strict=True)}


def leave_out_misplaced(folder: Path, model: Any) -> None:
    """Leave out the few photos whose masks disagree with what all the others agree about."""
    shares = shares_of(folder, model)
    for number in misplaced(list(shares.values())):
        image = model.images[list(shares)[number]]
        print(f"{image.name} is left out: its mask agrees with the others to {shares[image.image_id]:.1%}", flush=True)
        model.deregister_frame(image.frame_id)


def say(fraction: float, message: str) -> None:
    print(f"PROGRESS {fraction:.3f} {message}", flush=True)


if __name__ == "__main__":
    main()
