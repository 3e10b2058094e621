"""Uploads, reads and deletes the files of a tenant."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TypeVar

from orchestrator.domain.assets import Asset, FileInfo
from orchestrator.domain.file_names import file_name
from orchestrator.errors import InvalidInput, NotFound, ResourceExhausted
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.spool import Spool, SpooledFile
from orchestrator.stages import intake
from orchestrator.store.deletions import Deletions

Value = TypeVar("Value")

UPLOAD_KINDS = ("photo", "mask", "model")
RECONSTRUCTED_MESH = "model.glb"
"""The GLB of a reconstruct job. The other meshes of its group are the same mesh in other formats."""


class AssetService:
    """The files of all tenants."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._settings = dependencies.settings
        self._records = dependencies.records
        self._blobs = dependencies.blobs
        self._blob_records = dependencies.blob_records
        self._disk_space = dependencies.disk_space
        self._deletions = Deletions(dependencies.records.engine)
        self._spool = Spool(self._settings.root / "uploads", self._settings.upload_spool_mb << 20)
        self._quotas = dependencies.quotas

    def check_upload(self, tenant: str, upload_id: str, kind: str, size_bytes: int) -> None:
        """Check an upload before its bytes are received.

        Raises InvalidInput, NotFound, ResourceExhausted, DiskFull, or QuotaExceeded if the tenant stores too much.
        """
        if kind not in UPLOAD_KINDS:
            raise InvalidInput("header.kind", f"{kind!r} can't be uploaded; allowed are PHOTO, MASK and MODEL")
        limit = _max_bytes(kind)
        if not 0 <= size_bytes <= limit:
            raise InvalidInput("header.size_bytes", f"{size_bytes} is not allowed; a {kind} has at most {limit} bytes")
        self._disk_space.check(size_bytes)
        if upload_id and kind == "model":
            raise InvalidInput("header.upload_id", "a 3D model is an upload of its own; leave upload_id empty")
        self._quotas.check_space(tenant, size_bytes)
        photo_count = len(self.photos(tenant, upload_id)) if upload_id else 0
        if upload_id and photo_count >= self._settings.max_photos:
            raise ResourceExhausted(f"the upload has {photo_count} photos, which is the maximum; start a new upload")

    def receive(self, tenant: str, kind: str) -> SpooledFile:
        """Return a file for the bytes of an upload, which the caller removes."""
        return self._spool.file(tenant, kind, _max_bytes(kind))

    def start_check(
        self, tenant: str, filename: str, kind: str, file: SpooledFile, canceled: threading.Event
    ) -> Future[FileInfo]:
        """Queue the validation of a received file, in turn with those of other tenants.

        Args:
            canceled: is set when the result is not needed any more.

        Raises:
            ResourceExhausted: too many files wait to be checked.
        """
        name = file_name(filename, kind)
        return intake.start_check(file.path, kind, name, "data", tenant, canceled, self._settings.blender)

    def store(self, tenant: str, upload_id: str, filename: str, kind: str, file: SpooledFile, info: FileInfo) -> Asset:
        """Store a photo, mask or mesh that was validated. An empty ``upload_id`` starts a new upload."""
        self.check_upload(tenant, upload_id, kind, file.size)
        name, sha256 = file_name(filename, kind), file.sha256
        if info.suffix:
            name = f"{PurePosixPath(name).stem}.{info.suffix}"
        id, group_id = str(uuid.uuid4()), upload_id or str(uuid.uuid4())
        self._blob_records.register(tenant, sha256, file.size)
        self._blobs.put_file(tenant, file.path, sha256)
        size = (info.width, info.height)
        asset = Asset(id, tenant, group_id, kind, name, info.media_type, file.size, sha256, *size)
        stored = self._records.add_upload(asset, self._quotas.most_bytes(tenant))
        if stored is None:  # a concurrent upload took the space
            raise self._quotas.space_exceeded(tenant, file.size)
        # If storing took longer than the grace period, a sweeper may have removed the file, and another upload of the
        # same content have recorded it again. From now on, nothing removes it.
        self._blobs.put_file(tenant, file.path, sha256)
        return stored

    def photos(self, tenant: str, upload_id: str) -> list[Asset]:
        """The photos of an upload in upload order. Raises NotFound if the tenant has no such upload."""
        assets = [asset for kind in UPLOAD_KINDS for asset in self._records.group(tenant, upload_id, kind)]
        existing(assets, "upload", upload_id)  # an upload that contains only masks exists too
        return [asset for asset in assets if asset.kind == "photo"]

    def mesh(self, tenant: str, model_id: str, field: str) -> Asset:
        """The file of a 3D model: the uploaded file, or the GLB that a job made. Raises InvalidInput or NotFound."""
        if not model_id:
            raise InvalidInput(field, "it is empty; set the id of an uploaded 3D model or of one that a job made")
        meshes = existing(self._records.group(tenant, model_id, "model"), "model", model_id)
        reconstructed = [mesh for mesh in meshes if mesh.name == RECONSTRUCTED_MESH]
        glbs = [mesh for mesh in meshes if mesh.media_type == "model/gltf-binary"]
        return (reconstructed or glbs or meshes)[0]

    def get(self, tenant: str, asset_id: str) -> Asset:
        """The asset. Raises NotFound if the tenant has no such asset."""
        return existing(self._records.asset(tenant, asset_id), "asset", asset_id)

    def page(self, tenant: str, group_id: str, kind: str, after: str, limit: int) -> list[Asset]:
        """Up to ``limit`` assets whose ids follow ``after``. An empty ``group_id`` or ``kind`` means any."""
        return self._records.list_assets(tenant, group_id, kind, after, limit)

    def read(self, asset: Asset, offset: int) -> Iterator[bytes]:
        """Yield the bytes of an asset from ``offset`` on, in chunks."""
        return self._blobs.stream(asset.tenant, asset.sha256, offset, asset.size_bytes)

    def sign(self, asset: Asset, lifetime: timedelta) -> str:
        """A URL that reads the asset without a token. Raises FailedPrecondition for files in a local folder."""
        return self._blobs.sign(asset.tenant, asset.sha256, lifetime)

    def delete(self, tenant: str, asset_id: str) -> None:
        """Delete an asset and its cached results. Raises NotFound, or InUse if an unfinished job uses it."""
        if not self._deletions.delete_asset(tenant, asset_id):
            raise NotFound("asset", asset_id)

    def delete_upload(self, tenant: str, upload_id: str) -> int:
        """Delete all files of an upload, or none. Return their number. Raises NotFound, or InUse like ``delete``."""
        count = self._deletions.delete_upload(tenant, upload_id)
        if not count:
            raise NotFound("upload", upload_id)
        return count


def _max_bytes(kind: str) -> int:
    return intake.MAX_MESH_BYTES if kind == "model" else intake.MAX_BYTES


def existing(value: Value | None, kind: str, id: str) -> Value:
    """Return ``value``, which was read from the database. Raises NotFound if it is None or empty."""
    if not value:
        raise NotFound(kind, id)
    return value
