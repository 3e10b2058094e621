"""Keeps one process's models as the database says: what is ready is loaded, and what was promoted answers.

Triton forgets deployed versions when it restarts, and an operator may have spoken to another process of the service;
so the database is read again and again, and what is missing on Triton is loaded from the blob store.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable
from datetime import timedelta

import structlog

from orchestrator.domain.model_versions import ModelVersion, VersionState
from orchestrator.errors import CandidateRefused, HeartwoodError, ModelUnavailable
from orchestrator.inference.models import Serving, TritonModels
from orchestrator.store.blobs import Blobs
from orchestrator.store.model_records import ModelRecords

log = structlog.get_logger()

OWNER = "@models"
"""Whose blobs the versions are; no tenant's name may begin like this."""
INTERVAL_S = 0.5
"""How often the database is read: a promotion is followed within it, and the time of a load where one is missing."""
SILENT_FOR = timedelta(minutes=10)
"""A candidate of a replica that is silent for so long is nobody's: twice the time that Triton may load."""
RELOAD_AFTER_S = 10.0
"""A version that could not be loaded is tried again after it."""


class Follower:
    """Follows the promotions on one Triton."""

    def __init__(self, records: ModelRecords, blobs: Blobs, models: TritonModels, executor_id: str) -> None:
        self._records = records
        self._blobs = blobs
        self._models = models
        self._executor_id = executor_id
        self._sync = threading.Lock()
        self._retry: dict[str, float] = {}
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="model-follower", daemon=True)

    def start(self) -> None:
        """Load what the database says that serves or is ready, follow it, and go on following it."""
        self._drop(self._records.abandoned(self._executor_id, SILENT_FOR))
        self.sync()
        self._keeper.start()

    def stop(self) -> None:
        """Follow no more; what is loaded stays so."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()

    def sync(self) -> None:
        """Load what is ready and not loaded, then let the promoted versions answer."""
        with self._sync:
            pointers = self._records.pointers()
            ready = self._records.versions(states=[VersionState.READY])
            for one in ready:
                self._ensure_loaded(one)
            self._models.follow(
                Serving(
                    promoted={model: str(pointer.version) for model, pointer in pointers.items()},
                    deployed={(one.model, str(one.version)): one.triton_name for one in ready},
                )
            )

    def remove(self, one: ModelVersion) -> None:
        """Unload a version, and delete its file where no other version has the same."""
        try:
            self._models.triton.unload(one.triton_name)
        except HeartwoodError:
            log.warning("model_not_unloaded", model=one.model, version=one.version)
        used = self._records.versions(states=[VersionState.READY, VersionState.CHECKING])
        if all(other.sha256 != one.sha256 for other in used):
            self._blobs.delete(OWNER, one.sha256)

    def _keep(self) -> None:
        while not self._stopping.wait(INTERVAL_S):
            try:
                self._drop(self._records.abandoned("", SILENT_FOR))
                self.sync()
            except Exception:
                log.exception("model_sync_failed")

    def _ensure_loaded(self, one: ModelVersion) -> None:
        name = one.triton_name
        if self._models.triton.ready(name) or time.monotonic() < self._retry.get(name, 0.0):
            return
        try:
            data = self._blobs.get(OWNER, one.sha256)
            if hashlib.sha256(data).hexdigest() != one.sha256:
                raise CandidateRefused("its file has changed in the store")
            self._models.triton.load(one.model, name, str(one.version), data)
            log.info("model_loaded", model=one.model, version=one.version)
        except ModelUnavailable:
            return  # Triton is away: the next round tries again
        except HeartwoodError as error:
            self._retry[name] = time.monotonic() + RELOAD_AFTER_S
            log.error("model_not_loaded", model=one.model, version=one.version, reason=error.message)

    def _drop(self, abandoned: Iterable[ModelVersion]) -> None:
        for one in abandoned:
            if self._records.fail(one.model, one.version, "the service that checked it stopped"):
                self.remove(one)
