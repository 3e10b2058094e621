"""``heartwood segment``."""

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
    Token,
    choice,
    enum_values,
    read_settings,
)
from orchestrator.cli.downloads import download, photo_folders
from orchestrator.cli.session import connect, follow, quality, upload
from orchestrator.cli.terminal import plain_table, print_results
from orchestrator.client.client import Heartwood
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import segment_pb2

FOLDER = "segment"
PROMPTS = "prompts"
DETECTORS = {name: kind for name, kind in enum_values(segment_pb2.DetectorKind).items() if name != PROMPTS}
"""The detectors that a user selects by name. ``--box`` selects the remaining one, ``prompts``."""


def segment(
    photos: Photos,
    out: Out = DEFAULT_OUT,
    detector: Annotated[str, typer.Option(help="local, or openai if an API key is set.")] = "local",
    box: Annotated[
        list[str] | None,
        typer.Option(help="A part as NAME=LEFT,TOP,RIGHT,BOTTOM in pixels. Repeatable.", show_default=False),
    ] = None,
    preview: Preview = False,
    server: Server = "",
    token: Token = "",
) -> None:
    """Find the parts and the wood in photos.

    Saves a mask of each part, of the piece and of the wood, an overlay, and JSON.
    """
    options = segment_pb2.SegmentOptions(prompts=[parse_box(text) for text in box or []])
    kind = choice("--detector", detector, DETECTORS)
    if kind != segment_pb2.DETECTOR_KIND_LOCAL:
        options.detector = kind
    with connect(read_settings(), server, token) as client:
        job = client.segment(upload(client, photos), options, quality=quality(preview))
        result = follow(client, job.id, "segment").segment
        save(client, result, out)
    print_results(table(result), out)


def save(client: Heartwood, result: segment_pb2.SegmentResult, folder: Path) -> None:
    """Download the masks, the overlay and the JSON document of each photo."""
    for photo, photo_folder in photo_folders(result.photos, folder):
        masks = [component.mask for component in photo.components]
        download(client, [*masks, photo.foreground, photo.overlay, photo.document, photo.wood], photo_folder)


def table(result: segment_pb2.SegmentResult) -> Table:
    """Return the components, one in each row."""
    rows = plain_table("photo", "component", "material", "confidence", "share")
    for number, photo in enumerate(result.photos, 1):
        for component in photo.components:
            share = component.area_px / (photo.width * photo.height)
            confidence = f"{component.confidence:.0%}"
            rows.add_row(str(number), component.instance, component.material, confidence, f"{share:.1%}")
    return rows


def parse_box(text: str) -> segment_pb2.Prompt:
    """Parse "NAME=LEFT,TOP,RIGHT,BOTTOM".

    Raises:
        InvalidInput: the text has another form.
    """
    name, _, corners = text.partition("=")
    try:
        left, top, right, bottom = (float(corner) for corner in corners.split(","))
    except ValueError:
        raise InvalidInput(
            "--box", f"{text!r} is invalid; write NAME=LEFT,TOP,RIGHT,BOTTOM, such as leg=10,200,60,480"
        ) from None
    return segment_pb2.Prompt(name=name, box=segment_pb2.Box(left=left, top=top, right=right, bottom=bottom))
