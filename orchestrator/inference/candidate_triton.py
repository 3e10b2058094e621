"""Loads a candidate on a Triton that serves nobody, so that a candidate that crashes or hangs disturbs no request.

A candidate is loaded on the serving Triton only after it has passed its checks here.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import InferenceServerException

from orchestrator.domain.model_versions import ModelVersion
from orchestrator.domain.progress import Progress
from orchestrator.errors import (
    CandidateRefused,
    FailedPrecondition,
    HeartwoodError,
    ModelFailed,
    ModelTimedOut,
    ModelUnavailable,
    ToolFailed,
)
from orchestrator.inference.launch import BACKEND_CHECK_S, NAME_PREFIX, TritonServer, find_triton
from orchestrator.inference.tensors import Tensors
from orchestrator.inference.triton_client import MODEL_FILE, InferenceResult, TritonClient, first_line, version_config

log = structlog.get_logger()

POLL_S = 0.2
"""Interval at which progress is reported while the candidate is loaded."""
MAX_DIAGNOSIS_S = 3 * BACKEND_CHECK_S
"""Time to find out why a Triton does not answer. The launcher needs two checks to see that a backend died."""
BACKEND = "onnxruntime"
OUT_OF_MEMORY = re.compile("of memory|bad.alloc|[Ff]ailed to allocate|allocation failed")
"""Texts in the messages of the launcher, Triton and onnxruntime about memory that a process did not get."""
CRASHED = re.compile("[Ss]tub process|not healthy|Socket closed|Connection re|connect to all addresses")
"""Texts in the messages of Triton and gRPC about a backend or a server that died."""


@dataclass(frozen=True)
class LoadedCandidate:
    """A candidate that is loaded on ``triton``.

    Args:
        failure: returns why its Triton ended, or None while it runs.
    """

    candidate: ModelVersion
    triton: TritonClient
    timeout_s: float  # of one inference
    failure: Callable[[], ToolFailed | None] = lambda: None

    def infer(self, inputs: Tensors) -> InferenceResult:
        """Run the candidate. Raises CandidateRefused if it fails, crashes or does not answer in time."""
        try:
            return self.triton.infer(
                self.candidate.triton_name, str(self.candidate.version), inputs, timeout_s=self.timeout_s
            )
        except (ModelFailed, ModelUnavailable) as error:
            raise self.refusal(error) from None

    def refusal(self, error: HeartwoodError) -> CandidateRefused:
        """Return why the candidate failed, from the state of its Triton or else from the error of the call."""
        if isinstance(error, ModelFailed):
            return CandidateRefused(error.message)
        subject = f"version {self.candidate.version} of {self.candidate.model}"
        if isinstance(error, ModelTimedOut):
            rule = "HEARTWOOD_CANDIDATE_TIMEOUT_S"
            return CandidateRefused(f"{subject} did not answer within {self.timeout_s:.0f} s ({rule})")
        cause = first_line(error.__cause__) if isinstance(error.__cause__, InferenceServerException) else error.message
        deadline = time.monotonic() + MAX_DIAGNOSIS_S
        while self.failure() is None and not OUT_OF_MEMORY.search(cause) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if (failure := self.failure()) is not None:
            cause = failure.message
        if OUT_OF_MEMORY.search(cause):
            return CandidateRefused(f"{subject} needs too much memory (HEARTWOOD_CANDIDATE_MEMORY_GB): {cause}")
        return CandidateRefused(f"{subject} crashed its Triton: {cause}")


class CandidateTriton(Protocol):
    """Loads candidates, one per context."""

    def load(
        self, candidate: ModelVersion, onnx: bytes, config: Any, progress: Progress
    ) -> AbstractContextManager[LoadedCandidate]:
        """Load the candidate, and remove it when the context ends.

        Args:
            config: the ModelConfig of the serving version.
            progress: is called at least every 0.2 s while the candidate is loaded, and may raise Canceled.

        Raises:
            CandidateRefused: it cannot be loaded, or not in time.
            FailedPrecondition: there is no Triton for candidates.
        """
        ...


@dataclass(frozen=True)
class OwnTriton:
    """Starts the Triton of the pip package for each candidate, on the CPU, with a repository of only the candidate.

    Args:
        backends: folder of the Python-based backends.
        folder: contains a temporary folder while a candidate is checked.
        memory_bytes: maximum memory of this Triton.
        timeout_s: time limit for loading, and for each inference.
    """

    backends: Path
    folder: Path
    memory_bytes: int
    timeout_s: float

    @contextmanager
    def load(self, candidate: ModelVersion, onnx: bytes, config: Any, progress: Progress) -> Iterator[LoadedCandidate]:
        """See ``CandidateTriton.load``."""
        try:
            find_triton()
        except ToolFailed as error:
            remedy = "set HEARTWOOD_CANDIDATE_TRITON_URL to a Triton that serves no requests, or install the extra"
            raise FailedPrecondition(f"candidates cannot be checked: {error.message}, or {remedy} 'local'") from None
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            # The name lets the next start remove the folder of a service that was killed; see ``launch``.
            prefix = f"candidate-{NAME_PREFIX}-{os.getpid()}-"
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=self.folder)))
            nothing = folder / "nothing"
            nothing.mkdir()
            repository = _write_repository(folder, candidate, onnx, config)
            server = TritonServer(
                nothing,  # the candidate is loaded after the start, so that a broken one has an error of its own
                self.backends,
                folder / "triton",
                optional_repository=repository,
                memory_bytes=self.memory_bytes,
            )
            stack.enter_context(server)
            client = TritonClient(server.url, control=server.control)
            stack.callback(client.close)
            loaded = LoadedCandidate(candidate, client, self.timeout_s, lambda: server.failure)

            def load_candidate() -> None:
                client.load_from_repository(candidate.triton_name, self.timeout_s)

            with ThreadPoolExecutor(1, "load-candidate") as executor:
                try:
                    _finish(executor, load_candidate, progress)
                except CandidateRefused as error:
                    has_crashed = server.failure or not server.pid or CRASHED.search(error.message)
                    raise loaded.refusal(error) if has_crashed else error from None
                except BaseException:
                    server.stop()  # ends the call in the other thread
                    raise
            yield loaded


@dataclass(frozen=True)
class ExternalTriton:
    """Loads candidates on a running Triton through its load API.

    Args:
        connect: returns a client of this Triton.
        timeout_s: time limit for loading, and for each inference.
    """

    connect: Callable[[], TritonClient]
    timeout_s: float

    @contextmanager
    def load(self, candidate: ModelVersion, onnx: bytes, config: Any, progress: Progress) -> Iterator[LoadedCandidate]:
        """See ``CandidateTriton.load``."""
        client, name, version = self.connect(), candidate.triton_name, str(candidate.version)

        def load_candidate() -> None:
            client.load_file(_candidate_config(config, name), version, onnx, self.timeout_s)

        try:
            with ThreadPoolExecutor(1, "load-candidate") as executor:
                _finish(executor, load_candidate, progress)
            yield LoadedCandidate(candidate, client, self.timeout_s)
        finally:
            try:
                client.unload(name, self.timeout_s)
            except HeartwoodError as error:
                log.warning("candidate_not_unloaded", model=candidate.model, error=error.message)
            client.close()


def _finish(executor: ThreadPoolExecutor, call: Callable[[], None], progress: Progress) -> None:
    """Run a call in a thread of ``executor``, and report progress until it ends."""
    work = executor.submit(call)
    while True:
        with suppress(TimeoutError):
            return work.result(POLL_S)
        progress(0.0, "loading the candidate on a separate Triton")


def _write_repository(folder: Path, candidate: ModelVersion, onnx: bytes, config: Any) -> Path:
    """Write a model repository with the candidate, as one CPU instance."""
    config = _candidate_config(config, candidate.triton_name)
    config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=1)
    repository = folder / "candidate"
    model = repository / candidate.triton_name
    (model / str(candidate.version)).mkdir(parents=True)
    (model / str(candidate.version) / MODEL_FILE).write_bytes(onnx)
    (model / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
    return repository


def _candidate_config(config: Any, name: str) -> Any:
    """Return the serving version's config without what depends on its machine, such as instances and accelerators."""
    config = version_config(config, name)
    config.backend, config.platform = BACKEND, ""
    config.ClearField("optimization")
    config.ClearField("instance_group")
    return config
