"""The small version of the benchmark ``chaos``, without the bound of takeover, which needs an idle machine."""

from __future__ import annotations

from pathlib import Path

from orchestrator.inference.launch import TritonServer
from tests.benchmarks.chaos.run import Chaos, run

CHAOS = Chaos(
    jobs=13,
    replicas=2,
    clients=6,
    interval_s=(1.0, 3.0),
    seed=3,
    faults=8,
    shares={"segment": 31, "stain": 31, "cutout": 23, "export": 15},
)
FEWEST_FAULTS = 3
"""The jobs take at least 15 s. Some faults find nothing to hit, such as no program."""


def test_every_job_ends_once_while_processes_are_killed_stopped_and_cut_off(
    tmp_path: Path, triton: TritonServer
) -> None:
    outcome = run(CHAOS, tmp_path / "cluster", triton)
    assert outcome.violations == []
    assert len(outcome.faults) >= FEWEST_FAULTS
