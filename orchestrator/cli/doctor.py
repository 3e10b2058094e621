"""``heartwood doctor``."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import typer
from rich.text import Text

from orchestrator.cli.arguments import read_settings
from orchestrator.cli.main import EXIT_FAILED
from orchestrator.cli.session import local_token, running_address
from orchestrator.cli.terminal import console, plain_table
from orchestrator.client.client import Heartwood
from orchestrator.domain.reconstruct import TrellisSettings
from orchestrator.errors import HeartwoodError
from orchestrator.inference.launch import LIBPYTHON, SHARED_MEMORY, find_triton
from orchestrator.settings import Settings
from orchestrator.tools.node_packages import INSTALL_COMMAND, node_packages
from orchestrator.tools.sandbox import exposing_folder, supported_barriers

MIN_FREE_GB = 2
MIN_SHARED_MEMORY_MB = 512
"""Triton's Python backends took 400 MB for two photos at a time. Tensors that find no space pass through gRPC."""
SERVICE_TIMEOUT_S = 10.0
INSTALL_LOCAL = "pip install 'heartwood[local]'"
INSTALL_TOOLS = "pip install 'heartwood[tools]'"
TRITON_MODULES = {"onnxruntime": "onnxruntime", "DALI": "nvidia.dali"}
OPTIONAL_MODULES = {
    "COLMAP": ("pycolmap", INSTALL_TOOLS),
    "ffmpeg": ("imageio_ffmpeg", INSTALL_TOOLS),
    "USD": ("pxr", INSTALL_TOOLS),
    "torch": ("torch", "pip install 'heartwood[nerf]' (for --mode nerf)"),
}
BLENDER_LIBRARIES = "libgl1 libice6 libsm6 libx11-6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxrender1 libxt6"
"""The Debian packages with the libraries that the bpy wheel links against."""


class Check(NamedTuple):
    """The result of one check."""

    name: str
    ok: bool
    finding: str = ""  # such as a version, a path, or what failed; empty: "installed" or "missing"
    remedy: str = ""
    required: bool = True  # whether a failure makes the exit code 1


def doctor() -> None:
    """Check what is installed and what is missing.

    Prints how to install what is missing. The exit code is 1 if something required is missing.
    """
    results = list(checks(read_settings()))
    rows = plain_table("", "component", "found", "remedy")
    for check in results:
        mark = "[green]✓" if check.ok else ("[red]✗" if check.required else "[yellow]–")
        finding = check.finding or ("installed" if check.ok else "missing")
        rows.add_row(mark, check.name, Text(finding), Text("" if check.ok else check.remedy))
    console.print(rows)
    if any(check.required and not check.ok for check in results):
        raise typer.Exit(EXIT_FAILED)


def checks(settings: Settings) -> Iterator[Check]:
    """Run all checks."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("Python", sys.version_info[:2] == (3, 11), version, "install Python 3.11")
    yield from _triton(settings)
    yield _blender()
    for name, (module, remedy) in OPTIONAL_MODULES.items():
        yield Check(name, _importable(module), remedy=remedy, required=False)
    try:
        node_packages()
        yield Check("glTF tools", True)
    except HeartwoodError as error:
        yield Check("glTF tools", False, error.message, INSTALL_COMMAND, required=False)
    if settings.trellis_url:
        yield _trellis(settings)
    meshroom = settings.meshroom or shutil.which("meshroom_batch")
    yield Check("Meshroom", bool(meshroom), meshroom or "none", "optional, an alternative to COLMAP", required=False)
    address = running_address(settings)
    yield _models(settings, address)
    yield _data_folder(settings.root)
    yield from _sandbox(settings)
    yield Check("service", bool(address), address or "not running", "heartwood up", required=False)
    has_key = bool(settings.openai_api_key.get_secret_value())
    endpoint = f"{settings.openai_model} at {settings.openai_base_url}" if has_key else "no API key"
    yield Check("openai detector", has_key, endpoint, "set HEARTWOOD_OPENAI_API_KEY", required=False)
    has_gpu = shutil.which("nvidia-smi") is not None
    yield Check("NVIDIA GPU", has_gpu, "found" if has_gpu else "none", "optional, the CPU is enough", required=False)


def _triton(settings: Settings) -> Iterator[Check]:
    if settings.triton_url:
        yield Check("Triton", True, f"external, {settings.triton_url}")
        return
    try:
        yield Check("Triton", True, str(find_triton()))
    except HeartwoodError as error:
        yield Check("Triton", False, error.message, INSTALL_LOCAL)
    for name, module in TRITON_MODULES.items():
        yield Check(name, _importable(module), remedy=INSTALL_LOCAL)
    # Triton's Python backend needs libpython, which Debian's package python3.11 does not contain.
    name = LIBPYTHON.removeprefix("lib").partition(".so")[0]
    found = (Path(sys.base_prefix) / "lib" / LIBPYTHON).exists() or ctypes.util.find_library(name) is not None
    yield Check("libpython", found, remedy=f"apt-get install lib{name}")
    free_mb = shutil.disk_usage(SHARED_MEMORY).free >> 20 if SHARED_MEMORY.exists() else 0
    remedy = f"provide at least {MIN_SHARED_MEMORY_MB} MB in {SHARED_MEMORY} (docker run --shm-size=2g)"
    finding = f"{free_mb} MB free in {SHARED_MEMORY}" if SHARED_MEMORY.exists() else f"no {SHARED_MEMORY}"
    yield Check("shared memory", free_mb >= MIN_SHARED_MEMORY_MB, finding, remedy)


def _models(settings: Settings, address: str) -> Check:
    """Check the models of the running service, or of the model repository if none runs."""
    if not address:
        folders = (settings.model_repository, settings.pulled_repository)
        names = sorted(path.parent.name for folder in folders for path in folder.glob("*/config.pbtxt"))
        finding = ", ".join(names) or f"none in {settings.model_repository}"
        return Check("models", bool(names), finding, "set HEARTWOOD_MODEL_REPOSITORY to a model repository")
    try:
        with Heartwood(address, local_token(settings), timeout_s=SERVICE_TIMEOUT_S) as client:
            versions = [f"{model.name} {model.serving_version}" for model in client.models.list()]
    except HeartwoodError as error:
        finding = f"the service at {address} failed: {error.message}"
        return Check("models", False, finding, "read the log of the service", required=False)
    return Check("models", True, f"serving {', '.join(versions)}")


def _blender() -> Check:
    if not _importable("bpy"):
        return Check("Blender", False, remedy=INSTALL_TOOLS, required=False)
    imported = subprocess.run([sys.executable, "-P", "-c", "import bpy"], capture_output=True, text=True, check=False)
    if imported.returncode == 0:
        return Check("Blender", True)
    last_line = (imported.stderr.strip().splitlines() or [f"exit code {imported.returncode}"])[-1]
    return Check("Blender", False, last_line, f"apt-get install {BLENDER_LIBRARIES}", required=False)


def _trellis(settings: Settings) -> Check:
    from orchestrator.tools import trellis  # imports OpenCV, which the other checks do not need

    ready = trellis.is_ready(TrellisSettings(settings.trellis_url, settings.trellis_api_key.get_secret_value()))
    finding = f"{'ready at' if ready else 'no reply from'} {settings.trellis_url}"
    return Check("TRELLIS", ready, finding, "start the server, or unset HEARTWOOD_TRELLIS_URL")


def _data_folder(root: Path) -> Check:
    existing = next(path for path in (root, *root.parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free >> 30
    writable = os.access(existing, os.W_OK)
    finding = f"{root}, {free_gb} GB free" + ("" if writable else ", not writable")
    remedy = f"set HEARTWOOD_DATA_DIR to a writable folder with {MIN_FREE_GB} GB free"
    return Check("data folder", writable and free_gb >= MIN_FREE_GB, finding, remedy)


def _sandbox(settings: Settings) -> Iterator[Check]:
    """Check the barriers around external programs."""
    required = settings.sandbox == "require"
    if settings.sandbox == "off":
        yield Check("sandbox", False, "off", "set HEARTWOOD_SANDBOX=prefer", required=False)
        return
    barriers = supported_barriers()
    remedy = "; ".join(f"needs {missing}" for missing in barriers.missing)
    for protected, active in barriers.described.items():
        name = f"sandbox: {protected}"
        yield Check(name, bool(active), active or "no barrier", remedy, required=required)
    exposing = exposing_folder(settings.root)
    if exposing:
        finding = f"external programs can read the data folder, which is inside {exposing}"
        yield Check("sandbox: data folder", False, finding, "set HEARTWOOD_DATA_DIR", required=required)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
