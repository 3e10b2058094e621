"""The files of a tenant: taken in after a look at what they are, listed, and deleted with all that came of them."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from orchestrator.domain.assets import Asset
from orchestrator.errors import FailedPrecondition, InvalidInput, NotFound, ResourceExhausted
from orchestrator.jobs.dependencies import Parts
from orchestrator.stages import intake

UPLOAD_KINDS = ("photo", "mask", "model")
MODEL_FILE = "model.glb"
"""The name of the model that a reconstruct job makes; others of its group are the same in other formats."""


class Uploads:
    """What the asset service does, on the stores."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def expect(self, tenant: str, upload_id: str, kind: str, size_bytes: int) -> None:
        """Refuse an upload that can't be taken before its bytes come.

        Raises:
            InvalidInput: the kind or the size is not allowed.
            NotFound: the tenant has no such upload.
            ResourceExhausted: the upload is full.
        """
        if kind not in UPLOAD_KINDS:
            raise InvalidInput("header.kind", f"{kind!r} can't be uploaded; allowed are PHOTO, MASK and MODEL")
        most = intake.MAX_MODEL_BYTES if kind == "model" else intake.MAX_BYTES
        if not 0 <= size_bytes <= most:
            raise InvalidInput("header.size_bytes", f"{size_bytes} is not allowed; a {kind} has at most {most} bytes")
        if upload_id and kind == "model":
            raise InvalidInput("header.upload_id", "a model is an upload of its own; leave the id empty")
        if upload_id:
            there = self.photos(tenant, upload_id)
            if len(there) >= self.parts.settings.max_photos:
                raise ResourceExhausted(f"the upload has {len(there)} photos already, which is the most it may have")

    def add(self, tenant: str, upload_id: str, filename: str, kind: str, data: bytes, sha256: str = "") -> Asset:
        """Keep one picture or model; an empty ``upload_id`` starts a new upload.

        Raises:
            InvalidInput: it is nothing that Heartwood reads, or not what ``sha256`` promised.
        """
        self.expect(tenant, upload_id, kind, len(data))
        actual = hashlib.sha256(data).hexdigest()
        if sha256 and sha256.lower() != actual:
            raise InvalidInput("header.sha256", f"{sha256[:64]!r} does not match the bytes received, {actual}")
        name = _plain_name(filename, kind)
        width = height = 0
        if kind == "model":
            found = intake.check_model_file(data, name, "data")
            media_type = found.media_type
            name = f"{PurePosixPath(name).stem}.{'zip' if found.archive else found.format.value}"
        else:
            info = intake.check_photo(data, "data")
            media_type, width, height = info.media_type, info.width, info.height
        asset = Asset(
            id=str(uuid.uuid4()),
            tenant=tenant,
            group_id=upload_id or str(uuid.uuid4()),
            kind=kind,
            name=name,
            media_type=media_type,
            size_bytes=len(data),
            sha256=self.parts.blobs.put(tenant, data),
            width=width,
            height=height,
            create_time=datetime.now(UTC),
        )
        self.parts.records.add_asset(asset)
        # Somebody may have deleted the last asset of the same bytes between the two lines above.
        self.parts.blobs.put(tenant, data)
        return asset

    def photos(self, tenant: str, upload_id: str) -> list[Asset]:
        """The photos of an upload in the order they came.

        Raises:
            NotFound: the tenant has no such upload.
        """
        found = [asset for kind in UPLOAD_KINDS for asset in self.parts.records.group(tenant, upload_id, kind)]
        if not found:
            raise NotFound("upload", upload_id)
        return [asset for asset in found if asset.kind == "photo"]

    def model(self, tenant: str, model_id: str, field: str) -> Asset:
        """The file of a model: the one uploaded, or the GLB that a job made.

        Raises:
            InvalidInput: no id is given.
            NotFound: the tenant has no such model.
        """
        if not model_id:
            raise InvalidInput(field, "it is empty; give the id of an uploaded model, or of one that a job made")
        found = self.parts.records.group(tenant, model_id, "model")
        if not found:
            raise NotFound("model", model_id)
        return min(found, key=lambda asset: (asset.name != MODEL_FILE, asset.media_type != "model/gltf-binary"))

    def get(self, tenant: str, asset_id: str) -> Asset:
        """The asset.

        Raises:
            NotFound: the tenant has no such asset.
        """
        asset = self.parts.records.asset(tenant, asset_id)
        if asset is None:
            raise NotFound("asset", asset_id)
        return asset

    def delete(self, tenant: str, asset_id: str) -> None:
        """Forget the asset, and what was kept from its content.

        Raises:
            NotFound: the tenant has no such asset.
            FailedPrecondition: a job that has not ended works on it.
        """
        asset = self.get(tenant, asset_id)
        for job in self.parts.records.active_jobs():
            if asset_id in job["inputs"] or _named(job["options"], "mask_asset_id", asset_id):
                raise FailedPrecondition(f"job {job['id']} works on this file; cancel it first", job=job["id"])
        for sha256 in self.parts.records.delete_asset(asset):
            self.parts.blobs.delete(tenant, sha256)


def _named(options: dict[str, Any], name: str, asset_id: str) -> bool:
    """Whether the options of a job, or of a stage of its pipeline, name the file."""
    stages = [options, *(stage for stage in options.values() if isinstance(stage, dict))]
    return any(stage.get(name) == asset_id for stage in stages)


def _plain_name(filename: str, kind: str) -> str:
    name = PureWindowsPath(PurePosixPath(filename).name).name
    return re.sub(r"[^\w .()+-]", "_", name)[:120].strip(" .") or kind
