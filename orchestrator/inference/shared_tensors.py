"""Passes large tensors to and from a Triton on the same machine in shared memory.

The maps of one photo take up to 140 MB. gRPC copies them several times, and no other Python code of the process can run
meanwhile.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from orchestrator.inference.launch import NAME_PREFIX, SHARED_MEMORY
from orchestrator.inference.tensors import Shapes, Tensors

log = structlog.get_logger()

MIN_BYTES = 1 << 20
"""Smaller outputs pass through gRPC, which takes less than two more calls to Triton. Not tuned."""
CALL_TIMEOUT_S = 5.0
"""Timeout of the calls that register and unregister regions. Not tuned."""
PAUSE_S = 60.0
"""Time after which shared memory is tried again if Triton could not use it. Not tuned."""
FLOAT_BYTES = 4
ALIGNMENT = 64
"""Each tensor begins at a multiple of this number of bytes, the size of a cache line."""


class Region:
    """Shared memory that contains the inputs of one request and receives its outputs.

    Its file exists until the response. The process that created it holds the lock of the file, which shows other
    processes that it is in use. The memory is freed when no array uses it.

    Args:
        inputs: are copied.
    """

    def __init__(self, inputs: Tensors, outputs: Shapes) -> None:
        self.name = f"{NAME_PREFIX}-{os.getpid()}-tensors-{uuid.uuid4().hex[:12]}"
        self.file = SHARED_MEMORY / self.name
        self._places: dict[str, tuple[int, int]] = {}  # offset and size in bytes
        sizes = {name: values.nbytes for name, values in inputs.items()}
        sizes |= {name: prod(shape) * FLOAT_BYTES for name, shape in outputs.items()}
        self.size_bytes = 0
        for name, size in sizes.items():
            self._places[name] = (self.size_bytes, size)
            self.size_bytes += -(-size // ALIGNMENT) * ALIGNMENT
        self._descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._memory = self._allocate()
        self.inputs, self.outputs = [], []
        for name, values in inputs.items():
            np.copyto(self._view(name, values.dtype, values.shape), values)
            tensor = triton.InferInput(name, values.shape, np_to_triton_dtype(values.dtype))
            offset, size = self._places[name]
            self.inputs.append(tensor.set_shared_memory(self.name, size, offset))
        for name in outputs:
            requested = triton.InferRequestedOutput(name)
            offset, size = self._places[name]
            requested.set_shared_memory(self.name, size, offset)
            self.outputs.append(requested)

    def _allocate(self) -> mmap.mmap:
        """Return the memory. Raises OSError if there is not enough space.

        Without ``posix_fallocate``, a lack of space would kill the process that writes.
        """
        try:
            os.posix_fallocate(self._descriptor, 0, self.size_bytes)
            return mmap.mmap(self._descriptor, self.size_bytes)
        except OSError:
            self.remove()
            raise

    def remove(self) -> None:
        """Remove the file."""
        self.file.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _view(self, name: str, data_type: Any, shape: Sequence[int]) -> NDArray[Any]:
        """Return an array at the place of a tensor. Raises ValueError if it has another size."""
        offset, size = self._places[name]
        count = prod(shape)
        if count * np.dtype(data_type).itemsize > size:
            raise ValueError(f"{name} has the shape {list(shape)}")
        return np.frombuffer(self._memory, data_type, count, offset).reshape(shape)

    def values(self, result: Any) -> dict[str, NDArray[Any]]:
        """Return the outputs of a response, which share the memory of the region."""
        response = result.get_response()
        return {
            output.name: self._view(output.name, triton_to_np_dtype(output.datatype), output.shape)
            for output in response.outputs
        }


class SharedTensors:
    """Creates regions and registers them with Triton.

    Triton cannot use a region if it runs on another machine or refuses the registration. Creation then pauses for
    ``PAUSE_S``.

    Args:
        control_metadata: the gRPC metadata with which Triton permits the registration.
    """

    def __init__(self, client: triton.InferenceServerClient, control_metadata: Mapping[str, str] | None) -> None:
        self._client, self._metadata = client, control_metadata
        self._unused_until = 0.0  # seconds of time.monotonic()
        self._releasing = ThreadPoolExecutor(1, thread_name_prefix="shared-tensors")

    def close(self) -> None:
        """Wait until the regions of all responses are unregistered."""
        self._releasing.shutdown()

    def region(self, inputs: Tensors, outputs: Shapes) -> Region | None:
        """Return a registered region for a request. None if its outputs are small, or if Triton cannot use it."""
        if sum(map(prod, outputs.values())) * FLOAT_BYTES < MIN_BYTES or time.monotonic() < self._unused_until:
            return None
        try:
            region = Region(inputs, outputs)
        except OSError as error:
            self._pause(str(error))
            return None
        try:
            self._client.register_system_shared_memory(
                region.name, f"/{region.name}", region.size_bytes, headers=self._metadata, client_timeout=CALL_TIMEOUT_S
            )
        except InferenceServerException as error:
            region.remove()
            self._pause(error.message())
            return None
        return region

    def remove_abandoned(self) -> None:
        """Remove the regions of processes that ended before the response. Triton would keep their memory."""
        try:
            status = self._client.get_system_shared_memory_status(headers=self._metadata, client_timeout=CALL_TIMEOUT_S)
        except InferenceServerException:
            return  # Triton does not run, or refuses the use of shared memory
        for name in status.regions:
            is_ours = name.startswith(f"{NAME_PREFIX}-") and "/" not in name  # any program may register a name
            if is_ours and not _is_locked(SHARED_MEMORY / name):
                (SHARED_MEMORY / name).unlink(missing_ok=True)
                self._unregister(name)

    def release(self, region: Region, error: InferenceServerException | None) -> None:
        """Remove a region after the response, or after the ``error`` of the request. Does not wait."""
        if error is not None and "shared memory region" in (error.message() or ""):
            self._pause(error.message())  # such as if several Tritons share the address
        region.remove()
        with suppress(RuntimeError):  # closed: the next client unregisters the region
            self._releasing.submit(self._unregister, region.name)

    def _unregister(self, name: str) -> None:
        with suppress(InferenceServerException):  # Triton has ended
            self._client.unregister_system_shared_memory(name, headers=self._metadata, client_timeout=CALL_TIMEOUT_S)

    def _pause(self, reason: str) -> None:
        log.info("shared_memory_unused", reason=reason)
        self._unused_until = time.monotonic() + PAUSE_S


def _is_locked(file: Path) -> bool:
    """Return whether a process holds the lock of a file."""
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
