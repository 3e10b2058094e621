"""``heartwood cutout``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli.arguments import DEFAULT_OUT, Out, Photos, Preview, Server, Token, read_settings
from orchestrator.cli.downloads import download, photo_folders
from orchestrator.cli.session import connect, follow, quality, upload
from orchestrator.cli.terminal import plain_table, print_results
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import cutout_pb2

FOLDER = "cutout"


def cutout(
    photos: Photos,
    out: Out = DEFAULT_OUT,
    background: Annotated[
        str, typer.Option(help="Background colour, '#RRGGBB'. Default: transparent.", show_default=False)
    ] = "",
    no_trim: Annotated[bool, typer.Option("--no-trim", help="Keep the frame of the photo.")] = False,
    margin: Annotated[
        float, typer.Option(help="Space around the trimmed piece, as a share of its longer side, 0 to 0.5.")
    ] = 0.02,
    no_shadow: Annotated[bool, typer.Option("--no-shadow", help="Leave out the contact shadow.")] = False,
    webp: Annotated[bool, typer.Option("--webp", help="Write WebP instead of PNG.")] = False,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Cut the piece out of photos, with its contact shadow.

    The background is transparent, or has the colour --background. Saves the contact shadow as a separate image.
    """
    options = cutout_pb2.CutoutOptions(
        format=cutout_pb2.CUTOUT_FORMAT_WEBP if webp else cutout_pb2.CUTOUT_FORMAT_PNG,
        trim=not no_trim,
        margin=margin,
        background=background,
        shadow=not no_shadow,
    )
    with connect(read_settings(), server, token) as client:
        job = client.cutout(upload(client, photos), options, quality=quality(preview))
        result = follow(client, job.id, "cutout").cutout
        save(client, result, out)
    print_results(table(result), out)


def save(client: Heartwood, result: cutout_pb2.CutoutResult, folder: Path) -> None:
    """Download the image and the contact shadow of each photo."""
    for photo, photo_folder in photo_folders(result.photos, folder):
        download(client, [photo.image, photo.shadow], photo_folder)


def table(result: cutout_pb2.CutoutResult) -> Table:
    """Return the size of each image and the share of the photo that the piece covers."""
    rows = plain_table("photo", "size", "piece", "shadow")
    for number, photo in enumerate(result.photos, 1):
        shadow = "yes" if photo.shadow.id else "no"
        rows.add_row(str(number), f"{photo.width} × {photo.height}", f"{photo.piece_share:.0%}", shadow)
    return rows
