"""Runs one task in a process of its own, which has been forked from the template."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import traceback
from dataclasses import dataclass
from typing import Any, NoReturn

from orchestrator.decoding.result import (
    CRASH,
    FACTS_BYTES,
    FAILED,
    INVALID,
    MAX_IMAGE_BYTES,
    MAX_TEXT,
    OK,
    OUT_OF_MEMORY,
    TaskResult,
    write_result,
)
from orchestrator.decoding.tasks import TASKS
from orchestrator.errors import InvalidInput
from orchestrator.mesh_files.limits import MAX_UNPACKED_BYTES
from orchestrator.tools.barriers.confine import confine

FILE_DESCRIPTORS = 64
"""Maximum number of open files. A task opens its input and, one after the other, the files of an archive."""
MAX_FILE_BYTES = max(FACTS_BYTES + MAX_IMAGE_BYTES, MAX_UNPACKED_BYTES)
MAX_TRACE = 2000  # characters; the end of a longer traceback is kept

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Request:
    """One task, as the service requests it."""

    task: str
    arguments: dict[str, Any]
    folder: str  # the only folder into which the task may write; empty: none
    is_confined: bool  # whether the task runs behind the barriers that the system supports
    readable: list[str]  # what it may read then, besides its file: the folders of Python
    memory_bytes: int
    cpu_s: int
    time_s: float  # real time


def run_task(request: Request, source: int, result: int, template: int, template_bytes: int) -> NoReturn:
    """Run the task on the file ``source``, write the result to ``result`` and end this process.

    Args:
        source, result: descriptors. All others are closed.
        template: process id of the template.
        template_bytes: size of its address space.
    """
    code = FAILED
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == template:  # otherwise it ended before prctl
            os.setpgid(0, 0)  # before Linux 6.12, nothing else prevents signals to the process group
            source, result = _keep_only(source, result)
            _limit(request, template_bytes)
            if request.is_confined:
                writable = [request.folder] if request.folder else []
                confine(read=request.readable, write=writable, new_processes=False)  # no process outlives the task
            code = _run(request, source, result)
    finally:
        os._exit(code)


def _run(request: Request, source: int, result: int) -> int:
    try:
        os.lseek(source, 0, os.SEEK_SET)  # the descriptor shares its position with that of the service
        with os.fdopen(source, "rb") as file:
            data = file.read()
        write_result(result, TASKS[request.task](data, **request.arguments))
    except InvalidInput as error:
        write_result(result, TaskResult({INVALID: error.description[:MAX_TEXT]}))
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException:  # noqa: BLE001 - the service logs it
        write_result(result, TaskResult({CRASH: traceback.format_exc()[-MAX_TRACE:]}))
        return FAILED
    return OK


def _keep_only(source: int, result: int) -> tuple[int, int]:
    """Close all descriptors but two, which get the lowest numbers after those of the standard streams."""
    empty = os.open(os.devnull, os.O_RDWR)
    spare = [os.dup(file) for file in (source, result)]  # so that dup2 does not close what it still needs
    for number, file in enumerate((empty, empty, empty, *spare)):
        os.dup2(file, number)
    os.closerange(5, os.sysconf("SC_OPEN_MAX"))
    return 3, 4


def _limit(request: Request, template_bytes: int) -> None:
    limits = {
        resource.RLIMIT_AS: template_bytes + request.memory_bytes,
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: FILE_DESCRIPTORS,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (request.cpu_s, request.cpu_s + 1))  # SIGXCPU, then SIGKILL
