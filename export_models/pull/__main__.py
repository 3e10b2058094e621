"""Download a larger public model and convert it for Triton. Heartwood runs without these models.

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
from export_models.pull.repository_entry import write_entry
from orchestrator.errors import FailedPrecondition, HeartwoodError

OUT = CHECKOUT / "build" / "pulled"
CACHE = Path.home() / ".cache" / "heartwood" / "checkpoints"
UNSUPPORTED = (
    "BiRefNet (foreground masks) is not supported: its architecture is in no package index, so the conversion could "
    "not be tested."
)


def describe(checkpoint: Checkpoint) -> str:
    """Return what a user needs to know before the download."""
    return (
        f"{checkpoint.name}: {checkpoint.title} ({checkpoint.authors})\n"
        f"  provides {checkpoint.provides}\n"
        f"  licence  {checkpoint.licence}, {checkpoint.licence_url}\n"
        f"  file     {checkpoint.url}\n"
        f"  size     {checkpoint.size / 1e6:.0f} MB\n"
        f"  SHA-256  {checkpoint.sha256}\n"
        f"  requires {checkpoint.install}"
    )


def pull(
    checkpoint: Checkpoint, out: Path, licence_accepted: bool, file: Path | None = None, cache: Path = CACHE
) -> list[Path]:
    """Download, verify and convert a checkpoint; return the folders of the models.

    Args:
        out: model repository to write to.
        file: a local copy of the checkpoint; by default it is downloaded to ``cache``.

    Raises:
        FailedPrecondition: the licence was not accepted, or the architecture is not installed.
        InvalidInput: ``file`` has another size or hash, or ``out`` contains a model of the same name.
        ToolFailed: the download failed, or the conversion changed the outputs.
    """
    if not licence_accepted:
        raise FailedPrecondition(
            f"{checkpoint.title} is licensed under {checkpoint.licence}; read the licence at {checkpoint.licence_url} "
            "and pass --accept-licence"
        )
    if file is None:
        target = cache / f"{checkpoint.sha256[:12]}-{checkpoint.url.rsplit('/', 1)[-1]}"
        file = fetch(checkpoint.url, target, checkpoint.size, checkpoint.sha256)
    else:
        check(file, checkpoint.size, checkpoint.sha256)
    source = (
        f"{checkpoint.title} ({checkpoint.authors}), converted by `python -m export_models.pull {checkpoint.name}` "
        f"from {checkpoint.url} (SHA-256 {checkpoint.sha256}). Licence: {checkpoint.licence}, {checkpoint.licence_url}."
    )
    return [write_entry(entry, out, source)[0] for entry in checkpoint.convert(file)]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m export_models.pull",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=["list", *CHECKPOINTS])
    parser.add_argument("--out", type=Path, default=OUT, help="model repository (default: build/pulled)")
    parser.add_argument("--accept-licence", action="store_true", help="confirm that you read the checkpoint's licence")
    parser.add_argument("--file", type=Path, help="local copy of the checkpoint, instead of a download")
    options = parser.parse_args()
    if options.name == "list":
        print("\n\n".join([*map(describe, CHECKPOINTS.values()), UNSUPPORTED]))
        return
    checkpoint = CHECKPOINTS[options.name]
    print(describe(checkpoint), flush=True)
    try:
        for folder in pull(checkpoint, options.out, options.accept_licence, options.file):
            print(folder)
    except HeartwoodError as error:
        sys.exit(f"{parser.prog}: {error.message}")


if __name__ == "__main__":
    main()
