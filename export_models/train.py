"""Train the network of version 2.

python -m export_models.train --data DIR --out DIR [--config FILE] [--seconds N] [--device auto]

--data are folders that `export_models.dataset.generate` wrote. The split `train` is used for training, and the splits
`validation` and `catalogue-validation` for the validation losses in the log. --out receives:

  state.pt    the state of the run, written atomically every three minutes; the same command resumes from it
  log.jsonl   the losses, one line per 100 steps
  weights.pt  the result in half precision, for `export_models.export --version 2 --weights`
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from export_models.dataset.samples import read_sample
from export_models.learning.batches import Batch, BatchStream, collate, mirror, to_device
from export_models.learning.config import TrainingConfig, read_config
from export_models.learning.examples import make_example
from export_models.learning.losses import losses
from export_models.learning.state import TrainingState, learning_rate
from export_models.networks.furniture import FurnitureNetwork

CONFIG = Path(__file__).with_name("configs") / "furniture.toml"
SAVE_SECONDS = 180
"""Interval between writes of the state."""
LOG_STEPS = 100
"""Steps per line of the log."""
VALIDATE_STEPS = 1000
"""Steps between validations, a multiple of LOG_STEPS."""
VALIDATION_SPLITS = ("validation", "catalogue-validation")
"""Splits whose losses are logged."""
VALIDATION_IMAGES = 64
"""Maximum number of images of each folder and split that are used for validation."""
VALIDATION_BATCH = 8


@torch.no_grad()
def validate(
    network: FurnitureNetwork, files: list[Path], side: int, outputs: tuple[str, ...], device: torch.device
) -> dict[str, float]:
    """Return the mean loss of each output over the samples in ``files``, with the same simulated photos every time.

    Uses full batches of VALIDATION_BATCH only. Returns no losses if there are fewer files.
    """
    network.eval()
    rng = np.random.default_rng(0)
    batch_losses: list[dict[str, float]] = []
    for start in range(0, len(files) - VALIDATION_BATCH + 1, VALIDATION_BATCH):
        examples = [make_example(read_sample(file), side, rng) for file in files[start : start + VALIDATION_BATCH]]
        batch = to_device(collate(examples), device)
        output_losses = losses(network(batch["image"], outputs), batch)
        batch_losses.append({name: float(loss) for name, loss in output_losses.items()})
    return mean_losses(batch_losses)


def mean_losses(losses_of_steps: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean loss of each output, or no losses if the list is empty."""
    if not losses_of_steps:
        return {}
    return {name: float(np.mean([values[name] for values in losses_of_steps])) for name in losses_of_steps[0]}


def batches_from(
    first: int, files: list[Path], config: TrainingConfig, workers: int, device: torch.device
) -> Iterator[tuple[int, Batch]]:
    """Yield the batches from step ``first`` to the end of the last stage, each with its image size in pixels.

    Each batch is used for two steps, the second time mirrored, because preparing a batch takes longer than a GPU needs
    for a step.
    """
    last = 0
    for stage in config.stages:
        last += stage.steps
        if first >= last:
            continue
        step = max(first, last - stage.steps)
        stream = BatchStream(files, stage.side, stage.batch, config.seed, step // 2, (last + 1) // 2)
        loader = DataLoader(
            stream,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            pin_memory=device.type == "cuda",
        )
        for collated in loader:
            batch = to_device(collated, device)
            for view in (batch, mirror(batch))[step % 2 :]:
                if step < last:
                    yield stage.side, view
                    step += 1


def train(
    state: TrainingState,
    folders: list[Path],
    out: Path,
    config: TrainingConfig,
    seconds: float,
    workers: int,
    device: torch.device,
) -> None:
    """Train until all steps are done, for ``seconds`` if that is above 0, or until SIGTERM or SIGINT.

    Writes ``state.pt`` and ``log.jsonl``.
    """
    stop_requested = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.set())
    cv2.setNumThreads(1)  # a forked worker may wait forever for OpenCV's threads, which do not survive the fork
    files = [file for folder in folders for file in sorted(folder.glob("train-*.npz"))]
    validation = [
        file
        for folder in folders
        for split in VALIDATION_SPLITS
        for file in sorted(folder.glob(f"{split}-*.npz"))[:VALIDATION_IMAGES]
    ]
    if not files:
        raise SystemExit(
            f"no training images (train-*.npz) in {', '.join(map(str, folders))}; render some with: "
            f"python -m export_models.dataset.generate --out {folders[0]}"
        )
    print(f"{len(files)} training and {len(validation)} validation images, starting at step {state.step}", flush=True)

    started = saved = time.monotonic()
    earlier_seconds = state.seconds
    recent: list[dict[str, float]] = []
    for side, batch in batches_from(state.step, files, config, workers, device):
        recent.append(state.train_step(batch, config))
        state.seconds = earlier_seconds + time.monotonic() - started
        if state.step % LOG_STEPS == 0:
            entry = log_entry(state, side, config, recent)
            recent = []
            if state.step % VALIDATE_STEPS == 0 and validation:
                entry["validation"] = rounded(validate(state.average, validation, side, tuple(config.weights), device))
            append_log(out / "log.jsonl", entry)
        is_over = stop_requested.is_set() or 0 < seconds < time.monotonic() - started
        if is_over or time.monotonic() - saved > SAVE_SECONDS:
            state.save(out / "state.pt")
            saved = time.monotonic()
        if is_over:
            return
    state.save(out / "state.pt")


def log_entry(
    state: TrainingState, side: int, config: TrainingConfig, recent: list[dict[str, float]]
) -> dict[str, Any]:
    """Return a line of the log: progress, learning rate and the mean losses of the ``recent`` steps."""
    return {
        "step": state.step,
        "side": side,
        "seconds": round(state.seconds),
        "rate": learning_rate(state.step, config),
        "train": rounded(mean_losses(recent)),
    }


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Round to four decimals."""
    return {name: round(value, 4) for name, value in values.items()}


def append_log(file: Path, entry: dict[str, Any]) -> None:
    """Append ``entry`` to the log and print it."""
    line = json.dumps(entry)
    with file.open("a", encoding="utf-8") as log:
        log.write(line + "\n")
    print(line, flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="folders with rendered images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the state, the log and the weights")
    parser.add_argument("--config", type=Path, default=CONFIG, help="TOML file (default: configs/furniture.toml)")
    parser.add_argument("--seconds", type=float, default=0, help="stop after this time; the same command resumes")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches (default: 1)")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--imagenet", type=Path, help="ImageNet weights to start from, see docs/training.md")
    weights.add_argument("--start", type=Path, help="weights.pt of an earlier training to start from")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: CUDA if available (default: auto)")
    options = parser.parse_args()
    config = read_config(options.config)
    auto_device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto_device if options.device == "auto" else options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    state = TrainingState.create(config, options.imagenet, options.start, device)
    if (options.out / "state.pt").exists():
        state.load(options.out / "state.pt", device)
    train(state, options.data, options.out, config, options.seconds, options.workers, device)
    state.save_weights(options.out / "weights.pt", options.start, config.optimizer.start_share)
    print(f"{state.step} steps in {state.seconds / 60:.0f} minutes: {options.out / 'weights.pt'}")


if __name__ == "__main__":
    main()
