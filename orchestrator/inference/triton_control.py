"""The secret header without which Triton refuses calls to its control API.

The control API loads and unloads models, lists the model repository, and changes the settings of traces (which Triton
writes to any file) and logs. Inference, health, metadata and statistics need no header. Shared memory, which
``perf_analyzer`` uses, needs the header only on the Triton of a service.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

RESTRICTED = "model-repository,trace,logging"
"""The restricted parts of the API, as Triton's options name them."""
SHARED_MEMORY_API = "shared-memory"
"""The part of the API that registers shared memory."""
GRPC_PREFIX = "triton-grpc-protocol-"
"""Triton expects this before the key in gRPC metadata, but not in an HTTP header."""
REFUSED = "protocol is restricted"
"""Part of Triton's message about a call without the header. Its status is UNAVAILABLE."""
KEY = "heartwood-control"
SECRET_BYTES = 32
ARGUMENTS_FIELDS = (45, 46)
"""Positions of ``arg_start`` and ``arg_end`` in /proc/PID/stat, counted from the state (proc_pid_stat(5))."""


@dataclass(frozen=True)
class ControlHeader:
    """The key of the header and its secret value."""

    key: str
    value: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> ControlHeader:
        """Parse ``KEY=VALUE``, as in Triton's option."""
        key, _, value = text.partition("=")
        return cls(key, value)

    @classmethod
    def random(cls) -> ControlHeader:
        """Return a header with a new secret."""
        return cls(KEY, secrets.token_urlsafe(SECRET_BYTES))

    @property
    def metadata(self) -> dict[str, str]:
        """The gRPC metadata of a call to the control API."""
        return {f"{GRPC_PREFIX}{self.key.lower()}": self.value}

    def options(self, *, is_private: bool = False) -> list[str]:
        """Return the command-line options of a ``tritonserver`` that requires this header.

        With ``is_private``, it also requires it for shared memory.
        """
        parts = f"{RESTRICTED},{SHARED_MEMORY_API}" if is_private else RESTRICTED
        rule = f"{parts}:{self.key}={self.value}"
        return [f"--grpc-restricted-protocol={rule}", f"--http-restricted-api={rule}"]

    def hide(self, pid: int) -> None:
        """Overwrite the secret in the command line of a child process, which all users of the machine can read.

        The process must have parsed its options. Raises OSError if the kernel does not allow it.
        """
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        start, end = (int(fields[position]) for position in ARGUMENTS_FIELDS)
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:  # noqa: PTH123 - no buffer may be read ahead
            arguments = os.pread(memory.fileno(), end - start, start)
            secret = self.value.encode()
            os.pwrite(memory.fileno(), arguments.replace(secret, b"*" * len(secret)), start)
