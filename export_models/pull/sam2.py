"""Converts SAM 2.1 (Ravi et al. 2024): an encoder, run once per image, and a decoder, run once per prompt."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from export_models.pull.repository_entry import RepositoryEntry, TensorSpec, import_architecture
from orchestrator.errors import InvalidInput

INSTALL = "pip install -e '.[pull]'"
MEAN = (0.485, 0.456, 0.406)
"""Mean of the training images per sRGB channel (ImageNet)."""
STD = (0.229, 0.224, 0.225)
"""Standard deviation of the training images per sRGB channel (ImageNet)."""
MAX_BATCH = 4
LIMITS = (
    "Resize the longer side of the photo to the side of the square and pad the photo on the right and below. Points "
    "are pixels of that square. Masks have a quarter of its side; upsample them to the photo with a guided filter. Run "
    "the encoder once per photo and the decoder once per prompt. No stage of Heartwood uses these models by itself."
)


class ImageEncoder(nn.Module):
    """Computes the image features that the decoder needs."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the features at 1/16, 1/8 and 1/4 of the side.

        Args:
            image: [B, 3, S, S] float32 sRGB in [0, 1]; S is the input size of the model.
        """
        model: Any = self.model
        fine, middle, coarse = model.get_image_embeddings((image - self.mean) / self.std)
        return coarse, middle, fine


class MaskDecoder(nn.Module):
    """Computes three masks per prompt: of the whole object, of a part, and of an intermediate level."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, coarse: Tensor, middle: Tensor, fine: Tensor, points: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return mask logits [B, 3, S / 4, S / 4] and the predicted IoU of each mask, [B, 3].

        Args:
            coarse, middle, fine: outputs of ``ImageEncoder``.
            points: [B, N, 2] float32, x and y in pixels of the square.
            labels: [B, N] int32; 1: on the object, 0: outside, 2 and 3: upper left and lower right corner of a box,
                -10: ignored.
        """
        output = self.model(
            image_embeddings=[fine, middle, coarse],
            input_points=points[:, None],
            input_labels=labels[:, None].long(),
            multimask_output=True,
        )
        return output.pred_masks[:, 0], output.iou_scores[:, 0]


def load(file: Path, config: Any = None) -> nn.Module:
    """Load a ``model.safetensors`` of the Hub.

    Args:
        config: ``Sam2Config`` of transformers; default: the Tiny model.

    Raises:
        FailedPrecondition: transformers is not installed.
        InvalidInput: the file lacks weights, or weights have another shape than ``config`` requires.
    """
    transformers = import_architecture("transformers", INSTALL)
    with TemporaryDirectory() as folder:
        (config or transformers.Sam2Config()).save_pretrained(folder)
        (Path(folder) / "model.safetensors").symlink_to(file.resolve())
        network, report = transformers.Sam2Model.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    if report["missing_keys"] or report["mismatched_keys"]:
        missing = ", ".join(map(str, [*report["missing_keys"], *report["mismatched_keys"]][:3]))
        raise InvalidInput("file", f"{file.name} is not a SAM 2.1 of this size: it lacks {missing}")
    loaded: nn.Module = network.eval()
    return loaded


def convert(file: Path, config: Any = None) -> list[RepositoryEntry]:
    """Convert a checkpoint to the encoder and the decoder."""
    return entries(load(file, config))


def entries(model: Any) -> list[RepositoryEntry]:
    """Return the encoder and the decoder of a SAM 2.1 of any size."""
    side = int(model.prompt_encoder.input_image_size)
    width = int(model.hidden_dim)
    features = (
        TensorSpec("coarse", (width, side // 16, side // 16), "features"),
        TensorSpec("middle", (width // 4, side // 8, side // 8), "features"),
        TensorSpec("fine", (width // 8, side // 4, side // 4), "features"),
    )
    image = torch.rand(2, 3, side, side)
    encoder = ImageEncoder(model).eval()
    with torch.no_grad():
        encoded = encoder(image)
    points = torch.tensor([[0.2, 0.3], [0.8, 0.7], [0.5, 0.5]]) * side
    return [
        RepositoryEntry(
            name="sam2_encoder",
            network=encoder,
            inputs=(TensorSpec("image", (3, side, side), "sRGB in [0, 1]"),),
            outputs=features,
            examples=(image,),
            max_batch=MAX_BATCH,
            limits=LIMITS,
        ),
        RepositoryEntry(
            name="sam2_decoder",
            network=MaskDecoder(model).eval(),
            inputs=(
                *features,
                TensorSpec("points", (-1, 2), "x and y in pixels of the square", ("prompts",)),
                TensorSpec(
                    "labels",
                    (-1,),
                    "1: on the object, 0: outside, 2 and 3: upper left and lower right corner of a box, -10: ignored",
                    ("prompts",),
                ),
            ),
            outputs=(
                TensorSpec("masks", (3, side // 4, side // 4), "logits, positive on the object"),
                TensorSpec("quality", (3,), "predicted IoU of each mask"),
            ),
            examples=(
                *encoded,
                torch.stack([points, points.flip(1)]),
                torch.tensor([[2, 3, 1], [1, 0, -10]], dtype=torch.int32),
            ),
            max_batch=MAX_BATCH,
            limits=LIMITS,
        ),
    ]
