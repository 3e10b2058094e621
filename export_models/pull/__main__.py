"""Download larger public models and convert them for Triton. Heartwood runs without these models.

heartwood models pull --list
heartwood models pull recommended --accept-licence [--dry-run] [--out DIR]
heartwood models pull NAME --accept-licence [--file FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from export_models.pull.checkpoints import CHECKPOINTS, SETS, Checkpoint, Cost
from export_models.pull.download import check, fetch, part_of, require_space
from export_models.pull.repository_entry import write_version
from orchestrator.errors import FailedPrecondition, HeartwoodError, InvalidInput

CACHE = Path.home() / ".cache" / "heartwood" / "checkpoints"
OUT = Path("~/.local/share/heartwood/models")
"""The default of the setting ``pulled_models``; ``heartwood models pull`` passes the setting."""
CONVERSION_FACTOR = 2
"""Free space that a conversion needs, as a multiple of the checkpoint's size: the ONNX file exists twice while it is
rewritten."""

console = Console(stderr=True)


def describe(checkpoint: Checkpoint) -> str:
    """Return what a user needs to know before the download."""
    return (
        f"{checkpoint.name}: {checkpoint.title} ({checkpoint.authors})\n"
        f"  role     {checkpoint.role.value}, as the model {checkpoint.model!r}\n"
        f"  licence  {checkpoint.licence}, {checkpoint.licence_url}\n"
        f"  size     {checkpoint.pins.size / 1e6:.0f} MB\n"
        f"  CPU      {_cost(checkpoint.cpu)}\n"
        f"  GPU      {_cost(checkpoint.gpu)}\n"
        f"  file     {checkpoint.url}\n"
        f"  SHA-256  {checkpoint.pins.sha256}\n"
        f"  requires {checkpoint.install}"
    )


def _cost(cost: Cost) -> str:
    return f"{cost.seconds:g} s for a photo, {cost.memory_gb:g} GB of memory ({cost.source})"


def select(names: Sequence[str]) -> list[Checkpoint]:
    """Return the named checkpoints. Raises InvalidInput if a name is unknown."""
    expanded = dict.fromkeys(member for name in names for member in SETS.get(name, (name,)))
    for name in expanded:
        if name not in CHECKPOINTS:
            raise InvalidInput("NAME", f"{name!r} is not known; allowed are {', '.join((*SETS, *CHECKPOINTS))}")
    return [CHECKPOINTS[name] for name in expanded]


def cached_file(checkpoint: Checkpoint, cache: Path) -> Path:
    """Return the path of a checkpoint in the cache."""
    return cache / f"{checkpoint.pins.sha256[:12]}-{checkpoint.url.rsplit('/', 1)[-1]}"


def require_licences(checkpoints: Sequence[Checkpoint], accepted: bool) -> None:
    """Raise FailedPrecondition unless the user accepted the licences."""
    if not accepted:
        licences = "; ".join(f"{item.name}: {item.licence}, {item.licence_url}" for item in checkpoints)
        raise FailedPrecondition(f"read the licences and pass --accept-licence ({licences})")


def pull(
    checkpoint: Checkpoint,
    out: Path,
    file: Path | None = None,
    cache: Path = CACHE,
    client: httpx2.Client | None = None,
) -> Path:
    """Download, verify and convert a checkpoint; return the folder of the version.

    Args:
        out: model repository to write to.
        file: a local copy of the checkpoint; by default it is downloaded to ``cache``.
        client: closed after the download; default: a new client.

    Raises:
        FailedPrecondition: what the conversion needs is not installed, or the disk has too little free space.
        InvalidInput: ``file`` has another size or hash, or ``out`` contains another model of this name.
        ToolFailed: the download failed, the disk is full, or the conversion changed the outputs.
        CandidateRefused: an output on the golden inputs is invalid.
    """
    require_space(out, CONVERSION_FACTOR * checkpoint.pins.size)
    if file is None:
        columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), BarColumn(), *columns, console=console) as bar:
            task = bar.add_task(f"downloading {checkpoint.name}", total=checkpoint.pins.size)
            target = cached_file(checkpoint, cache)
            file = fetch(checkpoint.url, target, checkpoint.pins, client, lambda size: bar.update(task, completed=size))
    else:
        check(file, checkpoint.pins)
    console.print(f"converting and checking {checkpoint.name}: this can take several minutes")
    entry = checkpoint.convert(file)
    return write_version(entry, out, checkpoint.provenance(entry.tools))


def plan(checkpoint: Checkpoint, out: Path, cache: Path) -> str:
    """Return what ``pull`` would do."""
    file = cached_file(checkpoint, cache)
    existing = file if file.exists() else part_of(file)
    present = existing.stat().st_size if existing.exists() else 0
    missing = (checkpoint.pins.size - present) / 1e6
    return f"  would download {missing:.0f} MB to {file}\n  would write a version of {out / checkpoint.model}"


def run(options: argparse.Namespace) -> None:
    """Run the command. Raises HeartwoodError."""
    if options.list or not options.names:
        sets = "\n".join(f"{name}: {', '.join(members)}" for name, members in SETS.items())
        print("\n\n".join([*map(describe, CHECKPOINTS.values()), sets]))
        return
    out = options.out.expanduser().resolve()
    checkpoints = select(options.names)
    if options.file is not None and len(checkpoints) != 1:
        raise InvalidInput("--file", "needs exactly one NAME")
    for checkpoint in checkpoints:
        print(describe(checkpoint), flush=True)
        if options.dry_run:
            print(plan(checkpoint, out, CACHE), flush=True)
    if options.dry_run:
        return
    require_licences(checkpoints, options.accept_licence)
    for checkpoint in checkpoints:
        print(f"wrote {pull(checkpoint, out, options.file)}", flush=True)
    print("Restart the service to load the models.")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="heartwood models pull", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ", ".join((*SETS, *CHECKPOINTS))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {known}")
    parser.add_argument("--list", action="store_true", help="describe all models; nothing is downloaded")
    parser.add_argument("--accept-licence", action="store_true", help="confirm that you read the licences")
    parser.add_argument("--file", type=Path, help="local copy of the checkpoint, instead of a download")
    parser.add_argument("--dry-run", action="store_true", help="show what would be done")
    parser.add_argument("--out", type=Path, default=OUT, help="model repository to write to (default: %(default)s)")
    try:
        run(parser.parse_args())
    except HeartwoodError as error:
        sys.exit(f"error {error.message}")
    except KeyboardInterrupt:
        sys.exit("canceled; run the command again to resume")


if __name__ == "__main__":
    main()
