"""``heartwood stain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.arguments import (
    DEFAULT_OUT,
    Out,
    Photos,
    Preview,
    Server,
    StainColor,
    StainName,
    Token,
    choice,
    enum_values,
    read_file,
    read_settings,
)
from orchestrator.cli.downloads import download, photo_folders
from orchestrator.cli.session import connect, follow, quality, upload
from orchestrator.cli.terminal import plain_table, print_results, swatch
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2, stain_pb2

FOLDER = "stain"
REGIONS = enum_values(stain_pb2.Region)
FILES = (
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
"""The fields of ``StainedPhoto`` that are files."""


def stain(
    photos: Photos,
    out: Out = DEFAULT_OUT,
    color: StainColor = "",
    stain: StainName = "",
    preserve_grain: Annotated[float, typer.Option(help="Grain contrast: 0 hides the grain, 1 keeps it.")] = 1.0,
    strength: Annotated[float, typer.Option(help="0 leaves the wood unchanged, 1 reaches the colour.")] = 1.0,
    coats: Annotated[float, typer.Option(help="Relative film thickness, 0.1 to 10.")] = 1.0,
    region: Annotated[str, typer.Option(help=f"Where to stain wood: {', '.join(REGIONS)}.")] = "auto",
    mask: Annotated[
        Path | None,
        typer.Option(
            help="Grey image of the photo's size, white where to stain.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    webp: Annotated[bool, typer.Option("--webp", help="Write WebP instead of PNG.")] = False,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Stain the wood in photos, and make its PBR maps.

    The stained wood keeps its grain and lighting. Saves albedo, normal, roughness, ambient occlusion, height and ORM
    maps, the wood mask, and previews.
    """
    if bool(color) == bool(stain):
        raise InvalidInput("--color", "give either --color '#RRGGBB' or --stain NAME")
    options = stain_pb2.StainOptions(
        preserve_grain=preserve_grain,
        strength=strength,
        coats=coats,
        region=choice("--region", region, REGIONS),
        format=stain_pb2.TEXTURE_FORMAT_WEBP if webp else stain_pb2.TEXTURE_FORMAT_PNG,
    )
    with connect(read_settings(), server, token) as client:
        upload_id = upload(client, photos)
        if mask is not None:
            options.mask_asset_id = client.upload_bytes(read_file(mask), mask.name, kind=asset_pb2.ASSET_KIND_MASK).id
        job = client.stain(upload_id, color=color, stain=stain, options=options, quality=quality(preview))
        result = follow(client, job.id, "stain").stain
        save(client, result, out)
    print_results(table(result), out)


def save(client: Heartwood, result: stain_pb2.StainResult, folder: Path) -> None:
    """Download the maps and previews of each photo."""
    for photo, photo_folder in photo_folders(result.photos, folder):
        download(client, [getattr(photo, name) for name in FILES], photo_folder)


def table(result: stain_pb2.StainResult) -> Table:
    """Return the target colour and the reached colour of each photo."""
    rows = plain_table("photo", "target", "reached", "ΔE₀₀", "wood")
    for number, photo in enumerate(result.photos, 1):
        target = swatch(result.target_color)
        reached = swatch(photo.reached_color)
        rows.add_row(str(number), target, reached, f"{photo.delta_e:.1f}", f"{photo.wood_share:.0%}")
    return rows
