"""SAM 2.1 (Ravi et al. 2024): an encoder that sees a picture once, and a decoder that answers each prompt."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from export_models.pull.entry import Entry, Slot, architecture
from orchestrator.errors import InvalidInput

INSTALL = "pip install -e '.[pull]'"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures that it learned from, per channel (ImageNet's)."""
MAX_BATCH = 4
LIMITS = (
    "Bring the photo to the square by scaling its longer side and filling up on the right and below; points are pixels "
    "of that square. Masks are a quarter of its side: bring them to the photo by guided upsampling. Ask the encoder "
    "once a photo, the decoder once a prompt. No stage of Heartwood asks for it by itself."
)


class ImageEncoder(nn.Module):
    """What the decoder needs to know of a picture."""

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
            image: [B, 3, S, S] float32 sRGB in [0, 1], S the model's own size.
        """
        model: Any = self.model
        fine, middle, coarse = model.get_image_embeddings((image - self.mean) / self.std)
        return coarse, middle, fine


class MaskDecoder(nn.Module):
    """Three masks for one prompt: a part, a whole, and what is between."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, coarse: Tensor, middle: Tensor, fine: Tensor, points: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return mask logits [B, 3, S / 4, S / 4] and the IoU that each is thought to have, [B, 3].

        Args:
            points: [B, N, 2] float32, x and y in pixels of the square.
            labels: [B, N] int32; 1 in the thing, 0 outside, 2 and 3 a box's upper left and lower right, -10 nothing.
        """
        answer = self.model(
            image_embeddings=[fine, middle, coarse],
            input_points=points[:, None],
            input_labels=labels[:, None].long(),
            multimask_output=True,
        )
        return answer.pred_masks[:, 0], answer.iou_scores[:, 0]


def load(file: Path, config: Any = None) -> nn.Module:
    """The network with the weights of a ``model.safetensors`` of the Hub.

    Args:
        config: transformers' ``Sam2Config``; its default is the Tiny model.

    Raises:
        FailedPrecondition: transformers is not installed.
        InvalidInput: the file lacks weights.
    """
    transformers = architecture("transformers", INSTALL)
    with TemporaryDirectory() as folder:
        (config or transformers.Sam2Config()).save_pretrained(folder)
        (Path(folder) / "model.safetensors").symlink_to(file.resolve())
        network, found = transformers.Sam2Model.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    if found["missing_keys"] or found["mismatched_keys"]:
        missing = ", ".join(map(str, [*found["missing_keys"], *found["mismatched_keys"]][:3]))
        raise InvalidInput("file", f"{file.name} is no SAM 2.1 of this size: it lacks {missing}")
    loaded: nn.Module = network.eval()
    return loaded


def convert(file: Path, config: Any = None) -> list[Entry]:
    """The encoder and the decoder."""
    return entries(load(file, config))


def entries(model: Any) -> list[Entry]:
    """Both models, of any size of SAM 2.1."""
    side = int(model.prompt_encoder.input_image_size)
    width = int(model.hidden_dim)
    features = (
        Slot("coarse", (width, side // 16, side // 16), "features"),
        Slot("middle", (width // 4, side // 8, side // 8), "features"),
        Slot("fine", (width // 8, side // 4, side // 4), "features"),
    )
    image = torch.rand(2, 3, side, side)
    encoder = ImageEncoder(model).eval()
    with torch.no_grad():
        seen = encoder(image)
    corners = torch.tensor([[0.2, 0.3], [0.8, 0.7], [0.5, 0.5]]) * side
    return [
        Entry(
            name="sam2_encoder",
            network=encoder,
            inputs=(Slot("image", (3, side, side), "sRGB in [0, 1]"),),
            outputs=features,
            examples=(image,),
            max_batch=MAX_BATCH,
            limits=LIMITS,
        ),
        Entry(
            name="sam2_decoder",
            network=MaskDecoder(model).eval(),
            inputs=(
                *features,
                Slot("points", (-1, 2), "x and y in pixels of the square", ("prompts",)),
                Slot(
                    "labels",
                    (-1,),
                    "1 in the thing, 0 outside, 2 and 3 a box's upper left and lower right corner, -10 nothing",
                    ("prompts",),
                ),
            ),
            outputs=(
                Slot("masks", (3, side // 4, side // 4), "logits, above 0 is the thing"),
                Slot("quality", (3,), "IoU that each mask is thought to have"),
            ),
            examples=(
                *seen,
                torch.stack([corners, corners.flip(1)]),
                torch.tensor([[2, 3, 1], [1, 0, -10]], dtype=torch.int32),
            ),
            max_batch=MAX_BATCH,
            limits=LIMITS,
        ),
    ]
