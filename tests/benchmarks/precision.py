"""Do FP16 or INT8 win on a CPU? ``python -m tests.benchmarks.precision [--pictures DIR] [--count N] [--json FILE]``

The models of ``--version``, exported whether they serve yet or not, as they are (FP32), with convolutions in FP16 as
TensorRT gets them, and with convolutions in INT8 (onnxruntime's static quantisation: weights per channel, activations
calibrated on pictures of the split validation). Accuracy on pictures of the split test; time on one core at 512², turn
by turn in one run. Pictures are rendered first where they are not there yet.
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
from export_models.evaluate import FIGURES, evaluate, photo_of, served_models
from export_models.export import export
from export_models.tensorrt import half_precision
from orchestrator.inference.letterbox import as_input
from tests.benchmarks.model_quality import PICTURES, rendered
from tests.benchmarks.report import Figure, report

CALIBRATION, SIDE, ROUNDS = 16, 512, 7


class Photos(CalibrationDataReader):
    """Photos one by one, as the models take them."""

    def __init__(self, samples: list[Sample]) -> None:
        self.images: Iterator[NDArray[np.float32]] = (as_input(photo_of(sample)[1]) for sample in samples)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self.images, None)
        return None if image is None else {"image": image}


def file_of(repository: Path, model: str, version: int) -> Path:
    return repository / model / str(version) / "model.onnx"


def make(precision: str, source: Path, target: Path, calibration: list[Sample]) -> None:
    """Write the model ``source`` in ``precision`` as ``target``."""
    target.parent.mkdir(parents=True)
    if precision == "fp16":
        onnx.save(half_precision(onnx.load(str(source))), str(target))
    else:
        prepared = target.with_name("prepared.onnx")
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Photos(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        prepared.unlink()


def seconds(repositories: dict[str, Path], model: str, version: int) -> dict[str, float]:
    """The median time of one picture on one core, the precisions in turn."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    image = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    sessions = {
        precision: onnxruntime.InferenceSession(
            str(file_of(folder, model, version)), options, providers=["CPUExecutionProvider"]
        )
        for precision, folder in repositories.items()
    }
    taken: dict[str, list[float]] = {precision: [] for precision in sessions}
    for _ in range(ROUNDS):
        for precision, session in sessions.items():
            started = time.perf_counter()
            session.run(None, {"image": image})
            taken[precision].append(time.perf_counter() - started)
    return {precision: float(np.median(times)) for precision, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help=f"where they are kept (default {PICTURES})")
    parser.add_argument("--count", type=int, default=62, help="test pictures")
    parser.add_argument("--version", type=int, choices=(1, 2), default=2)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    test = rendered("test", chosen.count, chosen.pictures)
    calibration = rendered("validation", CALIBRATION, chosen.pictures)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        repositories = {precision: Path(scratch) / precision for precision in ("fp32", "fp16", "int8")}
        for model in FIGURES:
            exported = export(model, repositories["fp32"], chosen.version)
            for precision in ("fp16", "int8"):
                make(precision, exported, file_of(repositories[precision], model, chosen.version), calibration)
        found = {
            name: evaluate(served_models(chosen.version, folder), test).figures()
            for name, folder in repositories.items()
        }
        for model, better in FIGURES.items():
            taken = seconds(repositories, model, chosen.version)
            for precision, folder in repositories.items():
                size = file_of(folder, model, chosen.version).stat().st_size
                figures.append(Figure(f"{model}, {precision}: time to fp32", taken[precision] / taken["fp32"], "×"))
                figures.append(Figure(f"{model}, {precision}: file", size / 1e6, "MB"))
                figures += [Figure(f"{model}, {precision}: {name}", found[precision][name]) for name in better]
    report("precision", figures, chosen.json)


if __name__ == "__main__":
    main()
