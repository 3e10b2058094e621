"""Looks at what Heartwood needs on this machine, and says how to get what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.client.client import ApiError, Heartwood
from orchestrator.errors import HeartwoodError
from orchestrator.inference.launch import find_triton
from orchestrator.service import local_token, running_address
from orchestrator.settings import Settings
from orchestrator.tools.node_packages import HOW as INSTALL_NODE_PACKAGES
from orchestrator.tools.node_packages import node_packages
from orchestrator.tools.trellis import TrellisSettings
from orchestrator.tools.trellis import ready as trellis_ready

MIN_FREE_GB = 2
MIN_SHM_MB = 256
ASK_TIMEOUT_S = 10.0
LOCAL = "pip install 'heartwood[local]'"
TOOLS = (
    ("COLMAP", "pycolmap", "pip install 'heartwood[tools]'"),
    ("ffmpeg", "imageio_ffmpeg", "pip install 'heartwood[tools]'"),
    ("USD", "pxr", "pip install 'heartwood[tools]'"),
    ("torch", "torch", "for --mode nerf: pip install 'heartwood[nerf]'"),
)
BLENDER_LIBRARIES = "libgl1 libice6 libsm6 libx11-6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxrender1 libxt6"
"""Debian's packages of what Blender's wheel links against."""


@dataclass(frozen=True)
class Check:
    """One thing looked at; ``needed`` ones decide the exit code."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True


def checks(settings: Settings) -> Iterator[Check]:
    """Look at everything."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("Python", sys.version_info[:2] == (3, 11), version, "install Python 3.11")
    if settings.triton_url:
        yield Check("Triton", True, f"external, {settings.triton_url}")
    else:
        yield _triton()
        for name, module in (("onnxruntime", "onnxruntime"), ("DALI", "nvidia.dali")):
            found = _importable(module)
            yield Check(name, found, "installed" if found else "missing", LOCAL)
        yield _shared_memory()
    yield _blender()
    for name, module, remedy in TOOLS:
        found = _importable(module)
        yield Check(name, found, "installed" if found else "missing", remedy, needed=False)
    yield _gltf_tools()
    if settings.trellis_url:
        server = TrellisSettings(settings.trellis_url, settings.trellis_api_key.get_secret_value())
        answers = trellis_ready(server)
        remedy = "start the server at HEARTWOOD_TRELLIS_URL"
        yield Check("TRELLIS", answers, "ready" if answers else "no answer", remedy)
    meshroom = settings.meshroom or shutil.which("meshroom_batch")
    yield Check("Meshroom", bool(meshroom), meshroom or "none", "optional: COLMAP does the same", needed=False)
    address = running_address(settings)
    yield _models(settings, address)
    yield _data_folder(settings)
    yield Check("service", bool(address), address or "not running", "heartwood up", needed=False)
    key = bool(settings.openai_api_key.get_secret_value())
    found_key = f"{settings.openai_model} at {settings.openai_base_url}" if key else "no key"
    yield Check("openai detector", key, found_key, "set HEARTWOOD_OPENAI_API_KEY", needed=False)
    gpu = shutil.which("nvidia-smi") is not None
    yield Check(
        "NVIDIA GPU", gpu, "found" if gpu else "none", "optional: everything also runs on the CPU", needed=False
    )


def _models(settings: Settings, address: str) -> Check:
    """What the running service serves; else what is in the repository."""
    hint = "run in a checkout, or set HEARTWOOD_MODEL_REPOSITORY"
    if address:
        try:
            with Heartwood(address, local_token(settings), timeout_s=ASK_TIMEOUT_S) as client:
                serving = [f"{model.name} {model.serving_version}" for model in client.models.list()]
            return Check("models", True, f"serving {', '.join(serving)}", hint)
        except ApiError as error:
            return Check("models", False, f"the service does not tell: {error.message}", "see its log", needed=False)
    found = sorted(path.parent.name for path in settings.model_repository.glob("*/config.pbtxt"))
    return Check("models", bool(found), ", ".join(found) or f"none in {settings.model_repository}", hint)


def _triton() -> Check:
    try:
        return Check("Triton", True, str(find_triton()))
    except HeartwoodError as error:
        return Check("Triton", False, error.message, LOCAL)


def _blender() -> Check:
    if not _importable("bpy"):
        return Check("Blender", False, "missing", "pip install 'heartwood[tools]'", needed=False)
    tried = subprocess.run([sys.executable, "-P", "-c", "import bpy"], capture_output=True, text=True, check=False)
    found = "installed" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["it crashed"])[-1]
    return Check("Blender", tried.returncode == 0, found, f"apt-get install {BLENDER_LIBRARIES}", needed=False)


def _gltf_tools() -> Check:
    try:
        node_packages()
    except HeartwoodError as error:
        return Check("glTF tools", False, error.message, INSTALL_NODE_PACKAGES, needed=False)
    return Check("glTF tools", True, "installed", needed=False)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _shared_memory() -> Check:
    try:
        stat = os.statvfs("/dev/shm")  # noqa: S108 - where POSIX shared memory lives
    except OSError:
        return Check("shared memory", False, "no /dev/shm", "mount a tmpfs on /dev/shm (docker run --shm-size=1g)")
    free = stat.f_bavail * stat.f_frsize >> 20
    remedy = f"give /dev/shm at least {MIN_SHM_MB} MB (docker run --shm-size=1g)"
    return Check("shared memory", free >= MIN_SHM_MB, f"{free} MB free in /dev/shm", remedy)


def _data_folder(settings: Settings) -> Check:
    root = settings.root
    existing = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(existing).free >> 30
    writable = os.access(existing, os.W_OK)
    found = f"{root}, {free} GB free" + ("" if writable else ", not writable")
    return Check("data folder", writable and free >= MIN_FREE_GB, found, "set HEARTWOOD_DATA_DIR to a folder with room")
