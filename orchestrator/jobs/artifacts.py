"""Turns what a stage made into files of the tenant, the same ones however often the step runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from orchestrator.domain.assets import Asset
from orchestrator.jobs.dependencies import Parts

NAMESPACE = uuid.UUID("6b0c7f5e-52fd-4d3a-9a2b-0d6a5b8f1f10")


def group_id(job_id: str) -> str:
    """The texture or mask set of a job."""
    return str(uuid.uuid5(NAMESPACE, f"{job_id}/group"))


def store(parts: Parts, tenant: str, data: bytes, media_type: str, width: int = 0, height: int = 0) -> dict[str, Any]:
    """Keep ``data`` and return what a record needs to name it."""
    sha256 = parts.blobs.put(tenant, data)
    return {"sha256": sha256, "size_bytes": len(data), "media_type": media_type, "width": width, "height": height}


def publish(
    parts: Parts, job: dict[str, Any], kind: str, name: str, stored: dict[str, Any], versions: Mapping[str, str]
) -> str:
    """Make ``stored`` an asset of the job; return its id, which job and name alone decide."""
    asset = Asset(
        id=str(uuid.uuid5(NAMESPACE, f"{job['id']}/{name}")),
        tenant=job["tenant"],
        group_id=group_id(job["id"]),
        kind=kind,
        name=name,
        model_versions=versions,
        **stored,
    )
    return parts.records.add_asset(asset, job_id=job["id"]).id
