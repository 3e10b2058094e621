"""``heartwood stains``."""

from __future__ import annotations

from orchestrator.domain.stain_catalogue import STAINS
from tests.support.cli import Cli


def test_stains_lists_every_named_stain_with_its_colour(cli: Cli) -> None:
    result = cli("stains")
    assert result.exit_code == 0
    for stain in STAINS.values():
        assert stain.name in result.output
        assert stain.color.hex in result.output
