"""How good are the models, on furniture that training never saw?

python -m export_models.evaluate --data DIR [--split test] [--version 2] [--against 1] [--json FILE]

Runs the ONNX files of ``model_repository`` with onnxruntime on the pictures of the split that
``export_models.dataset.generate`` made, each photographed as a person would. Maps are judged on the piece, where light
and colour can be told. Errors are means over pictures; classes are counted over all pixels of all pictures (mean over
the classes that occur). With ``--against`` the other version is judged too, and ``evaluation.json`` is written beside
each model of the first: what ``heartwood models deploy`` asks of a candidate that answers otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export_models.baselines.segmentation import COMPONENTS, MATERIALS
from export_models.dataset.photograph import photograph
from export_models.dataset.samples import Sample, read
from export_models.export import REPOSITORY
from export_models.learning.batches import MIN_ALBEDO, colour_is_told
from export_models.metrics import iou, lmse, mae, mean_angular_error_deg, si_rmse
from orchestrator.inference.letterbox import as_input

Maps = dict[str, NDArray[np.float32]]
"""The outputs of all models for one picture, [C, H, W] each, by name."""
Model = Callable[[NDArray[np.uint8]], Maps]
MIN_TOLD = 0.3
"""Share of the piece that a picture needs to be judged on colour and light: black pieces show only their rim."""
WOOD = MATERIALS.index("wood")
LOWER, HIGHER = "lower", "higher"
FIGURES = {
    "segmentation": dict.fromkeys(("foreground_iou", "wood_iou", "component_miou", "material_miou"), HIGHER),
    "intrinsic_decomposition": dict.fromkeys(
        ("albedo_si_rmse", "albedo_lmse", "shading_si_rmse", "shading_lmse"), LOWER
    ),
    "surface_estimation": dict.fromkeys(("normal_error_deg", "roughness_mae", "ambient_occlusion_mae"), LOWER),
}
"""What tells how good a model is, and which way is better."""


@dataclass
class Scores:
    """Figures of each picture, and how often each true class was taken for each class."""

    each: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    components: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(COMPONENTS),) * 2, np.int64))
    materials: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(MATERIALS),) * 2, np.int64))

    def figures(self) -> dict[str, float]:
        """The means, and the mean IoU of parts and of materials."""
        found = {name: float(np.mean(values)) for name, values in self.each.items()}
        return found | {"component_miou": mean_iou(self.components), "material_miou": mean_iou(self.materials)}


def photo_of(sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The exposed light, linear and unclipped [H, W, 3], and the photo [H, W, 3] sRGB; the same each time."""
    return photograph(sample.radiance, sample.albedo, np.random.default_rng(zlib.crc32(sample.name.encode())))


def judge(sample: Sample, truth: NDArray[np.float32], found: Maps, scores: Scores) -> None:
    """Add one picture to ``scores``."""
    piece = sample.foreground
    told = piece & colour_is_told(sample.albedo, truth, sample.material)
    maps = {name: values.transpose(1, 2, 0) for name, values in found.items()}
    add = scores.each
    if told.sum() >= MIN_TOLD * piece.sum():
        shading = np.where(told[..., None], truth / np.maximum(sample.albedo, MIN_ALBEDO), 0).astype(np.float32)
        add["albedo_si_rmse"].append(si_rmse(maps["albedo"], sample.albedo, told))
        add["albedo_lmse"].append(lmse(maps["albedo"], sample.albedo, told))
        add["shading_si_rmse"].append(si_rmse(maps["shading"], shading, told))
        add["shading_lmse"].append(lmse(maps["shading"], shading, told))
    if "normal" in maps:
        add["normal_error_deg"].append(mean_angular_error_deg(maps["normal"], sample.normal, piece))
        add["roughness_mae"].append(mae(maps["roughness"][..., 0], sample.roughness, piece))
        if "ambient_occlusion" in maps:
            add["ambient_occlusion_mae"].append(mae(maps["ambient_occlusion"][..., 0], sample.ambient_occlusion, piece))
    if "component" in maps:
        component, material = maps["component"].argmax(-1), maps["material"].argmax(-1)
        add["foreground_iou"].append(iou(component > 0, piece))
        wood = piece & (sample.material == WOOD)
        if wood.any():
            add["wood_iou"].append(iou((material == WOOD) & (component > 0), wood))
        if sample.meta["source"].get("components", True):
            count(scores.components, sample.component, component)
        count(scores.materials, np.where(piece, sample.material, 0), material)


def count(confusion: NDArray[np.int64], truth: NDArray[np.uint8], found: NDArray[np.int64]) -> None:
    """Add how often each true class was taken for each class."""
    size = len(confusion)
    confusion += np.bincount(truth.ravel().astype(int) * size + found.ravel(), minlength=size * size).reshape(
        size, size
    )


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Over the classes that truly occur, the first (the background) left out."""
    shared = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - shared
    occurs = confusion.sum(1) > 0
    occurs[0] = False
    return float((shared / np.maximum(union, 1))[occurs].mean()) if occurs.any() else 0.0


def evaluate(model: Model, samples: Iterable[Sample]) -> Scores:
    """Judge ``model`` on every picture."""
    scores = Scores()
    for sample in samples:
        truth, photo = photo_of(sample)
        judge(sample, truth, model(photo), scores)
    return scores


def write_evaluations(
    repository: Path, version: int, against: int, split: str, candidate: dict[str, float], baseline: dict[str, float]
) -> list[Path]:
    """Write ``evaluation.json`` beside each model of ``version``; return the files."""
    written = []
    for model, better in FIGURES.items():
        folder = repository / model / str(version)
        figures = {
            name: {"candidate": round(candidate[name], 5), "baseline": round(baseline[name], 5), "better": way}
            for name, way in better.items()
        }
        told = {
            "model": model,
            "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
            "against_version": against,
            "test_split": split,
            "figures": figures,
        }
        written.append(folder / "evaluation.json")
        written[-1].write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return written


def served_models(version: int, repository: Path = REPOSITORY) -> Model:
    """The ONNX files of one version, on the CPU."""
    sessions = [
        onnxruntime.InferenceSession(
            str(repository / name / str(version) / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        for name in ("segmentation", "intrinsic_decomposition", "surface_estimation")
    ]

    def run(photo: NDArray[np.uint8]) -> Maps:
        image = as_input(photo)
        found: Maps = {}
        for session in sessions:
            names = [output.name for output in session.get_outputs()]
            found |= {name: value[0] for name, value in zip(names, session.run(names, {"image": image}), strict=True)}
        return found

    return run


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--version", type=int, default=2)
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    parser.add_argument("--against", type=int, help="a version in --repository that it is to replace")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    files = sorted(chosen.data.glob(f"{chosen.split}-*.npz"))
    if not files:
        parser.error(f"no pictures of the split {chosen.split!r} in {chosen.data}")
    tried = [version for version in (chosen.version, chosen.against) if version is not None]
    each = [
        evaluate(served_models(version, chosen.repository), (read(file) for file in files)).figures()
        for version in tried
    ]
    figures = each[0]
    print(f"{'version':26} " + "  ".join(f"{version:8}" for version in tried))
    for name in figures:
        print(f"{name:26} " + "  ".join(f"{one[name]:8.4f}" for one in each))
    if chosen.against is not None:
        pieces = f"{len(files)} pictures of models by others that training never saw (split {chosen.split})"
        for file in write_evaluations(chosen.repository, chosen.version, chosen.against, pieces, *each):
            print(file)
    if chosen.json:
        facts = {"split": chosen.split, "pictures": len(files), "version": chosen.version, "figures": figures}
        chosen.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
