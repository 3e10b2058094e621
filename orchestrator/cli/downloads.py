"""Downloads result files into folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2

Photo = TypeVar("Photo")


def download(client: Heartwood, assets: Iterable[asset_pb2.Asset], folder: Path) -> None:
    """Download assets into ``folder``. An asset that the result does not have is skipped."""
    for asset in assets:
        if asset.id:
            client.download(asset, folder / file_name(asset))


def file_name(asset: asset_pb2.Asset) -> str:
    """Return the name of an asset without its folders."""
    return PurePosixPath(asset.name).name


def photo_folders(photos: Iterable[Photo], folder: Path) -> Iterator[tuple[Photo, Path]]:
    """Yield each photo of a result with its folder: ``folder`` for a single photo, otherwise ``photo-1`` and so on."""
    results = list(photos)
    for number, photo in enumerate(results, 1):
        yield photo, folder if len(results) == 1 else folder / f"photo-{number}"
