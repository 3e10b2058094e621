"""Saves and lists the files of job results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf.message import Message
from rich.table import Table

from orchestrator.cli.terminal import file_size
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2


def save(client: Heartwood, result: Message, folder: Path) -> None:
    """Download every file of a result.

    The files of several photos go into the folders ``photo-1``, ``photo-2`` and so on, the frames of a turntable into
    ``frames``, all others into ``folder``.
    """
    for asset, target in _files(result, folder):
        client.download(asset, target / _name(asset))


def add_files(table: Table, assets: Iterable[asset_pb2.Asset]) -> None:
    """Add a row with name and size for each asset that the result has."""
    for asset in assets:
        if asset.id:
            table.add_row(_name(asset), file_size(asset.size_bytes))


def _files(message: Message, folder: Path) -> Iterator[tuple[asset_pb2.Asset, Path]]:
    """Yield every asset in ``message`` with its target folder, in the order of the fields."""
    for field, value in message.ListFields():
        items: Any = value if field.is_repeated else [value]
        for number, item in enumerate(items, 1):
            if isinstance(item, asset_pb2.Asset) and item.id:
                yield item, folder / "frames" if field.name == "frames" else folder
            elif isinstance(item, Message):
                several_photos = field.name == "photos" and len(items) > 1
                yield from _files(item, folder / f"photo-{number}" if several_photos else folder)


def _name(asset: asset_pb2.Asset) -> str:
    return PurePosixPath(asset.name).name
