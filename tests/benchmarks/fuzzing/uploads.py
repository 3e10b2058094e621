"""Uploads mutated photos and masks to a running service."""

from __future__ import annotations

import time
from random import Random

import grpc

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2
from tests.benchmarks.fuzzing.byte_mutations import changed_bytes
from tests.benchmarks.fuzzing.findings import Finding, Outcome
from tests.benchmarks.fuzzing.photo_mutations import changed_photo
from tests.benchmarks.fuzzing.photo_seeds import photo_seeds

KIND = "upload"
NAMES = ("a.jpg", "é.png", "../../etc/passwd", "C:\\con.tif", "\u202egpj.exe", "a" * 300, "", ".", "\n", "🪑.heic")


def run_uploads(client: Heartwood, count: int, seed: int) -> Outcome:
    """Upload ``count`` files. Each is stored, or refused as INVALID_ARGUMENT because of its contents."""
    outcome, started = Outcome(), time.monotonic()
    seeds = list(photo_seeds().values())
    for number in range(count):
        choice = Random(f"{seed} {KIND} {number}")  # noqa: S311 - not used for security
        data, other = choice.choice(seeds), choice.choice(seeds)
        data = changed_photo(data, choice, other) if choice.random() < 0.7 else changed_bytes(data, choice, other)
        kind = choice.choice((asset_pb2.ASSET_KIND_PHOTO, asset_pb2.ASSET_KIND_MASK))
        problem = ""
        try:
            asset = client.upload_bytes(data, choice.choice(NAMES), kind=kind)
            outcome.accepted[KIND] += 1
            if asset.size_bytes != len(data) or not asset.name or set(asset.name) & set('/\\\n\0"'):
                problem = f"the upload is stored as {asset.name!r} with {asset.size_bytes} bytes"
        except ApiError as error:
            is_clear = error.code is grpc.StatusCode.INVALID_ARGUMENT and error.field in ("data", "header.size_bytes")
            problem = "" if is_clear else f"{error.code.name}: {error.message}"
        outcome.inputs[KIND] += 1
        if problem:
            outcome.findings.append(Finding(KIND, problem, f"seed {seed}, upload {number}", data))
    outcome.seconds[KIND] = time.monotonic() - started  # type: ignore[assignment]
    return outcome
