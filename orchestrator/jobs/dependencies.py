"""The stores, models and settings that jobs work with. The service creates them once at startup."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from functools import cached_property
from pathlib import Path

from orchestrator.domain.material_maps import MaterialModels
from orchestrator.domain.reconstruct import TrellisSettings
from orchestrator.domain.segment import OpenAISettings
from orchestrator.jobs.quotas import TenantQuotas
from orchestrator.settings import Settings
from orchestrator.store.blob_records import BlobRecords
from orchestrator.store.blobs import Blobs
from orchestrator.store.disk_space import DiskSpace
from orchestrator.store.records import Records


class ServiceStopping(BaseException):
    """The service stops, so a step ends where it is. Not an error: DBOS records nothing, and the step runs again."""


@dataclass(frozen=True)
class Dependencies:
    """The stores, models and settings of one running service."""

    settings: Settings
    records: Records
    blobs: Blobs
    models: MaterialModels
    quotas: TenantQuotas
    executor_id: str  # of this process, unique for each start
    stopping: threading.Event = dataclass_field(default_factory=threading.Event)  # set when running steps must end

    @cached_property
    def blob_records(self) -> BlobRecords:
        """The records of the stored files."""
        return BlobRecords(self.records.engine)

    @cached_property
    def disk_space(self) -> DiskSpace:
        """The disks of the data folder and of the stored files."""
        folders = [self.settings.root, *([self.blobs.folder] if self.blobs.folder else [])]
        return DiskSpace(folders, self.settings.min_free_disk_mb << 20)

    @property
    def trellis(self) -> TrellisSettings | None:
        """The image-to-3D server, or None if none is configured. Raises InvalidInput if its URL is invalid."""
        settings = self.settings
        key = settings.trellis_api_key.get_secret_value()
        return TrellisSettings(settings.trellis_url, key, settings.trellis_timeout_s) if settings.trellis_url else None

    @property
    def openai(self) -> OpenAISettings | None:
        """The vision endpoint, or None if no API key is configured."""
        key = self.settings.openai_api_key.get_secret_value()
        values = {field.name: getattr(self.settings, f"openai_{field.name}") for field in fields(OpenAISettings)}
        return OpenAISettings(**{**values, "api_key": key}) if key else None

    def work_folder(self, job_id: str) -> Path:
        """The working folder of a job's programs. It is deleted when the job ends."""
        return self.settings.root / "work" / job_id
