"""``heartwood stains``."""

from __future__ import annotations

from orchestrator.cli.terminal import console, plain_table, swatch
from orchestrator.domain.stain_catalogue import STAINS


def stains() -> None:
    """List the named stains."""
    rows = plain_table("name", "colour", "label", "description")
    for stain in STAINS.values():
        rows.add_row(stain.name, swatch(stain.color.hex), stain.label, stain.description)
    console.print(rows)
