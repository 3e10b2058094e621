"""Starts the template process, and runs tasks in processes that it forks."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any

import structlog

from orchestrator.decoding.result import (
    CRASH,
    FAILED,
    INVALID,
    LATE,
    OK,
    OUT_OF_MEMORY,
    BrokenResult,
    TaskResult,
    create_file,
    read_result,
)
from orchestrator.domain.limits import DecodeLimits, Sandbox
from orchestrator.errors import InvalidInput, ResourceExhausted
from orchestrator.tools.barriers.launch import PACKAGES
from orchestrator.tools.sandbox import python_folders

log = structlog.get_logger()

INHERITED_VARIABLES = ("LANG", "LD_LIBRARY_PATH")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
"""The template must not have threads, because a fork would lose them."""
REAL_TIME_FACTOR = 10
"""Maximum real time of a task, in units of its CPU time. On a busy machine, a task gets a small share of a core."""
POLL_S = 0.25
"""Interval at which ``run`` looks whether its result is still needed."""
ATTEMPTS = 3
"""How often a task is tried when the template ends meanwhile."""
GRACE_S = 5.0
"""Time after which a template that does not end its tasks is killed."""


class TemplateEnded(Exception):
    """The template ended before the task did."""


class Template:
    """The process from which the processes of tasks are forked.

    It starts with the first task, and again if it has ended. It has no secrets in its environment.
    """

    module = "orchestrator.decoding"  # that the process runs

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._is_closed = False

    @property
    def pid(self) -> int:
        """Process id of the running template, or 0."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def run(
        self,
        task: str,
        source: int,
        field: str,
        arguments: dict[str, Any],
        folder: str = "",
        canceled: threading.Event | None = None,
    ) -> TaskResult:
        """Run a task of ``decoding.tasks`` on a file.

        Args:
            source: descriptor of the file.
            field: of the API that contains the file, for messages.
            folder: the only folder into which the task may write.
            canceled: is set when the result is not needed any more.

        Raises:
            InvalidInput: the task refuses the file, crashes on it, or exceeds its memory or CPU time.
            ResourceExhausted: the task was killed because the machine is overloaded, it was canceled, or the service
                stops.
        """
        for _ in range(ATTEMPTS):
            try:
                return self._run_once(task, source, field, arguments, folder, canceled or threading.Event())
            except TemplateEnded:
                log.warning("decode_template_ended", task=task)
        raise ResourceExhausted("the processes that decode files ended unexpectedly; try again later")

    def close(self) -> None:
        """End the template and its tasks, and refuse further ones."""
        with self._lock:
            self._is_closed = True
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(GRACE_S)
                _end(self._process)
            self._control = self._process = None

    def _run_once(
        self, task: str, source: int, field: str, arguments: dict[str, Any], folder: str, canceled: threading.Event
    ) -> TaskResult:
        limits = self._limits
        time_s = float(limits.cpu_s * REAL_TIME_FACTOR)
        request = {"task": task, "arguments": arguments, "folder": folder, "time_s": time_s}
        request |= {"memory_bytes": limits.memory_bytes, "cpu_s": limits.cpu_s}
        request |= {"is_confined": limits.sandbox is not Sandbox.OFF, "readable": python_folders()}
        with ExitStack() as stack:
            result = create_file()
            stack.callback(os.close, result)
            report, report_end = os.pipe()
            stack.callback(os.close, report)
            try:
                process = self._send(json.dumps(request).encode(), [source, result, report_end])
            finally:
                os.close(report_end)
            status = self._wait(process, report, time_s + GRACE_S, canceled)
            return self._read(task, status, result, field)

    def _send(self, message: bytes, descriptors: list[int]) -> subprocess.Popen[bytes]:
        """Send a request to the template, which is started if it does not run, and return its process."""
        with self._lock:
            if self._is_closed:
                raise ResourceExhausted("the file was not decoded, because the service stops; try again later")
            if self._control is None or self._process is None or self._process.poll() is not None:
                self._start()
            assert self._control is not None  # noqa: S101 - _start has set it
            assert self._process is not None  # noqa: S101 - like this
            process = self._process
            try:
                socket.send_fds(self._control, [message], descriptors)
            except OSError:
                _end(process)
                raise TemplateEnded from None
            return process

    def _start(self) -> None:
        if self._control is not None:
            self._control.close()
        self._control, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inherited = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        with end:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self.module],
                cwd="/",
                env={**inherited, **ONE_THREAD, "PYTHONPATH": PACKAGES},
                stdin=end.fileno(),
                stdout=subprocess.DEVNULL,
                process_group=0,  # not a new session: Linux gives each session the same share of the cores
            )
        log.info("decode_template_started", pid=self._process.pid)

    def _wait(
        self, process: subprocess.Popen[bytes], report: int, timeout_s: float, canceled: threading.Event
    ) -> bytes:
        """Return the message of the template about the end of a task. Raises TemplateEnded."""
        poll, deadline = select.poll(), time.monotonic() + timeout_s
        poll.register(report, select.POLLIN)
        while not poll.poll(POLL_S * 1000):
            if canceled.is_set():
                raise ResourceExhausted("the file is not needed any more")
            if time.monotonic() > deadline:
                process.kill()
                deadline += GRACE_S
        status = os.read(report, 64)
        if not status:
            _end(process)
            raise TemplateEnded
        return status

    def _read(self, task: str, status: bytes, result: int, field: str) -> TaskResult:
        """Return the result of a task that has ended, or raise the error that it means."""
        if status == LATE:
            raise ResourceExhausted(f"{field}: the file was not decoded in time, because the service is overloaded")
        code = os.waitstatus_to_exitcode(int(status))
        try:
            written = read_result(result) if code in (OK, FAILED) else TaskResult({})
        except BrokenResult as error:
            log.warning("decode_result_broken", task=task, problem=str(error))
            code, written = FAILED, TaskResult({})
        if INVALID in written.facts:
            raise InvalidInput(field, str(written.facts[INVALID]))
        if code == OK:
            return written
        if code == -signal.SIGKILL:  # the kernel, for lack of memory
            raise ResourceExhausted(f"{field}: the file was not decoded, because the service lacks memory")
        log.warning("decode_failed", task=task, code=code, trace=written.facts.get(CRASH, ""))
        raise InvalidInput(field, _problem(code, self._limits))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a template and wait for its end. One that has closed its descriptors may still seem to run."""
    process.kill()
    process.wait()


def _problem(code: int, limits: DecodeLimits) -> str:
    if code == -signal.SIGXCPU:
        return f"the file takes more than {limits.cpu_s} s of CPU time to decode, which is the maximum"
    if code == OUT_OF_MEMORY:
        return f"the file needs more than {limits.memory_bytes >> 20} MB of memory to decode, which is the maximum"
    return "the file cannot be decoded: it makes the decoder fail"
