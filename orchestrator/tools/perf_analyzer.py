"""Triton's own load generator: found, or fetched with pip and apt's tools, and run."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from orchestrator.errors import ToolFailed

WHEELS = """\
tritonclient==2.41.0 --hash=sha256:cf4ed5df836fa99937678a9fd852f86ba05c7b83656dd0a540e20afdb9ab4629
nvidia-cuda-runtime-cu12==12.6.77 --hash=sha256:ba3b56a4f896141e25e19ab287cd71e52a6a0f4b29d0d31609f60e3b4d5219b7
"""
"""The last client whose wheel holds the program, and the CUDA runtime that it is linked with; only these very files."""
FOLDER = Path("tools", "perf_analyzer")
"""Where it is kept below the data folder."""
DEBIAN_LIBRARY = "libb64-0d"
WHEELS_BINARY = Path("tritonclient-2.41.0.data/data/bin/perf_analyzer")
OUTPUT_BYTES = 256 << 20
"""Shared memory for each output of a request: 13 classes at 1024² and batch 4 take 218 MB."""
TIMEOUT_S = 900.0
WINDOWS = (1, 4, 16)
"""Times as many requests in a window, tried in turn."""
UNSTABLE = "Failed to obtain stable measurement"
REMEDY = "put one on the PATH: it is in NVIDIA's container tritonserver:YY.MM-py3-sdk"

Tensors = Mapping[str, NDArray[Any]]
"""One request's inputs by name, without the batch."""


@dataclass(frozen=True)
class Program:
    """The executable, and the LD_LIBRARY_PATH that it needs."""

    binary: Path
    libraries: str = ""


@dataclass(frozen=True)
class Load:
    """What is sent, and where.

    Args:
        url: gRPC host:port of the Triton.
        version: 0 leaves it to Triton.
        requests: how many a window of measuring holds.
    """

    url: str
    model: str
    version: int = 0
    batch: int = 1
    requests: int = 48


@dataclass(frozen=True)
class Measured:
    """What came back: inferences a second (pictures, not requests) and milliseconds."""

    per_s: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    queue_ms: float
    compute_ms: float


def find(folder: Path) -> Program:
    """The ``perf_analyzer`` on the PATH, or the wheel's, unpacked into ``folder`` with the libraries that it needs.

    Raises:
        ToolFailed: neither can be had.
    """
    installed = shutil.which("perf_analyzer")
    if installed:
        return Program(Path(installed))
    binary = folder / WHEELS_BINARY
    try:
        if not binary.exists():
            _fetch(folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolFailed(f"perf_analyzer could not be fetched ({type(error).__name__}); {REMEDY}") from error
    libraries = {path.parent.resolve() for name in ("libcudart.so.12", "libb64.so.0d") for path in folder.rglob(name)}
    return Program(binary.resolve(), os.pathsep.join(map(str, sorted(libraries))))


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "wheels.txt"
    wanted.write_text(WHEELS, encoding="ascii")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), "-r", str(wanted)]
    subprocess.run(pip, check=True, timeout=600, capture_output=True)
    apt_get, dpkg_deb = shutil.which("apt-get") or "", shutil.which("dpkg-deb") or ""
    subprocess.run([apt_get, "download", DEBIAN_LIBRARY], cwd=folder, check=True, timeout=300, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run([dpkg_deb, "-x", str(package), str(folder)], check=True, timeout=60)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    (folder / WHEELS_BINARY).chmod(0o755)


def write_inputs(requests: Sequence[Tensors], file: Path) -> None:
    """Write the requests that are sent in turn, as perf_analyzer's input data."""

    def told(values: NDArray[Any]) -> dict[str, Any]:
        return {"content": {"b64": base64.b64encode(values.tobytes()).decode()}, "shape": list(values.shape)}

    data = [{name: told(values) for name, values in tensors.items()} for tensors in requests]
    file.write_text(json.dumps({"data": data}), encoding="ascii")


def run(program: Program, load: Load, inputs: Path, *, concurrency: int = 0, rate: float = 0.0) -> Measured:
    """Send ``inputs`` with ``concurrency`` requests on their way at any time, or ``rate`` requests a second.

    Pictures and answers go through system shared memory, so Triton must be on this machine. Where windows differ too
    much for a figure, as on a busy machine, longer ones are tried.

    Raises:
        ToolFailed: it ended without a figure; with its last words.
    """
    level = ["--concurrency-range", str(concurrency)] if concurrency else ["--request-rate-range", f"{rate:g}"]
    command = [str(program.binary), "-m", load.model, "-i", "grpc", "-u", load.url, "-b", str(load.batch)]
    command += ["--input-data", str(inputs), *level]
    command += ["--shared-memory", "system", "--output-shared-memory-size", str(OUTPUT_BYTES)]
    command += ["--measurement-mode", "count_windows", "--max-trials", "6", "--stability-percentage", "30"]
    if load.version:
        command += ["-x", str(load.version)]
    table = inputs.with_suffix(".csv")
    table.unlink(missing_ok=True)
    for longer in WINDOWS:
        said = _run(program, [*command, "--measurement-request-count", str(longer * load.requests), "-f", str(table)])
        if table.exists():
            return _measured(table)
        if UNSTABLE not in said:
            break
    raise ToolFailed(f"perf_analyzer gave no figure: {said[-500:]}", tool="perf_analyzer")


def _run(program: Program, command: list[str]) -> str:
    """Run it to its end; return what it said."""
    environment = {"PATH": os.environ.get("PATH", ""), "LD_LIBRARY_PATH": program.libraries}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(f"perf_analyzer did not end: {error}", tool="perf_analyzer") from error
    return (done.stdout + done.stderr).strip()


def _measured(table: Path) -> Measured:
    """The one line of the CSV that perf_analyzer wrote; its times are microseconds."""
    (row,) = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    found = {name: float(value) for name, value in row.items() if value}
    computed = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")
    return Measured(
        found["Inferences/Second"],
        p50_ms=found["p50 latency"] / 1000,
        p90_ms=found["p90 latency"] / 1000,
        p95_ms=found["p95 latency"] / 1000,
        p99_ms=found["p99 latency"] / 1000,
        queue_ms=found.get("Server Queue", 0.0) / 1000,
        compute_ms=sum(found.get(name, 0.0) for name in computed) / 1000,
    )
