"""Accuracy, speed and size of the models on a CPU in FP32, FP16 and INT8.

python -m tests.benchmarks.precision [--pictures DIR] [--count N] [--version 2] [--json FILE]

FP16 is the mixed precision that TensorRT gets: convolutions and matrix products in FP16. INT8 is onnxruntime's static
quantisation of convolutions: weights per channel, activations calibrated on images of the validation split. Accuracy is
measured on images of the test split, time on one core at 512², with the precisions in turn in one run. Missing images
are rendered first.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from export_models.dataset.samples import Sample
from export_models.evaluate import METRICS, evaluate, onnx_predictor, simulate_photo
from export_models.export import export
from export_models.half_precision import to_half_precision
from orchestrator.inference.letterbox import to_model_input
from tests.benchmarks.model_quality import PICTURES, render
from tests.benchmarks.report import Figure, report

PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATION_IMAGES = 16
TIMED_SIDE_PX = 512
TIMED_ROUNDS = 7


class CalibrationPhotos(CalibrationDataReader):
    """The photos of ``samples`` as model inputs, one at a time."""

    def __init__(self, samples: list[Sample]) -> None:
        self.images: Iterator[NDArray[np.float32]] = (to_model_input(simulate_photo(sample)[1]) for sample in samples)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self.images, None)
        return None if image is None else {"image": image}


def onnx_file(repository: Path, model: str, version: int) -> Path:
    """Return the path of a model version in a repository."""
    return repository / model / str(version) / "model.onnx"


def convert(precision: str, source: Path, target: Path, calibration: list[Sample]) -> None:
    """Write the FP32 model ``source`` in ``precision`` (``fp16`` or ``int8``) to ``target``."""
    target.parent.mkdir(parents=True)
    if precision == "fp16":
        onnx.save(to_half_precision(onnx.load(str(source))), str(target))
        return
    prepared = target.with_name("prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        CalibrationPhotos(calibration),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()


def median_seconds(repositories: dict[str, Path], model: str, version: int) -> dict[str, float]:
    """Return the median time of one image on one core for each precision, measured in turn."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    image = np.random.default_rng(0).random((1, 3, TIMED_SIDE_PX, TIMED_SIDE_PX), np.float32)
    sessions = {
        precision: onnxruntime.InferenceSession(
            str(onnx_file(folder, model, version)), options, providers=["CPUExecutionProvider"]
        )
        for precision, folder in repositories.items()
    }
    seconds: dict[str, list[float]] = {precision: [] for precision in sessions}
    for _ in range(TIMED_ROUNDS):
        for precision, session in sessions.items():
            started = time.perf_counter()
            session.run(None, {"image": image})
            seconds[precision].append(time.perf_counter() - started)
    return {precision: float(np.median(times)) for precision, times in seconds.items()}


def measure(repositories: dict[str, Path], version: int, test: list[Sample]) -> list[Figure]:
    """Return time, size and accuracy of each model in each precision."""
    metrics = {
        precision: evaluate(onnx_predictor(version, folder), test).metrics()
        for precision, folder in repositories.items()
    }
    figures: list[Figure] = []
    for model, names in METRICS.items():
        seconds = median_seconds(repositories, model, version)
        for precision, folder in repositories.items():
            size = onnx_file(folder, model, version).stat().st_size
            figures.append(Figure(f"{model}, {precision}: time to fp32", seconds[precision] / seconds["fp32"], "×"))
            figures.append(Figure(f"{model}, {precision}: file", size / 1e6, "MB"))
            figures += [Figure(f"{model}, {precision}: {name}", metrics[precision][name]) for name in names]
    return figures


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help=f"folder of the images (default: {PICTURES})")
    parser.add_argument("--count", type=int, default=62, help="number of test images (default: 62)")
    parser.add_argument("--version", type=int, choices=(1, 2), default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    test = render("test", options.count, options.pictures)
    calibration = render("validation", CALIBRATION_IMAGES, options.pictures)
    with tempfile.TemporaryDirectory() as scratch:
        repositories = {precision: Path(scratch) / precision for precision in PRECISIONS}
        for model in METRICS:
            exported = export(model, repositories["fp32"], options.version)
            for precision in ("fp16", "int8"):
                convert(precision, exported, onnx_file(repositories[precision], model, options.version), calibration)
        figures = measure(repositories, options.version, test)
    report("precision", figures, options.json)


if __name__ == "__main__":
    main()
