"""``heartwood segment``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from orchestrator.cli import arguments
from orchestrator.cli.made_of import MadeOf, known_materials
from orchestrator.cli.session import connect, run_stage, write_job_file
from orchestrator.cli.terminal import plain_table
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import segment_pb2

DETECTORS = {name: kind for name, kind in arguments.enum_values(segment_pb2.DetectorKind).items() if name != "prompts"}
"""The detectors that a user selects by name. ``--box`` selects the remaining one, ``prompts``."""
BOX_HELP = "A part as NAME=LEFT,TOP,RIGHT,BOTTOM in pixels. Repeatable."
DETECTOR_HELP = "local; openai if an API key is set; open_vocabulary if its model is pulled."
FIND_HELP = "Name of a part for open_vocabulary to find, such as 'door handle'. Repeatable. Default: the usual parts."


def segment(
    photos: arguments.Photos,
    out: arguments.Out = arguments.DEFAULT_OUT,
    detector: Annotated[str, typer.Option(help=DETECTOR_HELP)] = "local",
    find: Annotated[list[str] | None, arguments.optional(help=FIND_HELP)] = None,
    box: Annotated[list[str] | None, arguments.optional(help=BOX_HELP)] = None,
    made_of: MadeOf = None,
    preview: arguments.Preview = False,
    server: arguments.Server = "",
    token: arguments.Token = "",
) -> None:
    """Find the parts and the wood in photos.

    Saves a mask of each part, of the piece and of the wood, an overlay, and JSON.
    """
    prompts = [parse_box(text) for text in box or []]
    options = segment_pb2.SegmentOptions(prompts=prompts, part_names=find, made_of=known_materials(made_of))
    kind = arguments.choice("--detector", detector, DETECTORS)
    if find and kind != segment_pb2.DETECTOR_KIND_OPEN_VOCABULARY:
        raise InvalidInput("--find", "needs --detector open_vocabulary")
    # The service selects ``prompts`` or ``local`` for an unset detector, depending on whether there are prompts.
    if kind != segment_pb2.DETECTOR_KIND_LOCAL:
        options.detector = kind
    with connect(arguments.read_settings(), server, token) as client:
        write_job_file(run_stage(client, "segment", photos, options, out, preview=preview), out)


def table(result: segment_pb2.SegmentResult) -> Table:
    """Return the components, one in each row."""
    rows = plain_table("photo", "component", "material", "confidence", "share")
    for number, photo in enumerate(result.photos, 1):
        for component in photo.components:
            share = component.area_px / (photo.width * photo.height)
            confidence = f"{component.confidence:.0%}"
            rows.add_row(str(number), component.instance, component.material, confidence, f"{share:.1%}")
        for warning in photo.warnings:
            rows.add_row(str(number), f"[yellow]{escape(warning)}")
    return rows


def parse_box(text: str) -> segment_pb2.Prompt:
    """Parse "NAME=LEFT,TOP,RIGHT,BOTTOM". Raises InvalidInput if the text has another form."""
    name, _, corners = text.partition("=")
    try:
        left, top, right, bottom = (float(corner) for corner in corners.split(","))
    except ValueError:
        rule = "write NAME=LEFT,TOP,RIGHT,BOTTOM, such as leg=10,200,60,480"
        raise InvalidInput("--box", f"{text!r} is invalid; {rule}") from None
    return segment_pb2.Prompt(name=name, box=segment_pb2.Box(left=left, top=top, right=right, bottom=bottom))
