"""Start, supervise and stop the ``tritonserver`` that the nvidia-pytriton wheel carries. No container, no root."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import structlog

from orchestrator.errors import ToolFailed
from orchestrator.inference.profiles import derive

log = structlog.get_logger()

REMEDY = "install it with: pip install 'heartwood[local]'"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 15.0
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.5, 30.0
STEADY_S = 60.0
"""A server that ran this long starts again with the first backoff."""
MAX_LOG_BYTES = 10 << 20
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lives

PREFIX = "heartwood"
"""Folders and shared memory of a server are named PREFIX-PID-…, so that what a crash left can be told."""


def find_triton() -> Path:
    """The wheel's ``tritonserver`` folder (bin/, backends/, python_backend_stubs/).

    Raises:
        ToolFailed: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise ToolFailed(f"Triton is not installed; {REMEDY}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "tritonserver"
    if not (folder / "bin" / "tritonserver").exists():
        raise ToolFailed(f"the nvidia-pytriton wheel holds no tritonserver; {REMEDY}")
    return folder


class TritonServer:
    """One supervised server on free loopback ports, which it keeps over restarts.

    Args:
        repository: the model repository.
        backends: the Python-based backends, one folder each.
        workdir: its log and its assembled backend folder are kept here.
        profile: a folder of ``triton_config/profiles``; its copy of the repository is what is served.
        models: what to load; everything in the repository by default.
    """

    def __init__(
        self,
        repository: Path,
        backends: Path,
        workdir: Path,
        *,
        profile: Path | None = None,
        models: Sequence[str] = ("*",),
    ) -> None:
        self._repository = repository.resolve()
        self._backends = backends.resolve()
        self._workdir = workdir.resolve()
        self._profile = profile
        self._models = tuple(models)
        self._region = f"{PREFIX}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._failure: ToolFailed | None = None
        self.restarts = 0
        self.grpc_port, self.http_port, self.metrics_port = _free_ports(3)
        self.log_file = self._workdir / "triton.log"

    @property
    def url(self) -> str:
        """gRPC host:port."""
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def http_url(self) -> str:
        """HTTP host:port."""
        return f"127.0.0.1:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        """Prometheus metrics."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def pid(self) -> int:
        """The process id of the server that runs now; 0 where none does."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def __enter__(self) -> TritonServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, timeout_s: float = START_TIMEOUT_S) -> TritonServer:
        """Start the server and wait until every model is ready.

        Raises:
            ToolFailed: it is not installed, a model does not load, or it took too long; the message ends with
                the last lines of its log.
        """
        command = self._command()
        # The thread lives as long as the server: the kernel kills the server when the thread that started it ends.
        self._supervisor = threading.Thread(target=self._supervise, args=(command,), name="triton", daemon=True)
        self._supervisor.start()
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and self._failure is None:
            if self._ready.wait(0.05):
                return self
        failure = self._failure or ToolFailed(f"Triton was not ready after {timeout_s:.0f} s: {self._last_words()}")
        self.stop()
        raise failure

    def stop(self) -> None:
        """End the server and its backends, and remove its shared memory; harmless when it has ended."""
        self._stopping.set()
        process = self._process
        if process is not None:
            _end(process)
        supervisor = getattr(self, "_supervisor", None)
        if supervisor is not None:
            supervisor.join(STOP_TIMEOUT_S)
        self._clear_shared_memory()

    def _supervise(self, command: list[str]) -> None:
        backoff = FIRST_BACKOFF_S
        while not self._stopping.is_set():
            started = time.monotonic()
            code = self._run_once(command)
            if self._stopping.is_set():
                return
            if not self._ready.is_set():  # it never came up: trying again would not help
                self._failure = ToolFailed(f"Triton ended with code {code}: {self._last_words()}", code=code)
                return
            backoff = FIRST_BACKOFF_S if time.monotonic() - started > STEADY_S else backoff
            log.warning("triton_died", code=code, restart_in_s=backoff)
            self._clear_shared_memory()
            if self._stopping.wait(backoff):
                return
            backoff = min(backoff * 2, MAX_BACKOFF_S)
            self.restarts += 1

    def _run_once(self, command: list[str]) -> int:
        if self.log_file.exists() and self.log_file.stat().st_size > MAX_LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".old.log"))
        with self.log_file.open("ab") as output:
            self._process = process = subprocess.Popen(
                command,
                cwd=self._workdir,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if self._stopping.is_set():
            _end(process)
        while process.poll() is None and not self._ready.is_set():
            if self._answers():
                self._ready.set()
            time.sleep(0.05)
        code = process.wait()
        _end(process)  # its stubs
        return code

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.http_url}/v2/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _command(self) -> list[str]:
        triton = find_triton()
        self._workdir.mkdir(parents=True, exist_ok=True)
        _clear_after_crashes(self._workdir)
        folder = self._assemble_backends(triton)
        command = [
            str(triton / "bin" / "tritonserver"),
            f"--model-repository={self._fitted_repository()}",
            f"--backend-directory={folder}",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in self._models),
            f"--grpc-port={self.grpc_port}",
            f"--http-port={self.http_port}",
            f"--metrics-port={self.metrics_port}",
            "--grpc-address=127.0.0.1",
            "--http-address=127.0.0.1",
            "--metrics-address=127.0.0.1",
            f"--backend-config=python,shm-region-prefix-name={self._region}",
        ]
        setpriv = shutil.which("setpriv")
        return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command

    def _assemble_backends(self, triton: Path) -> Path:
        """A backend folder: the wheel's ``python`` with this interpreter's stub, and ours beside it."""
        folder = self._workdir / f"backends-{self._region}"
        python = folder / "python"
        shutil.copytree(triton / "backends" / "python", python)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
        if not stub.exists():
            raise ToolFailed(f"the nvidia-pytriton wheel has no stub for Python {version}; use Python 3.11")
        shutil.copy2(stub, python)
        for backend in sorted(self._backends.iterdir()):
            if (backend / "model.py").exists():
                shutil.copytree(backend, folder / backend.name, ignore=shutil.ignore_patterns("__pycache__"))
        return folder

    def _fitted_repository(self) -> Path:
        if self._profile is None:
            return self._repository
        return derive(self._repository, self._profile, self._workdir / f"models-{self._region}")

    def _environment(self) -> dict[str, str]:
        """This interpreter's packages for the stubs, the wheel's libraries for the server, no secrets."""
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        libraries = find_triton().parent.parent / "nvidia_pytriton.libs"
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
        environment["PYTHONHOME"] = sys.base_prefix
        return environment

    def _last_words(self) -> str:
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            return "no log"
        wanted = [line for line in lines if line.startswith("E") or "rror" in line][-3:] or lines[-3:]
        return " | ".join(line.strip() for line in wanted)[-800:] or "an empty log"

    def _clear_shared_memory(self) -> None:
        for region in SHARED_MEMORY.glob(f"{self._region}*"):
            region.unlink(missing_ok=True)
        if self._stopping.is_set():
            for folder in ("backends", "models"):
                shutil.rmtree(self._workdir / f"{folder}-{self._region}", ignore_errors=True)


def _clear_after_crashes(workdir: Path) -> None:
    """Remove the folders and the shared memory of servers whose owner is gone."""
    for parent, pattern in ((workdir, f"*-{PREFIX}-*"), (SHARED_MEMORY, f"{PREFIX}-*")):
        for left in parent.glob(pattern):
            owner = re.search(rf"{PREFIX}-(\d+)-", left.name)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL, to the process group that ``process`` leads."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            log.warning("triton_killed", pid=process.pid)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
