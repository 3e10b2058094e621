"""Keeps the models of one process in sync with the database: loads READY versions, unloads those that failed or were
retired, and applies promotions.

It also loads the optional models of the roles. Triton does not load them when it starts, because a broken one would
prevent the start.

It polls the database, because Triton loses deployed versions when it restarts, and an operator may promote a version
through another process of the service. Versions that Triton does not have are loaded from the blob store.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta

import structlog

from orchestrator.background import attempt
from orchestrator.domain.model_roles import ROLE_MODELS, SMALL
from orchestrator.domain.model_versions import MODEL_TENANT, ModelVersion, VersionState
from orchestrator.errors import CandidateRefused, HeartwoodError, ModelUnavailable
from orchestrator.inference.models import ServingVersions, TritonModels
from orchestrator.store.blobs import Blobs
from orchestrator.store.model_records import ModelRecords

log = structlog.get_logger()

POLL_INTERVAL_S = 0.5
"""A promotion takes effect within this interval, plus the load time if the version is not loaded yet."""
HEARTBEAT_TIMEOUT = timedelta(minutes=10)
"""A candidate is orphaned after this long without a heartbeat. Twice the timeout for loading a model."""
RETRY_LOAD_AFTER_S = 10.0
"""Delay before another attempt to load a version that could not be loaded. Not tuned."""
RETRY_BROKEN_AFTER_S = 300.0
"""Delay before another attempt to load a role's model that Triton refused, which takes seconds each time. Not tuned."""

RECHECK_REMOVED_S = 60.0
"""Interval at which all removed versions are checked, in case Triton did not answer before. Not tuned."""


class Follower:
    """Applies the database's versions and pointers to one Triton.

    Args:
        live_processes: returns the ids of the processes that are running.
    """

    def __init__(
        self,
        records: ModelRecords,
        blobs: Blobs,
        models: TritonModels,
        executor_id: str,
        live_processes: Callable[[], Collection[str]],
    ) -> None:
        self.records = records
        self.blobs = blobs
        self.models = models
        self.executor_id = executor_id
        self._live_processes = live_processes
        self._sync_lock = threading.Lock()
        self._retry_times: dict[str, float] = {}  # Triton name → time.monotonic() of the next attempt to load it
        self._checked_removed: set[str] = set()  # Triton names of removed versions that need no check
        self._next_recheck = 0.0  # time.monotonic() at which all removed versions are checked again
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="model-follower", daemon=True)

    def start(self) -> None:
        """Sync with the database once, then keep syncing in a thread."""
        self._follow()
        self._thread.start()

    def stop(self) -> None:
        """Stop syncing. Loaded versions stay loaded."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def sync(self) -> None:
        """Load the models of the roles and all READY versions, make the promoted ones serve, and unload the others."""
        with self._sync_lock:
            for role, model in ROLE_MODELS.items():
                if self.models.choices.get(role) != SMALL:
                    self._ensure_role_model(model)
            pointers = self.records.pointers()
            ready = self.records.versions(states=[VersionState.READY])
            for version in ready:
                self._ensure_loaded(version)
            promoted = {model: str(pointer.version) for model, pointer in pointers.items()}
            deployed = {(version.model, str(version.version)): version.triton_name for version in ready}
            self.models.serving = ServingVersions(promoted, deployed)
            self._unload_removed()

    def add(self, version: ModelVersion, data: bytes) -> None:
        """Store the file of a version that passed its checks, and load it. Raises CandidateRefused if Triton cannot."""
        self.blobs.put(MODEL_TENANT, data)
        self.models.triton.load(version.model, version.triton_name, str(version.version), data)

    def remove(self, version: ModelVersion) -> None:
        """Unload a version, and delete its file unless another version uses the same file."""
        if self.models.triton.ready(version.triton_name):
            self._unload(version)
        in_use = self.records.versions(states=[VersionState.READY, VersionState.CHECKING])
        if all(other.sha256 != version.sha256 for other in in_use):
            self.blobs.delete(MODEL_TENANT, version.sha256)

    def _unload_removed(self) -> None:
        """Unload the versions that any process retired, or whose check failed after they were loaded."""
        # Triton's repository index does not list versions that were loaded from memory.
        found = self.records.versions(states=[VersionState.RETIRED, VersionState.FAILED])
        removed = {version.triton_name: version for version in found}
        if time.monotonic() > self._next_recheck:
            self._next_recheck = time.monotonic() + RECHECK_REMOVED_S
            self._checked_removed = set()
        for name in removed.keys() - self._checked_removed:
            if self.models.triton.ready(name):
                self._unload(removed[name])
        self._checked_removed = set(removed)

    def _unload(self, version: ModelVersion) -> None:
        """Unload a version. Errors are logged; ``sync`` tries again later."""
        try:
            self.models.triton.unload(version.triton_name)
            log.info("model_unloaded", model=version.model, version=version.version)
        except HeartwoodError as error:
            log.warning("model_not_unloaded", model=version.model, version=version.version, error=error.message)

    def _poll(self) -> None:
        while not self._stopping.wait(POLL_INTERVAL_S):
            attempt(self._follow, "model_sync_failed")

    def _follow(self) -> None:
        self._fail_orphaned()
        self.sync()

    def _ensure_role_model(self, model: str) -> None:
        """Load an optional model that the model repository contains, unless it is ready. Errors are logged."""
        triton = self.models.triton
        if time.monotonic() < self._retry_times.get(model, 0.0) or triton.ready(model):
            return
        self._retry_times[model] = time.monotonic() + RETRY_LOAD_AFTER_S
        try:
            if triton.in_repository(model):
                triton.load_from_repository(model)
                log.info("role_model_loaded", model=model)
        except ModelUnavailable:
            return
        except HeartwoodError as error:
            self._retry_times[model] = time.monotonic() + RETRY_BROKEN_AFTER_S
            log.error("role_model_not_loaded", model=model, reason=error.message)

    def _ensure_loaded(self, version: ModelVersion) -> None:
        """Load a version unless it is ready. Errors are logged, and the load is tried again later."""
        name = version.triton_name
        if self.models.triton.ready(name) or time.monotonic() < self._retry_times.get(name, 0.0):
            return
        try:
            data = self.blobs.get(MODEL_TENANT, version.sha256)
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 != version.sha256:
                problem = f"the stored file is corrupt: its SHA-256 is {sha256}"
                raise CandidateRefused(f"{problem}, but {version.sha256} is expected; deploy the version again")
            self.models.triton.load(version.model, name, str(version.version), data)
            log.info("model_loaded", model=version.model, version=version.version)
        except ModelUnavailable:
            return  # the next poll tries again
        except HeartwoodError as error:
            self._retry_times[name] = time.monotonic() + RETRY_LOAD_AFTER_S
            log.error("model_not_loaded", model=version.model, version=version.version, reason=error.message)

    def _fail_orphaned(self) -> None:
        """Mark orphaned candidates as FAILED and remove them; see ``ModelRecords.orphaned_candidates``."""
        reason = "the check was interrupted: the service that ran it stopped; deploy the version again"
        for candidate in self.records.orphaned_candidates(self._live_processes(), HEARTBEAT_TIMEOUT):
            if self.records.mark_failed(candidate.model, candidate.version, reason):
                self.remove(candidate)
