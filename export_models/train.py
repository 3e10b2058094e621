"""Train the network of version 2.

python -m export_models.train --data DIR --out DIR [--config FILE] [--seconds N] [--device auto]

DIR of ``--data`` holds what ``export_models.dataset.generate`` made; all files of the split ``train`` are learned from,
those of ``validation`` are looked at now and then. The state is written into ``--out`` every few minutes, whole or not
at all, and the same command goes on from there. ``log.jsonl`` there has a line for each hundred steps. ``weights.pt``
is what was learned, in half precision: it is what ``export_models.export --version 2 --weights`` takes. The config says
how long is learned at which size: small pictures go several times faster, so most is learned from them.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from export_models.dataset.samples import Sample
from export_models.learning.batches import Batch, Batches, collated, example, mirrored, on_device, read_all
from export_models.learning.losses import losses
from export_models.networks.furniture import FurnitureNetwork

CONFIG = Path(__file__).with_name("configs") / "furniture.toml"
SAVE_SECONDS, LOG_STEPS, VALIDATE_STEPS = 180, 100, 1000
VALIDATION_PICTURES = 64


@dataclass
class State:
    """Everything that learning goes on from."""

    network: FurnitureNetwork
    average: FurnitureNetwork  # running mean of its weights
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    def save(self, file: Path) -> None:
        """Write whole or not at all."""
        scratch = file.with_suffix(".part")
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        torch.save(parts | {"step": self.step, "seconds": self.seconds}, scratch)
        scratch.rename(file)

    def save_weights(self, file: Path) -> None:
        """Write the running mean alone."""
        weights = self.average.state_dict()
        torch.save({name: one.half() if one.is_floating_point() else one for name, one in weights.items()}, file)

    def load(self, file: Path, device: torch.device) -> None:
        """Read what ``save`` wrote."""
        found = torch.load(file, map_location=device, weights_only=True)
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(found[name])
        self.step, self.seconds = found["step"], found["seconds"]


def new_state(config: dict[str, Any], imagenet: Path | None, start: Path | None, device: torch.device) -> State:
    torch.manual_seed(config["seed"])
    network = FurnitureNetwork()
    if imagenet is not None:
        network.encoder.load_imagenet(imagenet)
    if start is not None:
        network.load_state_dict(network.state_dict() | torch.load(start, map_location="cpu", weights_only=True))
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(groups(network, config), weight_decay=config["optimizer"]["weight_decay"])
    return State(network, copy.deepcopy(network), optimizer)


def groups(network: FurnitureNetwork, config: dict[str, Any]) -> list[dict[str, Any]]:
    """The weights with their share of the learning rate; only matrices decay."""
    found = []
    for of_encoder in (True, False):
        for decays in (True, False):
            weights = [
                weight
                for name, weight in network.named_parameters()
                if name.startswith("encoder.") == of_encoder and (weight.ndim > 1) == decays
            ]
            share = config["optimizer"]["encoder_share"] if of_encoder else 1.0
            found.append({"params": weights, "share": share} | ({} if decays else {"weight_decay": 0.0}))
    return found


def step_count(config: dict[str, Any]) -> int:
    return sum(stage["steps"] for stage in config["stages"])


def rate(step: int, config: dict[str, Any]) -> float:
    """The learning rate: up along a line, down along a cosine."""
    most, warm_up = config["optimizer"]["learning_rate"], config["optimizer"]["warm_up"]
    if step < warm_up:
        return float(most * (step + 1) / warm_up)
    done = (step - warm_up) / max(step_count(config) - warm_up, 1)
    return float(most * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def learn(state: State, batch: Batch, config: dict[str, Any]) -> dict[str, float]:
    """Take one step; return the loss of each head.

    Raises:
        FloatingPointError: the loss is not a number.
    """
    for group in state.optimizer.param_groups:
        group["lr"] = rate(state.step, config) * group["share"]
    state.network.train()
    image = batch["image"]
    with torch.autocast(image.device.type, torch.bfloat16, enabled=config["precision"] == "bfloat16"):
        found = state.network(image.contiguous(memory_format=torch.channels_last), tuple(config["weights"]))
    # Channels apart again: where they lie together, a padded mean's gradient is wrong on a GPU (pytorch#188344).
    each = losses({name: values.float().contiguous() for name, values in found.items()}, batch)
    total = sum((config["weights"][name] * loss for name, loss in each.items()), image.new_zeros(()))
    told = dict(zip(each, torch.stack(list(each.values())).tolist(), strict=True))
    if not math.isfinite(sum(told.values())):
        raise FloatingPointError(f"step {state.step}: {told}")
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), config["optimizer"]["clip_norm"])
    state.optimizer.step()
    follow(state, min(config["optimizer"]["average"], (state.step + 1) / (state.step + 10)))
    state.step += 1
    return told


@torch.no_grad()
def follow(state: State, keep: float) -> None:
    """Let the running mean follow the weights and the statistics of the batches."""
    for mean, value in zip(state.average.state_dict().values(), state.network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - keep)
        else:
            mean.copy_(value)


@torch.no_grad()
def validate(
    network: FurnitureNetwork, samples: list[Sample], side: int, heads: tuple[str, ...], device: torch.device
) -> dict[str, float]:
    """The mean loss of each of ``heads`` over ``samples``, photographed the same way each time."""
    network.eval()
    random = np.random.default_rng(0)
    found: list[dict[str, float]] = []
    for at in range(0, len(samples) - 7, 8):
        batch = on_device(collated([example(one, side, random) for one in samples[at : at + 8]]), device)
        found.append({name: float(loss) for name, loss in losses(network(batch["image"], heads), batch).items()})
    return {name: float(np.mean([one[name] for one in found])) for name in (found[0] if found else {})}


def batches_from(
    first: int, samples: list[Sample], config: dict[str, Any], workers: int, device: torch.device
) -> Iterator[tuple[int, Batch]]:
    """The batches that are left from step ``first`` on, each with the side of its pictures in pixels.

    Each is seen twice, the second time in a mirror: to prepare one takes longer than a GPU takes to learn from it.
    """
    last = 0
    for stage in config["stages"]:
        last += stage["steps"]
        if first >= last:
            continue
        step = max(first, last - stage["steps"])
        numbered = Batches(samples, stage["side"], stage["batch"], config["seed"], step // 2, (last + 1) // 2)
        prepared = DataLoader(
            numbered,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            pin_memory=device.type == "cuda",
        )
        for batch in prepared:
            seen = on_device(batch, device)
            for look in (seen, mirrored(seen))[step % 2 :]:
                if step < last:
                    yield stage["side"], look
                    step += 1


def train(
    state: State, data: Path, out: Path, config: dict[str, Any], seconds: float, workers: int, device: torch.device
) -> None:
    """Learn until the steps or the seconds are over."""
    cv2.setNumThreads(1)  # a worker forked beside OpenCV's threads may wait for them forever
    samples = read_all(sorted(data.glob("train-*.npz")))
    seen = read_all(sorted(data.glob("validation-*.npz"))[:VALIDATION_PICTURES])
    if not samples:
        raise SystemExit(f"no pictures in {data}; make them: python -m export_models.dataset.generate --out {data}")
    print(f"{len(samples)} pictures to learn from, {len(seen)} to look at, from step {state.step}", flush=True)
    began, saved, before = time.monotonic(), time.monotonic(), state.seconds
    recent: list[dict[str, float]] = []
    for side, batch in batches_from(state.step, samples, config, workers, device):
        recent.append(learn(state, batch, config))
        state.seconds = before + time.monotonic() - began
        if state.step % LOG_STEPS == 0:
            line: dict[str, Any] = {
                "step": state.step,
                "side": side,
                "seconds": round(state.seconds),
                "rate": rate(state.step, config),
            }
            line["train"] = {name: round(float(np.mean([one[name] for one in recent])), 4) for name in recent[0]}
            recent = []
            if state.step % VALIDATE_STEPS == 0 and seen:
                found = validate(state.average, seen, side, tuple(config["weights"]), device)
                line["validation"] = {name: round(value, 4) for name, value in found.items()}
            with (out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
        over = seconds > 0 and time.monotonic() - began > seconds
        if over or time.monotonic() - saved > SAVE_SECONDS:
            state.save(out / "state.pt")
            saved = time.monotonic()
        if over:
            return
    state.save(out / "state.pt")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; the same command goes on")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")
    known = parser.add_mutually_exclusive_group()
    known.add_argument("--imagenet", type=Path, help="weights to start from, see networks/efficientnet_lite.py")
    known.add_argument("--start", type=Path, help="weights.pt of an earlier training to start from")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto")
    chosen = parser.parse_args()
    config = tomllib.loads(chosen.config.read_text(encoding="utf-8"))
    name = ("cuda" if torch.cuda.is_available() else "cpu") if chosen.device == "auto" else chosen.device
    device = torch.device(name)
    chosen.out.mkdir(parents=True, exist_ok=True)
    state = new_state(config, chosen.imagenet, chosen.start, device)
    if (chosen.out / "state.pt").exists():
        state.load(chosen.out / "state.pt", device)
    train(state, chosen.data, chosen.out, config, chosen.seconds, chosen.workers, device)
    state.save_weights(chosen.out / "weights.pt")
    print(f"{state.step} steps in {state.seconds / 60:.0f} min: {chosen.out / 'weights.pt'}")


if __name__ == "__main__":
    main()
