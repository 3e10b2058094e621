"""Uploads, reads and deletes the files of a tenant."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TypeVar

from orchestrator.domain.assets import Asset
from orchestrator.domain.file_names import file_name
from orchestrator.domain.jobs import JsonValue
from orchestrator.errors import FailedPrecondition, InvalidInput, NotFound, ResourceExhausted
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.stages import intake

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

    def check_upload(self, tenant: str, upload_id: str, kind: str, size_bytes: int) -> None:
        """Check an upload before its bytes are received. Raises InvalidInput, NotFound or ResourceExhausted."""
        if kind not in UPLOAD_KINDS:
            raise InvalidInput("header.kind", f"{kind!r} can't be uploaded; allowed are PHOTO, MASK and MODEL")
        limit = intake.MAX_MESH_BYTES if kind == "model" else intake.MAX_BYTES
        if not 0 <= size_bytes <= limit:
            raise InvalidInput("header.size_bytes", f"{size_bytes} is not allowed; a {kind} has at most {limit} bytes")
        if upload_id and kind == "model":
            raise InvalidInput("header.upload_id", "a 3D model is an upload of its own; leave upload_id empty")
        photo_count = len(self.photos(tenant, upload_id)) if upload_id else 0
        if upload_id and photo_count >= self._settings.max_photos:
            raise ResourceExhausted(f"the upload has {photo_count} photos, which is the maximum; start a new upload")

    def upload(self, tenant: str, upload_id: str, filename: str, kind: str, data: bytes, sha256: str = "") -> Asset:
        """Validate and store one photo, mask or mesh. An empty ``upload_id`` starts a new upload."""
        self.check_upload(tenant, upload_id, kind, len(data))
        actual = hashlib.sha256(data).hexdigest()
        if sha256 and sha256.lower() != actual:
            raise InvalidInput("header.sha256", f"{sha256[:64]!r} does not match the bytes received, {actual}")
        name = file_name(filename, kind)
        width = height = 0
        try:
            if kind == "model":
                mesh = intake.check_mesh(data, name, "data", blender=self._settings.blender)
                media_type = mesh.media_type
                name = f"{PurePosixPath(name).stem}.{'zip' if mesh.is_archive else mesh.format.value}"
            else:
                info = intake.check_photo(data, "data")
                media_type, width, height = info.media_type, info.width, info.height
        except InvalidInput as error:  # an upload has many files, so the error names this one
            raise InvalidInput(error.field, f"{name}: {error.description}") from None
        id, group_id = str(uuid.uuid4()), upload_id or str(uuid.uuid4())
        self._blobs.put(tenant, data)
        asset = Asset(id, tenant, group_id, kind, name, media_type, len(data), actual, width, height)
        asset = self._records.add_asset(asset)
        self._blobs.put(tenant, data)  # again, in case the last asset with the same bytes was deleted meanwhile
        return asset

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
        """Delete an asset and its cached results. Raises FailedPrecondition if an unfinished job uses it."""
        asset = self.get(tenant, asset_id)
        for job in self._records.active_jobs(tenant):
            if asset_id in job.inputs or contains_id(job.options, asset_id):
                raise FailedPrecondition(f"job {job.id} uses this file; cancel the job first", job=job.id)
        for sha256 in self._records.delete_asset(asset):
            self._blobs.delete(tenant, sha256)


def existing(value: Value | None, kind: str, id: str) -> Value:
    """Return ``value``, which was read from the database. Raises NotFound if it is None or empty."""
    if not value:
        raise NotFound(kind, id)
    return value


def contains_id(options: JsonValue, id: str) -> bool:
    """Whether the options of a job name the id of an asset or of another job."""
    if isinstance(options, Mapping):
        return any(contains_id(value, id) for value in options.values())
    if isinstance(options, list):
        return any(contains_id(value, id) for value in options)
    return options == id
