"""Converts SAM 2.1 (Ravi et al. 2024): masks of the objects that points and boxes mark.

Encoder and decoder become one model. A photo with all of its prompts is one request, a new version replaces both, and
the 16 MB of image features stay on the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export_models.pull import install_commands
from export_models.pull.pretrained import load_pretrained
from export_models.pull.repository_entry import INTEGER, RepositoryEntry, TensorSpec
from export_models.pull.torch_network import Normalization, import_architecture, network_entry
from orchestrator.domain.model_roles import Role

MEAN = (0.485, 0.456, 0.406)
"""Mean of the training images per sRGB channel (ImageNet)."""
STD = (0.229, 0.224, 0.225)
"""Standard deviation of the training images per sRGB channel (ImageNet)."""
LIMITS = (
    "Stretch the photo to the square, as the authors do. Points are pixels of the square. Masks have a quarter of its "
    "side; upsample them along the edges of the photo. The three masks of a prompt show a part, an intermediate level "
    "and the whole object; use the one of the highest quality. All prompts of a request have the same number of points."
)


class PromptedMasks(nn.Module):
    """SAM 2.1 on one photo with several prompts."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.normalize = Normalization(MEAN, STD)

    def forward(self, image: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mask logits [B, P, 3, S / 4, S / 4] and the predicted IoU of each mask, [B, P, 3].

        Args:
            image: [B, 3, S, S] float32 sRGB in [0, 1]; S is the input size of the model.
            points: [B, P, N, 2] float32, x and y of each point of each prompt, in pixels of the square.
            labels: [B, P, N] int32; 1: on the object, 0: outside, 2 and 3: upper left and lower right corner of a box,
                -10: ignored.
        """
        model: Any = self.model
        output = model(
            image_embeddings=model.get_image_embeddings(self.normalize(image)),
            input_points=points,
            input_labels=labels.long(),
            multimask_output=True,
        )
        return output.pred_masks, output.iou_scores


def load(file: Path, config: Any = None) -> nn.Module:
    """Load a ``model.safetensors`` of the Hub.

    Args:
        config: ``Sam2Config`` of transformers; default: the Tiny model.

    Raises:
        FailedPrecondition: transformers is not installed.
        InvalidInput: the file lacks weights, or weights have another shape than ``config`` requires.
    """
    transformers = import_architecture("transformers", install_commands.PULL)
    return load_pretrained(transformers.Sam2Model, config or transformers.Sam2Config(), file, "a SAM 2.1 of this size")


def convert(file: Path, config: Any = None) -> RepositoryEntry:
    """Convert a checkpoint."""
    return entry(load(file, config))


def entry(model: Any) -> RepositoryEntry:
    """Return the entry of a SAM 2.1 of any size."""
    side = int(model.prompt_encoder.input_image_size)
    prompts = ("prompts",)
    inputs = (
        TensorSpec("image", (3, side, side), "sRGB in [0, 1]"),
        TensorSpec("points", (-1, -1, 2), "x and y in pixels of the square", (*prompts, "points")),
        TensorSpec(
            "labels",
            (-1, -1),
            "1: on the object, 0: outside, 2 and 3: upper left and lower right corner of a box, -10: ignored",
            (*prompts, "points"),
            INTEGER,
        ),
    )
    outputs = (
        TensorSpec("masks", (-1, 3, side // 4, side // 4), "logits, positive on the object", prompts),
        TensorSpec("quality", (-1, 3), "predicted IoU of each mask", prompts),
    )
    points = torch.tensor([[[0.2, 0.3], [0.8, 0.7], [0.5, 0.5]], [[0.4, 0.1], [0.6, 0.6], [0.1, 0.9]]]) * side
    labels = torch.tensor([[2, 3, 1], [1, 0, -10]], dtype=torch.int32)
    examples = (torch.rand(2, 3, side, side), torch.stack([points, points.flip(0)]), torch.stack([labels, labels]))
    return network_entry(Role.PROMPT, PromptedMasks(model), inputs, outputs, examples, LIMITS)
