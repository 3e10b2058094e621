"""Runs jobs with extreme, but valid options on extreme photos."""

from __future__ import annotations

import time
from contextlib import suppress
from random import Random

import numpy as np

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import job_pb2
from orchestrator.protocol.heartwood.v1.cutout_pb2 import CutoutOptions
from orchestrator.protocol.heartwood.v1.job_pb2 import JobSpec
from orchestrator.protocol.heartwood.v1.segment_pb2 import Box, Point, Prompt, SegmentOptions
from orchestrator.protocol.heartwood.v1.stain_pb2 import StainOptions
from tests.benchmarks.fuzzing.findings import Finding, Outcome
from tests.benchmarks.fuzzing.service import job_problem
from tests.support.pictures import png, wood_photo

KIND = "job"
SHARES = (0.0, 1.0, 0.5, 5e-324, 1e-30, 1.0 - 1e-7)
COLORS = ("#000000", "#FFFFFF", "#FF0000", "#00ff00", "#5A3B2E", "#010101")
SIZES = ((96, 64), (32, 32), (32, 900), (900, 32), (33, 47))
MAX_ACTIVE = 20


def run_jobs(client: Heartwood, count: int, seed: int) -> Outcome:
    """Run ``count`` jobs to their ends."""
    outcome, started = Outcome(), time.monotonic()
    for first in range(0, count, MAX_ACTIVE):
        jobs = {number: _create(client, seed, number) for number in range(first, min(first + MAX_ACTIVE, count))}
        for number, id in jobs.items():
            with suppress(ApiError):  # a job may fail because of its options
                client.wait(id)
            job = client.job(id)
            outcome.accepted[KIND] += job.state == job_pb2.JOB_STATE_SUCCEEDED
            if problem := job_problem(job):
                outcome.findings.append(Finding(KIND, problem, f"seed {seed}, job {number}"))
    outcome.inputs[KIND] += count
    outcome.seconds[KIND] = time.monotonic() - started  # type: ignore[assignment]
    return outcome


def _create(client: Heartwood, seed: int, number: int) -> str:
    choice = Random(f"{seed} {KIND} {number}")  # noqa: S311 - not used for security
    width, height = choice.choice(SIZES)
    upload = client.upload_bytes(png(_photo(choice, width, height)), "photo.png").group_id
    spec = choice.choice((_stain, _cutout, _segment))(choice, width, height)
    return client.create_job(spec, upload, quality=choice.choice((1, 2))).id


def _photo(choice: Random, width: int, height: int) -> np.ndarray:
    noise = np.random.default_rng(choice.randrange(1000)).integers(0, 256, (height, width, 3)).astype(np.uint8)
    plain = np.full((height, width, 3), choice.choice((0, 1, 127, 255)), np.uint8)
    wood = wood_photo(width, height)
    return choice.choice((wood, wood, plain, noise, (noise & 1) * 255))


def _stain(choice: Random, width: int, height: int) -> JobSpec:  # noqa: ARG001 - as the other functions
    options = StainOptions(
        color=choice.choice(COLORS),
        preserve_grain=choice.choice(SHARES),
        strength=choice.choice(SHARES),
        coats=choice.choice((0.1, 1.0, 10.0)),
        region=choice.choice((0, 1, 2, 3)),
        format=choice.choice((0, 1, 2)),
        made_of=choice.choice(([], [{"material": "wood"}], [{"material": "metal"}])),
    )
    return JobSpec(stain=options)


def _cutout(choice: Random, width: int, height: int) -> JobSpec:  # noqa: ARG001 - as the other functions
    options = CutoutOptions(
        trim=choice.random() < 0.5,
        shadow=choice.random() < 0.5,
        margin=choice.choice((0.0, 0.5, 5e-324, 0.1)),
        background=choice.choice(("", *COLORS)),
        format=choice.choice((0, 1, 2)),
    )
    return JobSpec(cutout=options)


def _segment(choice: Random, width: int, height: int) -> JobSpec:
    def place(size: int) -> float:
        return choice.choice((0.0, 0.25, size / 2, size - 1.0, size - 1e-3, 1e-30))

    prompts = []
    for number in range(choice.choice((0, 1, 3))):
        left, top = place(width), place(height)
        box = Box(left=left, top=top, right=min(left + choice.choice((0.01, 1.0, 9.0, width)), width), bottom=height)
        points = [Point(x=place(width), y=place(height), outside=choice.random() < 0.3) for _ in range(number)]
        prompts.append(Prompt(name=choice.choice(("leg", "é", "a" * 40)), box=box, points=points))
    return JobSpec(segment=SegmentOptions(prompts=prompts, detect_wood=choice.random() < 0.7))
