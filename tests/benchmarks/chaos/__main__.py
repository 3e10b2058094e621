"""Runs jobs of all kinds on several replicas with PostgreSQL while faults occur at seeded random times.

python -m tests.benchmarks.chaos [--jobs 300] [--replicas 3] [--seed 1] [--json FILE] [--log FILE]

Replicas, their programs, Triton, its backends and PostgreSQL are killed and suspended, and replicas are cut off from
PostgreSQL and Triton by a proxy. The client submits each job until it is accepted, with the same request_id.
Afterwards, every accepted job has ended exactly once, and no file, process or folder is missing or left over.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from orchestrator.local_triton import local_triton
from orchestrator.settings import Settings
from tests.benchmarks.chaos.run import Chaos, run
from tests.benchmarks.chaos.workload import SHARES
from tests.benchmarks.report import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--clients", type=int, default=12, help="jobs that are queued or running at a time")
    parser.add_argument("--interval", type=float, default=8.0, help="mean time between two faults in seconds")
    parser.add_argument("--faults", type=int, default=1000, help="maximum number of faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--log", type=Path, help="receives the faults, the takeovers and the violations")
    parser.add_argument("--keep", type=Path, help="folder for the data, which is kept")
    arguments = parser.parse_args()
    interval_s = (0.25 * arguments.interval, 1.75 * arguments.interval)
    chaos = Chaos(
        arguments.jobs, arguments.replicas, arguments.clients, interval_s, arguments.seed, arguments.faults, SHARES
    )
    with tempfile.TemporaryDirectory(prefix="heartwood-chaos-") as scratch:
        folder = arguments.keep or Path(scratch)
        with local_triton(Settings(data_dir=folder / "triton")) as triton:
            outcome = run(chaos, folder / "cluster", triton)
    if arguments.log:
        arguments.log.write_text(outcome.to_json() + "\n", encoding="utf-8")
    for violation in outcome.violations:
        print(violation)
    report("chaos", outcome.figures(), arguments.json)


if __name__ == "__main__":
    main()
