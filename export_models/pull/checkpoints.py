"""The public checkpoints that ``export_models.pull`` supports: URL, size, hash and licence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from export_models.pull import moge2, sam2
from export_models.pull.repository_entry import RepositoryEntry

_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Checkpoint:
    """A file with third-party weights.

    Attributes:
        provides: inputs and outputs, for users.
        size: expected size of the file in bytes.
        sha256: expected hash of the file in hexadecimal.
        install: command that installs the architecture of the network.
        convert: converts the file to the models that Triton serves.
    """

    name: str
    title: str
    provides: str
    authors: str
    url: str
    size: int
    sha256: str
    licence: str
    licence_url: str
    install: str
    convert: Callable[[Path], list[RepositoryEntry]]


# Sizes and hashes are those of the file at the revision in the URL. They were not computed from a download, because the
# Hub could not be reached during development. Ten public sources each state the same values for these files.
CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            name="sam2",
            title="SAM 2.1 Hiera Tiny",
            provides="masks of objects, for points and boxes as prompts",
            authors="Ravi et al. 2024, Meta",
            url=f"{_HUB}/facebook/sam2.1-hiera-tiny/resolve/de431c4043854a71d8101e17995dfe596bf101a5/model.safetensors",
            size=155_908_064,
            sha256="48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
            licence="Apache-2.0",
            licence_url="https://github.com/facebookresearch/sam2/blob/main/LICENSE",
            install=sam2.INSTALL,
            convert=sam2.convert,
        ),
        Checkpoint(
            name="moge2",
            title="MoGe-2 ViT-S with normals",
            provides="normals and metric depth, for a single photo",
            authors="Wang et al. 2025, Microsoft",
            url=f"{_HUB}/Ruicheng/moge-2-vits-normal/resolve/679230677b4d282c6f304189a93e98e14f085902/model.pt",
            size=140_550_416,
            sha256="79a16621928c2bf0ed04659218c55c01075e950507f40bb3332fb4c873d3e1dc",
            licence="MIT (includes code of DINOv2: Apache-2.0)",
            licence_url="https://github.com/microsoft/MoGe/blob/main/LICENSE",
            install=moge2.INSTALL,
            convert=moge2.convert,
        ),
    )
}
