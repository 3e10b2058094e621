"""The public checkpoints that can be pulled: role, URL, size, hashes, licence, and cost of running them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from export_models.pull import install_commands
from export_models.pull.download import Pins
from export_models.pull.repository_entry import Provenance, RepositoryEntry
from orchestrator.domain.model_roles import ROLE_MODELS, Role

_HUB = "https://huggingface.co"
_REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"


@dataclass(frozen=True)
class Cost:
    """Time of one photo, and memory of the process that serves the model while it runs."""

    seconds: float
    memory_gb: float
    source: str  # how the figures were obtained: "measured: …" or "estimate: …"


@dataclass(frozen=True)
class Checkpoint:
    """A file with third-party weights.

    Attributes:
        pins: expected size and hashes of the file.
        install: command that installs what the conversion needs.
        convert: makes the model that Triton serves from the file. It imports the tools only when it is called.
    """

    name: str
    role: Role
    title: str
    authors: str
    url: str
    pins: Pins
    licence: str
    licence_url: str
    cpu: Cost
    gpu: Cost
    install: str
    convert: Callable[[Path], RepositoryEntry]

    @property
    def model(self) -> str:
        """Name of the model in Triton."""
        return ROLE_MODELS[self.role]

    def provenance(self, tools: dict[str, str]) -> Provenance:
        """Return the provenance of a model that ``tools`` make from the file."""
        return Provenance(
            checkpoint=self.name,
            title=self.title,
            authors=self.authors,
            url=self.url,
            size=self.pins.size,
            sha256=self.pins.sha256,
            licence=self.licence,
            licence_url=self.licence_url,
            tools=tools,
        )


def _birefnet(file: Path) -> RepositoryEntry:
    from export_models.pull import birefnet

    return birefnet.convert(file)


def _sam2(file: Path) -> RepositoryEntry:
    from export_models.pull import sam2

    return sam2.convert(file)


def _moge2(file: Path) -> RepositoryEntry:
    from export_models.pull import moge2

    return moge2.convert(file)


def _owlv2(file: Path) -> RepositoryEntry:
    from export_models.pull import owlv2

    return owlv2.convert(file)


_CPU = "measured: onnxruntime 1.32, random weights, two threads of an AMD EPYC, a photo of 1024 pixels"
_CPU_BIREFNET = "estimate: from the authors' number of operations and from public reports of the memory; not run"
_GPU = "estimate: not run on a GPU; from the number of parameters and operations"
_GPU_BIREFNET = "estimate: the authors' time for ONNX and memory for torch on an A100; not run here"


# Sizes and hashes are those of the file at the revision in the URL. They were not computed from a download, because the
# files could not be reached during development. Several public sources each state the same values for each file. The
# MD5 values of BiRefNet are those that rembg itself checks.
CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            name="birefnet",
            role=Role.FOREGROUND,
            title="BiRefNet general (Swin-L, epoch 244) in ONNX, as published by rembg",
            authors="Zheng et al. 2024",
            url=f"{_REMBG}/BiRefNet-general-epoch_244.onnx",
            pins=Pins(
                972_666_916,
                "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
                "7a35a0141cbbc80de11d9c9a28f52697",
            ),
            licence="MIT",
            licence_url="https://github.com/ZhengPeng7/BiRefNet/blob/main/LICENSE",
            cpu=Cost(30.0, 7.0, _CPU_BIREFNET),
            gpu=Cost(0.17, 5.5, _GPU_BIREFNET),
            install=install_commands.LOCAL,
            convert=_birefnet,
        ),
        Checkpoint(
            name="birefnet-lite",
            role=Role.FOREGROUND,
            title="BiRefNet general lite (Swin-T, epoch 232) in ONNX, as published by rembg",
            authors="Zheng et al. 2024",
            url=f"{_REMBG}/BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx",
            pins=Pins(
                224_005_088,
                "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333",
                "4fab47adc4ff364be1713e97b7e66334",
            ),
            licence="MIT",
            licence_url="https://github.com/ZhengPeng7/BiRefNet/blob/main/LICENSE",
            cpu=Cost(15.0, 7.0, _CPU_BIREFNET),
            gpu=Cost(0.1, 4.0, _GPU_BIREFNET),
            install=install_commands.LOCAL,
            convert=_birefnet,
        ),
        Checkpoint(
            name="sam2",
            role=Role.PROMPT,
            title="SAM 2.1 Hiera Tiny",
            authors="Ravi et al. 2024, Meta",
            url=f"{_HUB}/facebook/sam2.1-hiera-tiny/resolve/de431c4043854a71d8101e17995dfe596bf101a5/model.safetensors",
            pins=Pins(155_908_064, "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7"),
            licence="Apache-2.0",
            licence_url="https://github.com/facebookresearch/sam2/blob/main/LICENSE",
            cpu=Cost(2.3, 1.7, _CPU),
            gpu=Cost(0.05, 2.0, _GPU),
            install=install_commands.PULL,
            convert=_sam2,
        ),
        Checkpoint(
            name="moge2-large",
            role=Role.GEOMETRY,
            title="MoGe-2 ViT-L with normals",
            authors="Wang et al. 2025, Microsoft",
            url=f"{_HUB}/Ruicheng/moge-2-vitl-normal/resolve/b135031bae30b5ac2ae141a0e68717795ce38340/model.pt",
            pins=Pins(1_323_815_904, "280741fd09bc3f403ccff9967784c2a391b52d2c0742ae3efdb21d9f90cc1a01"),
            licence="MIT (includes code of DINOv2: Apache-2.0)",
            licence_url="https://github.com/microsoft/MoGe/blob/main/LICENSE",
            cpu=Cost(10.7, 3.3, _CPU),
            gpu=Cost(0.15, 4.0, _GPU),
            install=install_commands.MOGE,
            convert=_moge2,
        ),
        Checkpoint(
            name="moge2",
            role=Role.GEOMETRY,
            title="MoGe-2 ViT-S with normals",
            authors="Wang et al. 2025, Microsoft",
            url=f"{_HUB}/Ruicheng/moge-2-vits-normal/resolve/679230677b4d282c6f304189a93e98e14f085902/model.pt",
            pins=Pins(140_550_416, "79a16621928c2bf0ed04659218c55c01075e950507f40bb3332fb4c873d3e1dc"),
            licence="MIT (includes code of DINOv2: Apache-2.0)",
            licence_url="https://github.com/microsoft/MoGe/blob/main/LICENSE",
            cpu=Cost(3.1, 1.7, _CPU),
            gpu=Cost(0.05, 2.0, _GPU),
            install=install_commands.MOGE,
            convert=_moge2,
        ),
        Checkpoint(
            name="owlv2",
            role=Role.OPEN_VOCABULARY,
            title="OWLv2 base, patches of 16 pixels, ensemble",
            authors="Minderer et al. 2023, Google",
            url=(
                f"{_HUB}/google/owlv2-base-patch16-ensemble/resolve/cfd3195ba4ea9592eec887ded089f4c08eff231d/"
                "model.safetensors"
            ),
            pins=Pins(619_918_824, "e1e130b9e404cf91a75ad45644c1da9d7fa5284085eecc864266a6923efb99e7"),
            licence="Apache-2.0",
            licence_url=f"{_HUB}/google/owlv2-base-patch16-ensemble",
            cpu=Cost(6.5, 3.6, _CPU),
            gpu=Cost(0.08, 4.0, _GPU),
            install=install_commands.PULL,
            convert=_owlv2,
        ),
    )
}
SETS = {
    "recommended": ("birefnet", "sam2", "moge2-large", "owlv2"),
    "light": ("birefnet-lite", "sam2", "moge2", "owlv2"),
}
"""Names that stand for several checkpoints, one for each role: the best ones, and the fastest ones."""
