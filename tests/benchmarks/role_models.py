"""Time and memory of the larger public models at full size, with random weights.

python -m tests.benchmarks.role_models [MODEL…] [--rounds N] [--json FILE]

Converts SAM 2.1 Tiny, MoGe-2 ViT-S and OWLv2 base, and runs each ONNX file with two threads on a photo of 1024 pixels,
in its own process. The time is that of the CPU divided by the number of threads, so that other processes do not change
it. BiRefNet is missing, because its architecture is in no package index.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from export_models.pull.repository_entry import RepositoryEntry
from orchestrator.rollout.candidate import PHOTOS, golden_input
from tests.benchmarks.report import Figure, report

THREADS = 2
PHOTO_SIDE = 1024
UNITS = {
    "conversion": "s",
    "memory of the conversion": "GB",
    "difference from PyTorch": "",
    "time": "s",
    "memory": "GB",
    "file": "MB",
}
"""Figure → unit."""


def sam2_entry() -> RepositoryEntry:
    import transformers

    from export_models.pull import sam2

    return sam2.entry(transformers.Sam2Model(transformers.Sam2Config()).eval())


def moge2_entry() -> RepositoryEntry:
    from moge.model.v2 import MoGeModel

    from export_models.pull import moge2
    from tests.support import random_checkpoints

    checkpoint = random_checkpoints.moge2()
    network = MoGeModel(**checkpoint["model_config"]).eval()
    network.onnx_compatible_mode = True
    return moge2.entry(network)


def owlv2_entry() -> RepositoryEntry:
    import transformers

    from export_models.pull import owlv2

    return owlv2.entry(transformers.Owlv2ForObjectDetection(owlv2.base_config()).eval())


ENTRIES: dict[str, Callable[[], RepositoryEntry]] = {"sam2": sam2_entry, "moge2": moge2_entry, "owlv2": owlv2_entry}


def convert(model: str, file: Path) -> dict[str, float]:
    """Convert a model, and return the figures of the conversion."""
    started = time.monotonic()
    difference = ENTRIES[model]().export(file)
    seconds = time.monotonic() - started
    return {"conversion": seconds, "memory of the conversion": _peak_gb(), "difference from PyTorch": difference}


def run(model: str, file: Path, rounds: int) -> dict[str, float]:
    """Run a converted model, and return its figures."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting must not count as CPU time
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    inputs = dict(golden_input(model, PHOTOS[0], PHOTO_SIDE))
    session.run(None, inputs)
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        session.run(None, inputs)
        seconds.append((time.process_time() - started) / THREADS)
    return {"time": float(np.median(seconds)), "memory": _peak_gb(), "file": file.stat().st_size / 1e6}


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Run the benchmark. Each model is converted and run in child processes, whose memory is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"one of {', '.join(ENTRIES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=("convert", "run"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.models) - set(ENTRIES):
        parser.error(f"{unknown.pop()!r} is not one of {', '.join(ENTRIES)}")
    if options.child:
        (model,) = options.models
        figures = (
            convert(model, options.file) if options.child == "convert" else run(model, options.file, options.rounds)
        )
        print(json.dumps(figures))
        return
    measured = []
    for model in options.models or ENTRIES:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            for step in ("convert", "run"):
                arguments = [model, "--child", step, "--file", file, "--rounds", options.rounds]
                command = [sys.executable, "-m", "tests.benchmarks.role_models", *map(str, arguments)]
                child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                figures = json.loads(child.stdout.splitlines()[-1])
                measured += [Figure(f"{model} {name}", value, UNITS[name]) for name, value in figures.items()]
    report("role_models", measured, options.json)


if __name__ == "__main__":
    main()
