"""Fetch a larger public model and convert it for Triton; never needed for the default.

python -m export_models.pull list
python -m export_models.pull NAME --accept-licence [--out DIR] [--file FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export_models.export import CHECKOUT
from export_models.pull.checkpoints import CHECKPOINTS, Checkpoint
from export_models.pull.download import check, fetch
from export_models.pull.entry import write
from orchestrator.errors import FailedPrecondition, HeartwoodError

OUT = CHECKOUT / "build" / "pulled"
CACHE = Path.home() / ".cache" / "heartwood" / "checkpoints"
NOT_HERE = (
    "BiRefNet (foregrounds) is not here: its architecture is in no package index, so that a conversion could not be "
    "tested."
)


def described(checkpoint: Checkpoint) -> str:
    """All that a person must know before saying yes."""
    return (
        f"{checkpoint.name}: {checkpoint.title} ({checkpoint.authors})\n"
        f"  serves   {checkpoint.serves}\n"
        f"  licence  {checkpoint.licence}, {checkpoint.licence_url}\n"
        f"  file     {checkpoint.url}\n"
        f"  size     {checkpoint.size / 1e6:.0f} MB\n"
        f"  SHA-256  {checkpoint.sha256}\n"
        f"  needs    {checkpoint.install}"
    )


def pull(
    checkpoint: Checkpoint, out: Path, accepted: bool, file: Path | None = None, cache: Path = CACHE
) -> list[Path]:
    """Fetch, check and convert; return the folders of the models.

    Args:
        file: the checkpoint, where it was brought here by hand; else it is downloaded to ``cache``.

    Raises:
        FailedPrecondition: the licence was not accepted, or the architecture is not installed.
    """
    if not accepted:
        raise FailedPrecondition(f"{checkpoint.title} is under {checkpoint.licence}; read it, and say --accept-licence")
    if file is None:
        target = cache / f"{checkpoint.sha256[:12]}-{checkpoint.url.rsplit('/', 1)[-1]}"
        file = fetch(checkpoint.url, target, checkpoint.size, checkpoint.sha256)
    else:
        check(file, checkpoint.size, checkpoint.sha256)
    source = (
        f"{checkpoint.title} ({checkpoint.authors}), converted by `python -m export_models.pull {checkpoint.name}` "
        f"from {checkpoint.url} (SHA-256 {checkpoint.sha256}). Licence: {checkpoint.licence}, {checkpoint.licence_url}."
    )
    return [write(entry, out, source)[0] for entry in checkpoint.convert(file)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m export_models.pull",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=["list", *CHECKPOINTS])
    parser.add_argument("--out", type=Path, default=OUT, help="model repository (default: build/pulled)")
    parser.add_argument("--accept-licence", action="store_true", help="say that you read the checkpoint's licence")
    parser.add_argument("--file", type=Path, help="the checkpoint on this disk; nothing is downloaded then")
    chosen = parser.parse_args()
    if chosen.name == "list":
        print("\n\n".join([*map(described, CHECKPOINTS.values()), NOT_HERE]))
        return
    checkpoint = CHECKPOINTS[chosen.name]
    print(described(checkpoint), flush=True)
    try:
        for folder in pull(checkpoint, chosen.out, chosen.accept_licence, chosen.file):
            print(folder)
    except HeartwoodError as error:
        sys.exit(f"{parser.prog}: {error.message}")


if __name__ == "__main__":
    main()
