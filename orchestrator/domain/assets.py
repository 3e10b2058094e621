"""Files of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class StoredFile:
    """Hash, size and type of a file in the blob store."""

    sha256: str
    size_bytes: int
    media_type: str
    width: int = 0  # px; 0 if the file is not an image
    height: int = 0


@dataclass(frozen=True)
class FileInfo:
    """What the check of an uploaded file found."""

    media_type: str
    suffix: str = ""  # of a 3D model, by its content, without the dot
    width: int = 0  # px, upright; 0 for a 3D model
    height: int = 0


@dataclass(frozen=True)
class Asset:
    """One file of a tenant, with a name and an id."""

    id: str
    tenant: str
    group_id: str  # the upload that contains the file, or the group of the job that made it
    kind: str  # photo, mask, texture, preview, document, model, video, frame or cutout
    name: str  # such as chair.png or chair/albedo.png
    media_type: str
    size_bytes: int
    sha256: str
    width: int = 0
    height: int = 0
    create_time: datetime | None = None
    model_versions: Mapping[str, str] = field(default_factory=dict)  # of the models that contributed
