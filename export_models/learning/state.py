"""The state of a training run: network, averaged network, optimizer and progress."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export_models.learning.batches import Batch
from export_models.learning.config import TrainingConfig
from export_models.learning.losses import losses
from export_models.networks.furniture import FurnitureNetwork

STATE_DICTS = ("network", "average", "optimizer")


@dataclass
class TrainingState:
    """Everything that a training run needs to resume.

    Attributes:
        average: running mean of the weights of ``network``; the result of the training.
        step: number of completed steps.
        seconds: time spent in all runs so far.
    """

    network: FurnitureNetwork
    average: FurnitureNetwork
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def create(
        cls, config: TrainingConfig, imagenet: Path | None, start: Path | None, device: torch.device
    ) -> TrainingState:
        """Initialise a training run.

        Args:
            imagenet: ImageNet weights for the encoder, see ``Encoder.load_imagenet``.
            start: ``weights.pt`` of an earlier run.
        """
        torch.manual_seed(config.seed)
        network = FurnitureNetwork()
        if imagenet is not None:
            network.encoder.load_imagenet(imagenet)
        if start is not None:
            network.load_state_dict(network.state_dict() | torch.load(start, map_location="cpu", weights_only=True))
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(
            parameter_groups(network, config.optimizer.encoder_share), weight_decay=config.optimizer.weight_decay
        )
        return cls(network, copy.deepcopy(network), optimizer)

    def save(self, file: Path) -> None:
        """Write the state atomically."""
        scratch = file.with_suffix(".part")
        state = {name: getattr(self, name).state_dict() for name in STATE_DICTS}
        torch.save(state | {"step": self.step, "seconds": self.seconds}, scratch)
        scratch.rename(file)

    def load(self, file: Path, device: torch.device) -> None:
        """Read a state that ``save`` wrote."""
        state = torch.load(file, map_location=device, weights_only=True)
        for name in STATE_DICTS:
            getattr(self, name).load_state_dict(state[name])
        self.step, self.seconds = state["step"], state["seconds"]

    def save_weights(self, file: Path, start: Path | None = None, start_share: float = 0.0) -> None:
        """Write the averaged weights in half precision.

        Args:
            start: ``weights.pt`` from which the training started.
            start_share: share of these weights in the result (WiSE-FT, Wortsman et al. 2022).
        """
        weights = {name: value.cpu() for name, value in self.average.state_dict().items()}
        if start is not None and start_share > 0:
            for name, value in torch.load(start, map_location="cpu", weights_only=True).items():
                if value.is_floating_point():
                    weights[name] = torch.lerp(weights[name], value.float(), start_share)
        torch.save(
            {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}, file
        )

    def train_step(self, batch: Batch, config: TrainingConfig) -> dict[str, float]:
        """Take one optimisation step and return the loss of each output.

        Raises:
            FloatingPointError: a loss is infinite or not a number.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, config) * group["share"]
        self.network.train()
        image = batch["image"]
        with torch.autocast(image.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            predictions = self.network(image.contiguous(memory_format=torch.channels_last), tuple(config.weights))
        # In the channels-last layout, the gradient of a padded mean is wrong on CUDA (pytorch#188344). ``contiguous``
        # converts to the default layout.
        output_losses = losses({name: values.float().contiguous() for name, values in predictions.items()}, batch)
        total = sum((config.weights[name] * loss for name, loss in output_losses.items()), image.new_zeros(()))
        values = dict(zip(output_losses, torch.stack(list(output_losses.values())).tolist(), strict=True))
        if not math.isfinite(sum(values.values())):
            raise FloatingPointError(f"Training diverged at step {self.step}. Losses: {values}")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip_norm)
        self.optimizer.step()
        self._update_average(min(config.optimizer.average, (self.step + 1) / (self.step + 10)))
        self.step += 1
        return values

    @torch.no_grad()
    def _update_average(self, keep: float) -> None:
        """Move the averaged weights and batch statistics towards those of the network by the share 1 − ``keep``."""
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)


def parameter_groups(network: FurnitureNetwork, encoder_share: float) -> list[dict[str, Any]]:
    """Return groups of parameters by learning rate and weight decay; biases and norms do not decay.

    Args:
        encoder_share: learning rate of the encoder relative to the rest, stored as ``share`` of its groups.
    """
    groups = []
    for is_encoder in (True, False):
        for decays in (True, False):
            parameters = [
                parameter
                for name, parameter in network.named_parameters()
                if name.startswith("encoder.") == is_encoder and (parameter.ndim > 1) == decays
            ]
            share = encoder_share if is_encoder else 1.0
            groups.append({"params": parameters, "share": share} | ({} if decays else {"weight_decay": 0.0}))
    return groups


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Return the learning rate: a linear increase, then a cosine decay to 0."""
    maximum, warm_up = config.optimizer.learning_rate, config.optimizer.warm_up
    if step < warm_up:
        return maximum * (step + 1) / warm_up
    progress = (step - warm_up) / max(config.steps - warm_up, 1)
    return maximum * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
