"""Starts, supervises and stops the ``tritonserver`` of the nvidia-pytriton wheel. Needs no container and no root."""

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
import urllib.request
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import structlog

from orchestrator.errors import ToolFailed
from orchestrator.inference.profiles import apply_profile
from orchestrator.inference.triton_control import ControlHeader
from orchestrator.tools.parent_death import RUN_IF_PARENT_LIVES, die_with_parent
from orchestrator.tools.usage import process_usage

log = structlog.get_logger()

REMEDY = "install it with: pip install 'heartwood[local]'"
START_TIMEOUT_S = 120.0
POLL_S = 0.05
RESERVED_BYTES = 4 << 30
"""Private memory that a process may reserve without using it. A stub with onnxruntime reserves more than 1 GB."""
MEMORY_POLL_S = 0.2
"""Interval at which the memory of a server with a limit is measured, which takes about 4 ms. Not tuned."""
BACKEND_CHECK_S = 1.0
"""Interval at which a ready server is checked for dead backends. Not tuned."""
FIRST_BACKOFF_S = 0.5
"""Delay before the first restart. Each further restart doubles it."""
MAX_BACKOFF_S = 30.0
STABLE_AFTER_S = 60.0
"""After a server has run this long, the backoff starts again at ``FIRST_BACKOFF_S``."""
MAX_LOG_BYTES = 10 << 20
"""A larger log is rotated when the server starts."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the standard location of POSIX shared memory
LIBPYTHON = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
"""The library that Triton's Python stubs link to."""
NAME_PREFIX = "heartwood"
"""The folders and shared memory of a server are named PREFIX-PID-ID. PID is the Heartwood process that started it."""
INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")


def find_triton() -> Path:
    """Return the ``tritonserver`` folder of the wheel, or raise ToolFailed if the wheel is not installed."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise ToolFailed(f"Triton is not installed; {REMEDY}")
    folder = Path(spec.origin).parent / "tritonserver"
    if not (folder / "bin" / "tritonserver").exists():
        raise ToolFailed(f"the installed nvidia-pytriton wheel contains no tritonserver; {REMEDY}")
    return folder


class TritonServer:
    """A supervised Triton on free loopback ports. It keeps its ports when it is restarted.

    Args:
        repository: the model repository.
        backends: folder of the Python-based backends, one subfolder each.
        folder: for the log, the assembled backends and the adapted copy of the repository.
        profile: a folder of ``triton_config/profiles``, which is applied to a copy of the repository.
        models: the models to load; empty means all.
        optional_repository: a second model repository, which may not exist. Its models are not loaded at the start, so
            that a broken one cannot prevent the start. Load them with Triton's load API.
        memory_bytes: limit of the resident memory of the server and its backends together. Each process may reserve
            RESERVED_BYTES more. A server with a limit is for one use: when it passes the limit, or it or a backend
            dies, it is not restarted, and ``failure`` is set.
        is_private: registering shared memory requires the secret header, too.

    Attributes:
        control: the secret header of the control API. Each server has its own.
        failure: why the server ended although nobody stopped it, or None.
    """

    def __init__(
        self,
        repository: Path,
        backends: Path,
        folder: Path,
        *,
        profile: Path | None = None,
        models: Sequence[str] = (),
        optional_repository: Path | None = None,
        memory_bytes: int = 0,
        is_private: bool = False,
    ) -> None:
        self._is_private = is_private
        self._repository, self._backends, self._folder = (path.resolve() for path in (repository, backends, folder))
        self._profile = profile
        self._optional_repository = optional_repository
        self._models = tuple(models)
        self._memory_bytes = memory_bytes
        self._instance_name = f"{NAME_PREFIX}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._backends_folder = self._folder / f"backends-{self._instance_name}"
        self._repository_folder = self._folder / f"models-{self._instance_name}"  # the copies that a profile requires
        self._process: subprocess.Popen[bytes] | None = None
        self._supervisor: threading.Thread | None = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self.failure: ToolFailed | None = None
        self.control = ControlHeader.random()
        self._log_file = self._folder / "triton.log"
        self._ports = dict(zip(("grpc", "http", "metrics"), _free_ports(3), strict=True))
        self.restarts = 0
        self.url = f"127.0.0.1:{self._ports['grpc']}"  # gRPC host:port
        self.http_url = f"127.0.0.1:{self._ports['http']}"  # HTTP host:port
        self.metrics_url = f"http://127.0.0.1:{self._ports['metrics']}/metrics"  # Prometheus metrics

    @property
    def pid(self) -> int:
        """Process id of the running server, or 0."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def __enter__(self) -> TritonServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> TritonServer:
        """Start the server and wait until it is ready. Raises ToolFailed with the end of the log if that fails."""
        command = self._command()
        # The kernel kills the server when the thread that started it ends, so this thread runs as long as the server.
        self._supervisor = threading.Thread(target=self._supervise, args=(command,), name="triton", daemon=True)
        self._supervisor.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.failure is None:
            if self._ready.wait(POLL_S):
                return self
        timeout = f"Triton was not ready within {START_TIMEOUT_S:.0f} s"
        failure = self.failure or ToolFailed(f"{timeout}: {self._log_tail()}")
        self.stop()
        raise failure

    def stop(self) -> None:
        """Stop the server and its backends and remove its files. Has no effect if it is stopped already."""
        self._stopping.set()
        if self._process is not None:
            _kill(self._process)
        if self._supervisor is not None:
            self._supervisor.join()
        self._remove_shared_memory()
        for folder in (self._backends_folder, self._repository_folder):
            shutil.rmtree(folder, ignore_errors=True)

    def _supervise(self, command: list[str]) -> None:
        """Run the server, and restart it with exponential backoff whenever it dies."""
        backoff = FIRST_BACKOFF_S
        while not self._stopping.is_set():
            started = time.monotonic()
            code = self._run_once(command)
            if self._stopping.is_set():
                return
            if not self._ready.is_set():  # a server that never became ready would fail again
                self.failure = ToolFailed(f"Triton ended with code {code}: {self._log_tail()}", code=code)
                return
            if self._memory_bytes:
                self.failure = self.failure or ToolFailed(f"Triton ended with code {code}", code=code)
                return
            backoff = FIRST_BACKOFF_S if time.monotonic() - started > STABLE_AFTER_S else backoff
            log.warning("triton_died", code=code, restart_in_s=backoff)
            self._remove_shared_memory()
            if self._stopping.wait(backoff):
                return
            backoff = min(backoff * 2, MAX_BACKOFF_S)
            self.restarts += 1

    def _run_once(self, command: list[str]) -> int:
        """Run the server until it ends or a backend of it dies, and return its exit code.

        Triton 2.51 never restarts a dead stub process of the Python backend. It reports the model as ready, but
        answers every request with "Stub process … is not healthy".
        """
        if self._log_file.exists() and self._log_file.stat().st_size > MAX_LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".old.log"))
        with self._log_file.open("ab") as output:
            self._process = process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=_environment(),
                stdin=subprocess.PIPE,  # for RUN_IF_PARENT_LIVES
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if self._stopping.is_set():
            _kill(process)
        while not self._is_ready() and not _wait(process, POLL_S):
            pass
        self._hide_secret(process)
        if process.poll() is None:
            self._ready.set()
            self._watch(process)
        _kill(process)  # with its stub processes
        return process.wait()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server ends, a backend of it has died, or it passes its memory limit."""
        dead: set[int] = set()
        next_check = time.monotonic() + BACKEND_CHECK_S
        while not _wait(process, MEMORY_POLL_S if self._memory_bytes else BACKEND_CHECK_S):
            if self._memory_bytes and process_usage(process.pid).memory_bytes > self._memory_bytes:
                self.failure = ToolFailed(f"it used more than {self._memory_bytes >> 20} MB of memory")
                return
            if time.monotonic() < next_check:
                continue
            next_check = time.monotonic() + BACKEND_CHECK_S
            dead, dead_before = _dead_children(process.pid), dead
            if dead & dead_before:  # Triton reaps the stubs of a model that it unloads at once
                log.warning("triton_backend_died", processes=len(dead))
                if self._memory_bytes:
                    self.failure = ToolFailed("its backend process died")
                return

    def _hide_secret(self, process: subprocess.Popen[bytes]) -> None:
        try:
            self.control.hide(process.pid)
        except OSError as error:
            if process.poll() is None:
                log.warning("triton_secret_visible", reason=error.strerror)

    def _is_ready(self) -> bool:
        url = f"http://{self.http_url}/v2/health/ready"
        with suppress(OSError), urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
        return False

    def _command(self) -> list[str]:
        """Prepare the folders of the server and return its command line."""
        triton = find_triton()
        self._folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(self._folder)
        self._assemble_backends(triton)
        repositories = [self._repository]
        if self._optional_repository is not None and self._optional_repository.is_dir():
            repositories.append(self._optional_repository)
        models = self._models or sorted(file.parent.name for file in self._repository.glob("*/config.pbtxt"))
        if self._profile is not None:
            targets = [self._repository_folder / str(number) for number in range(len(repositories))]
            for repository, target in zip(repositories, targets, strict=True):
                apply_profile(repository, self._profile, target, link=True)
            repositories = targets
        command = [
            str(triton / "bin" / "tritonserver"),
            *(f"--model-repository={repository}" for repository in repositories),
            f"--backend-directory={self._backends_folder}",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in models),
            *(f"--{protocol}-address=127.0.0.1" for protocol in self._ports),
            *(f"--{protocol}-port={port}" for protocol, port in self._ports.items()),
            f"--backend-config=python,shm-region-prefix-name={self._instance_name}",
            *self.control.options(is_private=self._is_private),
        ]
        return [*die_with_parent(), *self._process_limits(), *RUN_IF_PARENT_LIVES, *command]

    def _process_limits(self) -> list[str]:
        """Return the command prefix that limits each process: no core dumps and, with a limit, its private memory."""
        prlimit = shutil.which("prlimit")
        data = [f"--data={self._memory_bytes + RESERVED_BYTES}"] if self._memory_bytes else []
        return [prlimit, "--core=0", *data, "--"] if prlimit else []

    def _assemble_backends(self, triton: Path) -> None:
        """Fill the backend folder with the wheel's ``python`` backend, its stub for this Python, and our backends."""
        python = self._backends_folder / "python"
        shutil.copytree(triton / "backends" / "python", python)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = triton / "python_backend_stubs" / version / "triton_python_backend_stub"
        if not stub.exists():
            raise ToolFailed(f"the nvidia-pytriton wheel has no stub for Python {version}; use Python 3.11")
        shutil.copy2(stub, python)
        for file in sorted(self._backends.glob("*/model.py")):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(file.parent, self._backends_folder / file.parent.name, ignore=ignore)

    def _log_tail(self) -> str:
        """Return the last three lines of the log that report an error, or its last three lines."""
        try:
            lines = self._log_file.read_text(errors="replace").splitlines()
        except OSError:
            return "there is no log"
        relevant = [line for line in lines if line.startswith("E") or "rror" in line][-3:] or lines[-3:]
        return " | ".join(line.strip() for line in relevant)[-800:] or "the log is empty"

    def _remove_shared_memory(self) -> None:
        for region in SHARED_MEMORY.glob(f"{self._instance_name}*"):
            region.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Return the server's environment: the wheel's libraries, this interpreter's packages, and no secrets."""
    inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    libraries = [str(find_triton().parent.parent / "nvidia_pytriton.libs")]
    interpreter_libraries = Path(sys.base_prefix) / "lib"
    if (interpreter_libraries / LIBPYTHON).exists():  # a Python outside the system's folders, such as one from uv
        libraries.append(str(interpreter_libraries))
    if inherited_path := os.environ.get("LD_LIBRARY_PATH"):
        libraries.append(inherited_path)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    paths = {"PYTHONPATH": os.pathsep.join(packages), "LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    return {**inherited, **paths, "PYTHONHOME": sys.base_prefix}


def _remove_leftovers(folder: Path) -> None:
    """Remove folders and shared memory of servers whose Heartwood process no longer exists."""
    for parent, pattern in ((folder, f"*-{NAME_PREFIX}-*"), (SHARED_MEMORY, f"{NAME_PREFIX}-*")):
        for path in parent.glob(pattern):
            owner = re.search(rf"{NAME_PREFIX}-(\d+)-", path.name)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for the end of a process. Return whether it ended in time."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)
    return process.poll() is not None


def _dead_children(pid: int) -> set[int]:
    """Return the ids of the children of a process that have ended, and that it has not reaped."""
    dead = set()
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess):
                if child.status() == psutil.STATUS_ZOMBIE:
                    dead.add(child.pid)
    return dead


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the server and the stub processes of the Python backend, which are in its process group.

    A graceful exit takes 4 s and saves nothing, because the server has no state and its clients have finished.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _free_ports(count: int) -> list[int]:
    """Return different free loopback ports. They differ because all sockets are open at the same time."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(item.getsockname()[1]) for item in sockets]
