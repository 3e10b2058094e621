"""Writes what a job made into a folder, under names that a person understands."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from rich.table import Table

from orchestrator.cli.terminal import swatch
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, segment_pb2, stain_pb2

STAIN_FILES = (
    "albedo",
    "normal",
    "roughness",
    "ambient_occlusion",
    "height_map",
    "orm",
    "wood_mask",
    "preview",
    "before_after",
)


def save_segments(client: Heartwood, result: segment_pb2.SegmentResult, out: Path) -> list[Path]:
    """Download a segment job's files; one folder a photo where there are several."""
    made = []
    for photo, folder in zip(result.photos, _folders(len(result.photos), out), strict=True):
        files = [component.mask for component in photo.components]
        files += [photo.foreground, photo.overlay, photo.document]
        if photo.HasField("wood"):
            files.append(photo.wood)
        made += [_save(client, file, folder) for file in files if file.id]
    return made


def save_stains(client: Heartwood, result: stain_pb2.StainResult, out: Path) -> list[Path]:
    """Download a stain job's files; one folder a photo where there are several."""
    made = []
    for photo, folder in zip(result.photos, _folders(len(result.photos), out), strict=True):
        made += [_save(client, getattr(photo, name), folder) for name in STAIN_FILES if getattr(photo, name).id]
    return made


def segment_table(result: segment_pb2.SegmentResult) -> Table:
    """The components found, one a row."""
    table = Table("photo", "component", "material", "confidence", "share", box=None, header_style="bold")
    for number, photo in enumerate(result.photos, 1):
        for part in photo.components:
            share = part.area_px / (photo.width * photo.height)
            table.add_row(str(number), part.instance, part.material, f"{part.confidence:.0%}", f"{share:.1%}")
    return table


def stain_table(result: stain_pb2.StainResult) -> Table:
    """What colour each photo's wood reached."""
    table = Table("photo", "target", "reached", "ΔE₀₀", "wood", box=None, header_style="bold")
    for number, photo in enumerate(result.photos, 1):
        target, reached = swatch(result.target_color), swatch(photo.reached_color)
        table.add_row(str(number), target, reached, f"{photo.delta_e:.1f}", f"{photo.wood_share:.0%}")
    return table


def _folders(count: int, out: Path) -> list[Path]:
    return [out] if count == 1 else [out / f"photo-{number + 1}" for number in range(count)]


def _save(client: Heartwood, asset: asset_pb2.Asset, folder: Path) -> Path:
    return client.download(asset, folder / PurePosixPath(asset.name).name)
