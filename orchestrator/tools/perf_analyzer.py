"""Runs perf_analyzer, Triton's load generator, and fetches it with pip and apt-get if it is not installed.

It is not started through ``tools.program``, because that removes network access, and perf_analyzer must reach Triton.
"""

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
from typing import Any, Literal

from numpy.typing import NDArray

from orchestrator.errors import ToolFailed

WHEELS = """\
tritonclient==2.41.0 --hash=sha256:cf4ed5df836fa99937678a9fd852f86ba05c7b83656dd0a540e20afdb9ab4629
nvidia-cuda-runtime-cu12==12.6.77 --hash=sha256:ba3b56a4f896141e25e19ab287cd71e52a6a0f4b29d0d31609f60e3b4d5219b7
"""
"""The last tritonclient wheel that contains perf_analyzer, and the CUDA runtime that it is linked against."""
FOLDER = Path("tools", "perf_analyzer")
"""Folder of the fetched program, relative to the data folder."""
DEBIAN_LIBRARY = "libb64-0d"
BINARY_IN_WHEEL = Path("tritonclient-2.41.0.data/data/bin/perf_analyzer")
LIBRARY_FILES = ("libcudart.so.12", "libb64.so.0d")
OUTPUT_BYTES = 256 << 20
"""Shared memory for each output of a request. The largest output, 13 classes at 1024² and batch 4, takes 218 MB."""
TIMEOUT_S = 900.0
WINDOW_FACTORS = (1, 4, 16)
"""Factors on the number of requests per measurement window, tried in turn until the measurements are stable."""
UNSTABLE_MESSAGE = "Failed to obtain stable measurement"
REMEDY = "put perf_analyzer on the PATH; NVIDIA's container tritonserver:YY.MM-py3-sdk contains it"

Tensors = Mapping[str, NDArray[Any]]
"""The inputs of one request by name, without the batch dimension."""
Mode = Literal["concurrency", "rate"]
"""Whether the level of a load is the number of requests in flight or the number of requests per second."""
LEVEL_OPTIONS = {"concurrency": "--concurrency-range", "rate": "--request-rate-range"}


@dataclass(frozen=True)
class Program:
    """The executable, and the LD_LIBRARY_PATH that it needs."""

    binary: Path
    libraries: str = ""


@dataclass(frozen=True)
class Load:
    """The target and the size of the requests."""

    url: str  # gRPC host:port of a Triton on this machine
    model: str
    version: int  # 0 lets Triton choose the version
    batch: int  # images per request
    requests: int = 48  # per measurement window


@dataclass(frozen=True)
class Measurement:
    """Throughput and latencies. Queue and compute times are means per request, measured by the server."""

    per_s: float  # images per second
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    queue_ms: float
    compute_ms: float


def find(folder: Path) -> Program:
    """Return the ``perf_analyzer`` on the PATH, or fetch it into ``folder``. Raises ToolFailed if that fails."""
    if installed := shutil.which("perf_analyzer"):
        return Program(Path(installed))
    binary = folder / BINARY_IN_WHEEL
    try:
        if not binary.exists():
            _fetch(folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolFailed(f"perf_analyzer cannot be fetched ({type(error).__name__}); {REMEDY}") from error
    library_folders = {path.parent.resolve() for name in LIBRARY_FILES for path in folder.rglob(name)}
    return Program(binary.resolve(), os.pathsep.join(map(str, sorted(library_folders))))


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    requirements = folder / "wheels.txt"
    requirements.write_text(WHEELS, encoding="ascii")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), "-r", str(requirements)]
    subprocess.run(pip, check=True, timeout=600, capture_output=True)
    apt_get, dpkg_deb = shutil.which("apt-get") or "", shutil.which("dpkg-deb") or ""
    subprocess.run([apt_get, "download", DEBIAN_LIBRARY], cwd=folder, check=True, timeout=300, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run([dpkg_deb, "-x", str(package), str(folder)], check=True, timeout=60)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    (folder / BINARY_IN_WHEEL).chmod(0o755)


def write_inputs(requests: Sequence[Tensors], file: Path) -> None:
    """Write the input data file. perf_analyzer sends these requests in turn."""

    def to_json(values: NDArray[Any]) -> dict[str, Any]:
        return {"content": {"b64": base64.b64encode(values.tobytes()).decode()}, "shape": list(values.shape)}

    data = [{name: to_json(values) for name, values in tensors.items()} for tensors in requests]
    file.write_text(json.dumps({"data": data}), encoding="ascii")


def run(program: Program, load: Load, inputs: Path, mode: Mode, level: float) -> Measurement:
    """Measure the latency and throughput of one model under a steady load, with the requests in the file ``inputs``.

    Inputs and outputs are passed in system shared memory, so Triton must run on this machine. If the measurements are
    unstable, as on a busy machine, longer measurement windows are tried. Raises ToolFailed if none succeeds.
    """
    command = [str(program.binary), "-m", load.model, "-i", "grpc", "-u", load.url, "-b", str(load.batch)]
    command += ["--input-data", str(inputs), LEVEL_OPTIONS[mode], f"{level:g}"]
    command += ["--shared-memory", "system", "--output-shared-memory-size", str(OUTPUT_BYTES)]
    command += ["--measurement-mode", "count_windows", "--max-trials", "6", "--stability-percentage", "30"]
    command += ["-x", str(load.version)] if load.version else []
    table = inputs.with_suffix(".csv")
    table.unlink(missing_ok=True)
    for factor in WINDOW_FACTORS:
        window = ["--measurement-request-count", str(factor * load.requests)]
        output = _run(program, [*command, *window, "-f", str(table)])
        if table.exists():
            return _read_table(table)
        if UNSTABLE_MESSAGE not in output:
            break
    raise ToolFailed(f"perf_analyzer ended without a measurement: {output[-500:]}", tool="perf_analyzer")


def _run(program: Program, command: list[str]) -> str:
    environment = {"PATH": os.environ.get("PATH", ""), "LD_LIBRARY_PATH": program.libraries}
    try:
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(f"perf_analyzer did not run to its end: {error}", tool="perf_analyzer") from error
    return (result.stdout + result.stderr).strip()


def _read_table(table: Path) -> Measurement:
    """Read the CSV file of perf_analyzer, which has one row. Its times are in microseconds."""
    (row,) = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    values = {name: float(value) for name, value in row.items() if value}
    compute = ("Server Compute Input", "Server Compute Infer", "Server Compute Output")
    return Measurement(
        per_s=values["Inferences/Second"],
        **{f"p{rank}_ms": values[f"p{rank} latency"] / 1000 for rank in (50, 90, 95, 99)},
        queue_ms=values.get("Server Queue", 0.0) / 1000,
        compute_ms=sum(values.get(name, 0.0) for name in compute) / 1000,
    )
