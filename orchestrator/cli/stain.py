"""``heartwood stain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli import arguments
from orchestrator.cli.edited_masks import upload_edited_masks
from orchestrator.cli.made_of import MadeOf, Parts, known_materials, part_names
from orchestrator.cli.session import connect, read_job_file, run_stage
from orchestrator.cli.terminal import plain_table, swatch
from orchestrator.client.uploads import read_file
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2, stain_pb2

REGIONS = arguments.enum_values(stain_pb2.Region)
MASK_HELP = "Greyscale image of the photo's size. Its white areas are stained."
MASKS_HELP = "Result folder of `heartwood segment`. Masks in it that were edited replace those of the job."
SEGMENT_JOB_HELP = "Use the parts of this segment job. Default: the job in --masks."


def stain(
    photos: arguments.Photos,
    out: arguments.Out = arguments.DEFAULT_OUT,
    color: arguments.StainColor = "",
    stain: arguments.StainName = "",
    preserve_grain: Annotated[float, typer.Option(help="Grain contrast: 0 hides the grain, 1 keeps it.")] = 1.0,
    strength: Annotated[float, typer.Option(help="0 leaves the wood unchanged, 1 reaches the colour.")] = 1.0,
    coats: Annotated[float, typer.Option(help="Relative film thickness, 0.1 to 10.")] = 1.0,
    region: Annotated[str, typer.Option(help=f"Where to stain wood: {', '.join(REGIONS)}.")] = "auto",
    mask: Annotated[Path | None, arguments.optional(help=MASK_HELP, exists=True, dir_okay=False)] = None,
    made_of: MadeOf = None,
    parts: Parts = "",
    masks: Annotated[Path | None, arguments.optional(help=MASKS_HELP, exists=True, file_okay=False)] = None,
    segment_job: Annotated[str, arguments.optional(help=SEGMENT_JOB_HELP, metavar="ID")] = "",
    webp: arguments.WebP = False,
    preview: arguments.Preview = False,
    server: arguments.Server = "",
    token: arguments.Token = "",
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
        region=arguments.choice("--region", region, REGIONS),
        format=stain_pb2.TEXTURE_FORMAT_WEBP if webp else stain_pb2.TEXTURE_FORMAT_PNG,
        made_of=known_materials(made_of),
        parts=part_names(parts),
        segment_job_id=segment_job,
    )
    if stain:
        options.stain = stain
    else:
        options.color = color
    with connect(arguments.read_settings(), server, token) as client:
        if mask is not None:
            asset = client.upload_bytes(read_file(mask), mask.name, kind=asset_pb2.ASSET_KIND_MASK)
            options.mask_asset_id = asset.id
        if masks is not None:
            options.segment_job_id = segment_job or read_job_file(masks)
            options.masks.extend(upload_edited_masks(client, options.segment_job_id, masks, photos))
        run_stage(client, "stain", photos, options, out, preview=preview)


def table(result: stain_pb2.StainResult) -> Table:
    """Return the target colour and the reached colour of each photo."""
    rows = plain_table("photo", "target", "reached", "ΔE₀₀", "wood")
    target = swatch(result.target_color)
    for number, photo in enumerate(result.photos, 1):
        reached = swatch(photo.reached_color) if photo.reached_color else "nothing to stain"
        rows.add_row(str(number), target, reached, f"{photo.delta_e:.1f}", f"{photo.wood_share:.0%}")
    return rows
