"""The configuration of a training run, read from a TOML file of ``export_models/configs/``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict


class StageConfig(BaseModel):
    """A number of training steps at one image size.

    Attributes:
        side: height and width of the training images, in pixels.
        batch: images per step.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: int
    batch: int
    steps: int


class OptimizerConfig(BaseModel):
    """Settings of AdamW, the learning rate schedule and the weight average.

    Attributes:
        learning_rate: the maximum.
        warm_up: steps of linear increase before the cosine decay.
        encoder_share: learning rate of the encoder, as a share of that of the other layers.
        clip_norm: maximum norm of the gradient.
        average: share of the running mean of the weights that each step keeps.
        start_share: share of the starting weights in the result, see ``TrainingState.save_weights``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float
    warm_up: int
    encoder_share: float
    weight_decay: float
    clip_norm: float
    average: float
    start_share: float = 0.0


class TrainingConfig(BaseModel):
    """Everything that a training run needs to know besides its data.

    Attributes:
        precision: data type of the network's activations. Losses are always float32.
        weights: factor of each output's loss; outputs without an entry are not trained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int
    precision: Literal["bfloat16", "float32"]
    stages: tuple[StageConfig, ...]
    optimizer: OptimizerConfig
    weights: dict[str, float]

    @property
    def steps(self) -> int:
        """Number of steps of all stages."""
        return sum(stage.steps for stage in self.stages)


def read_config(file: Path) -> TrainingConfig:
    """Read a configuration.

    Raises:
        pydantic.ValidationError: a key is missing, unknown or of the wrong type.
    """
    return TrainingConfig.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
