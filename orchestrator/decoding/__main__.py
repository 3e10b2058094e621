"""The template: a process that has imported the decoders, and forks a process for each task.

The service starts it with a socket as standard input. A request is a message with a JSON object and three descriptors:
the file to read, the file for the result, and the end of a pipe to which the template writes how the task ended.
The task is killed when its time has passed or when the service closes the other end of the pipe. The template reads no
byte of a user's file. It ends when the service closes the socket.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
from PIL import Image as Pillow

from orchestrator.decoding.child import Request, run_task
from orchestrator.decoding.result import LATE

MAX_REQUEST_BYTES = 1 << 16
DESCRIPTORS = 3
NICENESS = 5
"""The scheduler prefers the service: a process with niceness 0 gets 3 times the CPU time of one with 5 (sched(7))."""


@dataclass(frozen=True)
class Child:
    """A running task."""

    pid: int
    handle: int  # becomes readable when the process has ended
    report: int  # end of the pipe to the service
    deadline: float  # of time.monotonic()


class Template:
    """Starts the tasks that arrive on the socket ``control``, and reports how they end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, Child] = {}  # by process id
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._pid = os.getpid()
        self._bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")

    def serve(self) -> None:
        """Start and end tasks until the service closes the socket."""
        while True:
            events = dict(self._poll.poll(self._timeout_ms()))
            for child in self._running():
                if child.handle in events:
                    self._end(child)
                elif child.deadline < time.monotonic():
                    os.kill(child.pid, signal.SIGKILL)
                    self._end(child, late=True)
                elif child.report in events:  # the service does not need the result any more
                    os.kill(child.pid, signal.SIGKILL)
                    self._end(child)
            # Last, because a new task may get a descriptor for which there was an event.
            if self._control.fileno() in events and not self._receive():
                return

    def _running(self) -> list[Child]:
        return list(self._children.values())

    def _timeout_ms(self) -> int | None:
        if not self._children:
            return None
        first = min(child.deadline for child in self._running())
        return max(0, int(1000 * (first - time.monotonic())) + 1)

    def _receive(self) -> bool:
        """Start the task of the next message. Return whether there was one."""
        message, descriptors, _, _ = socket.recv_fds(self._control, MAX_REQUEST_BYTES, DESCRIPTORS)
        if not message:
            return False
        request = Request(**json.loads(message))
        source, result, report = descriptors
        pid = os.fork()
        if pid == 0:
            run_task(request, source, result, self._pid, self._bytes)
        os.close(source)
        os.close(result)
        child = Child(pid, os.pidfd_open(pid), report, time.monotonic() + request.time_s)
        self._children[pid] = child
        self._poll.register(child.handle, select.POLLIN)
        self._poll.register(child.report, 0)  # only POLLERR: the service closed the other end
        return True

    def _end(self, child: Child, *, late: bool = False) -> None:
        """Report how a task ended, which ended already or was killed."""
        _, status = os.waitpid(child.pid, 0)
        with suppress(BrokenPipeError):
            os.write(child.report, LATE if late else str(status).encode())
        for descriptor in (child.handle, child.report):
            self._poll.unregister(descriptor)
            os.close(descriptor)
        del self._children[child.pid]


def main() -> None:
    """Serve until the service closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the service ends the tasks
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.nice(NICENESS)
    cv2.setNumThreads(1)
    Pillow.init()  # imports its decoders, which the tasks then need not do
    gc.freeze()  # the children share the pages of these objects
    Template(socket.socket(fileno=0)).serve()


if __name__ == "__main__":
    main()
