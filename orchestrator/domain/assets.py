"""Stored files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime


@dataclass(frozen=True)
class Asset:
    """One stored file of a tenant."""

    id: str
    tenant: str
    group_id: str  # the upload, texture, mask set, model, render or export that it belongs to
    kind: str  # photo, mask, texture, preview, document, model, video, frame
    name: str  # photo.png, photo-0/albedo.png
    media_type: str
    size_bytes: int
    sha256: str
    width: int = 0
    height: int = 0
    create_time: datetime | None = None
    model_versions: Mapping[str, str] = dataclass_field(default_factory=dict)  # model → version of what made it
