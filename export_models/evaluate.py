"""Evaluate the models on rendered furniture that training never uses.

python -m export_models.evaluate --data DIR [--split test] [--version 2] [--against 1] [--json FILE]

Runs the ONNX files of a model repository with onnxruntime on the images of a split that
`export_models.dataset.generate` wrote, each photographed by a simulated camera. Maps are evaluated on the piece, albedo
and shading only where a photo determines them. Materials are evaluated after the decision per surface, as the stages
use them (`orchestrator.imaging.surfaces`). The metrics are means over images, with two exceptions. The mean IoU of
parts and of materials counts the pixels of all images and averages over the classes that occur. `whole_wood` is the
share of the true wooden surfaces that are found as wood to at least 95 %, and `whole_other` the share of the other
surfaces of which at most 5 % is taken for wood.

With --against, a second version is evaluated too, and `evaluation.json` with the metrics of both is written next to
each model of --version. `heartwood models deploy` requires it for a candidate whose outputs differ from those of the
serving version, unless --accept-difference is given.
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
from export_models.dataset.labels import IMAGE_SPLITS
from export_models.dataset.photograph import photograph
from export_models.dataset.samples import Sample, read_sample
from export_models.export import MODELS, REPOSITORY
from export_models.learning.examples import MIN_ALBEDO, shading_is_measurable
from export_models.metrics import iou, label_surfaces, lmse, mae, mean_angular_error_deg, si_rmse
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.imaging.refine import EDGE_LIKELIHOOD, PIECE_EDGE
from orchestrator.imaging.surfaces import decide_by_surface
from orchestrator.inference.letterbox import to_model_input
from orchestrator.inference.outputs import material_maps

Maps = dict[str, NDArray[np.float32]]
"""The outputs of all models for one image, [C, H, W] each, by name."""
Predictor = Callable[[NDArray[np.uint8]], Maps]
"""Computes the maps of a photo [H, W, 3] sRGB."""

MIN_MEASURABLE_SHARE = 0.3
"""Share of the piece on which albedo and shading must be measurable. Otherwise these metrics leave the image out: of a
black piece, for example, only the rim could be evaluated."""
WOOD = MATERIALS.index("wood")
MIN_SURFACE_SHARE = 0.003
"""Smallest surface that counts in ``whole_wood`` and ``whole_other``, as a share of the image."""
MIN_WHOLE = 0.95
"""Share of a wooden surface that must be found as wood for the surface to count as found."""
MAX_WHOLE = 0.05
"""Share of another surface that may be taken for wood."""

LOWER = "lower"
HIGHER = "higher"
METRICS = {
    "segmentation": dict.fromkeys(
        ("foreground_iou", "wood_iou", "component_miou", "material_miou", "whole_wood", "whole_other"), HIGHER
    ),
    "intrinsic_decomposition": dict.fromkeys(
        ("albedo_si_rmse", "albedo_lmse", "shading_si_rmse", "shading_lmse"), LOWER
    ),
    "surface_estimation": dict.fromkeys(("normal_error_deg", "roughness_mae", "ambient_occlusion_mae"), LOWER),
}
"""The metrics of each model, and which direction is better."""


@dataclass
class Scores:
    """Accumulates the metrics of one model version.

    Attributes:
        per_image: values of each metric that is a mean over images.
        wooden, other: whether each true surface of wood, and of another material, was found as a whole.
        component_confusion: [C, C] number of pixels by true and predicted part.
        material_confusion: [M, M] number of pixels by true and predicted material.
    """

    per_image: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wooden: list[bool] = field(default_factory=list)
    other: list[bool] = field(default_factory=list)
    component_confusion: NDArray[np.int64] = field(default_factory=lambda: _empty_confusion(len(COMPONENTS)))
    material_confusion: NDArray[np.int64] = field(default_factory=lambda: _empty_confusion(len(MATERIALS)))

    def add(self, sample: Sample, exposed: NDArray[np.float32], photo: NDArray[np.uint8], outputs: Maps) -> None:
        """Add one image.

        Args:
            sample: the ground truth.
            exposed: [H, W, 3] linear photo before clipping and noise, from ``simulate_photo``.
            photo: [H, W, 3] sRGB.
            outputs: the predictions. Metrics of missing outputs are left out.
        """
        maps = {name: values.transpose(1, 2, 0) for name, values in outputs.items()}
        self._add_intrinsics(sample, exposed, maps)
        if "component" in maps:  # classes and roughness are measured after the decision per surface, as served
            decided = decide_by_surface(photo, service_maps(outputs))
            self._add_classes(sample, decided)
            maps["roughness"] = decided.roughness[..., None]
        if "normal" in maps:
            self._add_surface(sample, maps)

    def _add_intrinsics(self, sample: Sample, exposed: NDArray[np.float32], maps: Maps) -> None:
        piece = sample.foreground
        valid = piece & shading_is_measurable(sample.albedo, exposed, sample.material)
        if valid.sum() < MIN_MEASURABLE_SHARE * piece.sum():
            return
        shading = np.where(valid[..., None], exposed / np.maximum(sample.albedo, MIN_ALBEDO), 0).astype(np.float32)
        self.per_image["albedo_si_rmse"].append(si_rmse(maps["albedo"], sample.albedo, valid))
        self.per_image["albedo_lmse"].append(lmse(maps["albedo"], sample.albedo, valid))
        self.per_image["shading_si_rmse"].append(si_rmse(maps["shading"], shading, valid))
        self.per_image["shading_lmse"].append(lmse(maps["shading"], shading, valid))

    def _add_surface(self, sample: Sample, maps: Maps) -> None:
        piece = sample.foreground
        self.per_image["normal_error_deg"].append(mean_angular_error_deg(maps["normal"], sample.normal, piece))
        self.per_image["roughness_mae"].append(mae(maps["roughness"][..., 0], sample.roughness, piece))
        if "ambient_occlusion" in maps:
            error = mae(maps["ambient_occlusion"][..., 0], sample.ambient_occlusion, piece)
            self.per_image["ambient_occlusion_mae"].append(error)

    def _add_classes(self, sample: Sample, maps: MaterialMaps) -> None:
        piece = sample.foreground
        component, material = maps.component.argmax(0), maps.material.argmax(0)
        predicted_piece = maps.foreground > PIECE_EDGE
        self.per_image["foreground_iou"].append(iou(predicted_piece, piece))
        wood, predicted_wood = piece & (sample.material == WOOD), predicted_piece & (maps.wood > EDGE_LIKELIHOOD)
        if wood.any():
            self.per_image["wood_iou"].append(iou(predicted_wood, wood))
        self._add_surfaces(sample, predicted_wood)
        if sample.meta["source"].get("components", True):  # otherwise the parts of the model have no labels
            count_pixels(self.component_confusion, sample.component, component)
        count_pixels(self.material_confusion, np.where(piece, sample.material, 0), material)

    def _add_surfaces(self, sample: Sample, predicted_wood: NDArray[np.bool_]) -> None:
        surfaces, is_wood = label_large_surfaces(sample)
        on_surface = surfaces >= 0
        area = np.bincount(surfaces[on_surface], minlength=len(is_wood))
        found = np.bincount(surfaces[on_surface], predicted_wood[on_surface], minlength=len(is_wood)) / area
        self.wooden += list(found[is_wood] >= MIN_WHOLE)
        self.other += list(found[~is_wood] <= MAX_WHOLE)

    def metrics(self) -> dict[str, float]:
        """Return the mean of each metric over the images or surfaces, and the mean IoU of parts and of materials."""
        means = {name: float(np.mean(values)) for name, values in self.per_image.items()}
        return means | {
            "component_miou": mean_iou(self.component_confusion),
            "material_miou": mean_iou(self.material_confusion),
            "whole_wood": float(np.mean(self.wooden)) if self.wooden else 0.0,
            "whole_other": float(np.mean(self.other)) if self.other else 0.0,
        }


def _empty_confusion(classes: int) -> NDArray[np.int64]:
    return np.zeros((classes, classes), np.int64)


def service_maps(outputs: Maps) -> MaterialMaps:
    """Convert the outputs of all models for one image to the type that the service uses."""
    return material_maps(outputs, COMPONENTS, MATERIALS, {})


def label_large_surfaces(sample: Sample) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Number the true surfaces of the piece that cover at least MIN_SURFACE_SHARE of the image.

    Returns:
        [H, W] number of the surface of each pixel, -1 elsewhere; [S] whether each surface is wood.
    """
    material = np.where(sample.foreground, sample.material, 0).astype(np.uint8)
    surfaces = label_surfaces(sample.component, material, sample.normal)
    area = np.bincount(surfaces.ravel())
    first = np.unique(surfaces, return_index=True)[1]  # a pixel of each surface
    is_large = (area >= MIN_SURFACE_SHARE * material.size) & sample.foreground.ravel()[first]
    number = np.where(is_large, np.cumsum(is_large) - 1, -1)
    return number[surfaces], material.ravel()[first[is_large]] == WOOD


def count_pixels(confusion: NDArray[np.int64], truth: NDArray[np.uint8], prediction: NDArray[np.int64]) -> None:
    """Add the number of pixels of each true and predicted class to ``confusion``."""
    size = len(confusion)
    counts = np.bincount(truth.ravel().astype(int) * size + prediction.ravel(), minlength=size * size)
    confusion += counts.reshape(size, size)


def mean_iou(confusion: NDArray[np.int64]) -> float:
    """Return the mean IoU over the classes that occur in the truth, without the first (background or other)."""
    intersection = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - intersection
    occurs = confusion.sum(1) > 0
    occurs[0] = False
    return float((intersection / np.maximum(union, 1))[occurs].mean()) if occurs.any() else 0.0


def simulate_photo(sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Photograph a rendered image, identically on every call.

    Returns:
        exposed: [H, W, 3] linear, before clipping and noise.
        photo: [H, W, 3] sRGB.
    """
    rng = np.random.default_rng(zlib.crc32(sample.name.encode()))
    return photograph(sample.radiance, sample.albedo, rng, in_catalogue=sample.in_catalogue)


def evaluate(predict: Predictor, samples: Iterable[Sample]) -> Scores:
    """Evaluate a predictor on every image."""
    scores = Scores()
    for sample in samples:
        exposed, photo = simulate_photo(sample)
        scores.add(sample, exposed, photo, predict(photo))
    return scores


def onnx_predictor(version: int, repository: Path = REPOSITORY) -> Predictor:
    """Return a predictor that runs the ONNX files of one version of all models, on the CPU."""
    sessions = [
        onnxruntime.InferenceSession(
            str(repository / model / str(version) / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        for model in MODELS
    ]

    def predict(photo: NDArray[np.uint8]) -> Maps:
        image = to_model_input(photo)
        maps: Maps = {}
        for session in sessions:
            names = [output.name for output in session.get_outputs()]
            outputs = session.run(names, {"image": image})
            maps |= {name: value[0] for name, value in zip(names, outputs, strict=True)}
        return maps

    return predict


def write_evaluations(
    repository: Path, version: int, against: int, split: str, candidate: dict[str, float], baseline: dict[str, float]
) -> list[Path]:
    """Write ``evaluation.json`` next to each model of ``version`` and return the files.

    Args:
        against: version with the metrics ``baseline``.
        split: description of the images.
        candidate, baseline: metrics by name.
    """
    files = []
    for model, directions in METRICS.items():
        folder = repository / model / str(version)
        figures = {
            name: {"candidate": round(candidate[name], 5), "baseline": round(baseline[name], 5), "better": direction}
            for name, direction in directions.items()
        }
        evaluation = {
            "model": model,
            "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
            "against_version": against,
            "test_split": split,
            "figures": figures,
        }
        file = folder / "evaluation.json"
        file.write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")
        files.append(file)
    return files


def add_image_arguments(parser: argparse.ArgumentParser, split: str) -> None:
    """Add the arguments that select rendered images, and the models to run on them. ``split`` is the default."""
    parser.add_argument("--data", type=Path, required=True, help="folder with rendered images")
    parser.add_argument("--split", default=split, choices=IMAGE_SPLITS, help=f"default: {split}")
    parser.add_argument("--version", type=int, default=2, help="version to evaluate (default: 2)")
    parser.add_argument("--repository", type=Path, default=REPOSITORY, help="default: model_repository/")


def image_files(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[Path]:
    """Return the selected images. Exits with a message if there are none."""
    files = sorted(options.data.glob(f"{options.split}-*.npz"))
    if not files:
        parser.error(f"no images of the split {options.split!r} ({options.split}-*.npz) in {options.data}")
    return files


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_image_arguments(parser, "test")
    parser.add_argument("--against", type=int, help="version in --repository that --version would replace")
    parser.add_argument("--json", type=Path, help="file for the metrics of --version")
    options = parser.parse_args()
    files = image_files(parser, options)
    versions = [version for version in (options.version, options.against) if version is not None]
    results = [
        evaluate(onnx_predictor(version, options.repository), (read_sample(file) for file in files)).metrics()
        for version in versions
    ]
    print(f"{'version':26} " + "  ".join(f"{version:8}" for version in versions))
    for name in results[0]:
        print(f"{name:26} " + "  ".join(f"{metrics[name]:8.4f}" for metrics in results))
    if options.against is not None:
        split = f"{len(files)} images of third-party furniture that training never uses (split {options.split})"
        for file in write_evaluations(options.repository, options.version, options.against, split, *results):
            print(file)
    if options.json:
        facts = {"split": options.split, "pictures": len(files), "version": options.version, "figures": results[0]}
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
