"""Converts OWLv2 (Minderer et al. 2023): boxes of the objects that a text names."""

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
from orchestrator.inference.roles.owlv2 import SIDE, TOKENS, tokenize

MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of the training images per sRGB channel (CLIP)."""
STD = (0.26862954, 0.26130258, 0.27577711)
"""Standard deviation of the training images per sRGB channel (CLIP)."""
LIMITS = (
    "Pad the photo on the right and at the bottom to a square, with 0.5. Queries are the tokens of CLIP, such as those "
    "of 'a photo of a leg', padded with 0. A query of zeros gives scores of 0. Boxes are not unique: remove those that "
    "overlap."
)


class NamedBoxes(nn.Module):
    """OWLv2 on one photo with several queries."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.normalize = Normalization(MEAN, STD)

    def forward(self, image: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score [B, N, Q] of each of N boxes for each query, and the boxes [B, N, 4].

        Args:
            image: [B, 3, S, S] float32 sRGB in [0, 1].
            tokens: [B, Q, T] int32, token ids of each query, 0 after its end.

        Returns:
            Scores in [0, 1]. Boxes as centre x, centre y, width and height, as shares of the square.
        """
        model: Any = self.model
        ids = tokens.long().reshape(-1, tokens.shape[-1])
        attended = (ids > 0).long()
        # An empty query attends to its first token: attention over no token has no value.
        attended = torch.cat([torch.ones_like(attended[:, :1]), attended[:, 1:]], dim=1)
        output = model(input_ids=ids, pixel_values=self.normalize(image), attention_mask=attended)
        return output.logits.sigmoid(), output.pred_boxes


def load(file: Path, config: Any = None) -> nn.Module:
    """Load a ``model.safetensors`` of the Hub.

    Args:
        config: ``Owlv2Config`` of transformers; default: the base model with patches of 16 pixels.

    Raises:
        FailedPrecondition: transformers is not installed.
        InvalidInput: the file lacks weights, or weights have another shape than ``config`` requires.
    """
    transformers = import_architecture("transformers", install_commands.PULL)
    return load_pretrained(
        transformers.Owlv2ForObjectDetection, config or base_config(), file, "an OWLv2 base with patches of 16 pixels"
    )


def base_config() -> Any:
    """Return the ``Owlv2Config`` of the base model with patches of 16 pixels."""
    config = import_architecture("transformers", install_commands.PULL).Owlv2Config()
    config.vision_config.image_size = SIDE
    config.vision_config.patch_size = 16
    return config


def convert(file: Path, config: Any = None) -> RepositoryEntry:
    """Convert a checkpoint."""
    return entry(load(file, config))


def entry(model: Any) -> RepositoryEntry:
    """Return the entry of an OWLv2 of any size."""
    side = int(model.config.vision_config.image_size)
    boxes = (side // int(model.config.vision_config.patch_size)) ** 2
    queries = ("queries",)
    inputs = (
        TensorSpec("image", (3, side, side), "sRGB in [0, 1]"),
        TensorSpec("tokens", (-1, TOKENS), "token ids of each query, 0 after its end", queries, INTEGER),
    )
    outputs = (
        TensorSpec("scores", (boxes, -1), "score of each box for each query, in [0, 1]", queries),
        TensorSpec("boxes", (boxes, 4), "centre x, centre y, width and height, as shares of the square"),
    )
    tokens = torch.from_numpy(tokenize(["leg", "door handle"]))
    examples = (torch.rand(2, 3, side, side), torch.stack([tokens, tokens.flip(0)]))
    return network_entry(Role.OPEN_VOCABULARY, NamedBoxes(model), inputs, outputs, examples, LIMITS)
