"""Finds the masks in a result folder of ``heartwood segment`` that the user edited, and uploads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from rich.text import Text

from orchestrator.cli.session import photo_folder
from orchestrator.cli.terminal import console
from orchestrator.client.client import Heartwood
from orchestrator.client.uploads import read_file
from orchestrator.protocol.heartwood.v1.asset_pb2 import ASSET_KIND_MASK, Asset
from orchestrator.protocol.heartwood.v1.segment_pb2 import SegmentedPhoto
from orchestrator.protocol.heartwood.v1.stain_pb2 import EditedMask


def upload_edited_masks(client: Heartwood, job_id: str, folder: Path, photos: Sequence[Path]) -> list[EditedMask]:
    """Upload the masks in ``folder`` that differ from those of the segment job or pipeline, and print their paths.

    The job's photos are matched with ``photos`` by content. Photos that the job did not process have no masks here; the
    service reports them.
    """
    job = client.job(job_id)
    segmented = (job.pipeline.segment if job.HasField("pipeline") else job.segment).photos
    hashes = {asset.id: asset.sha256 for asset in client.list_assets(job.spec.upload_id)}
    edited: list[EditedMask] = []
    for index, photo in enumerate(photos):
        content = hashlib.sha256(read_file(photo)).hexdigest()
        same_index_first = sorted(range(len(segmented)), key=lambda other: other != index)
        matching = [n for n in same_index_first if hashes.get(segmented[n].photo_asset_id) == content]
        for name, mask in _masks(segmented[matching[0]]) if matching else ():
            file = photo_folder(mask, folder, several_photos=len(segmented) > 1) / PurePosixPath(mask.name).name
            if file.exists() and hashlib.sha256(data := read_file(file)).hexdigest() != mask.sha256:
                console.print(Text.assemble(("edited", "green"), f" {file}"))
                upload = client.upload_bytes(data, file.name, kind=ASSET_KIND_MASK)
                edited.append(EditedMask(photo=index, part=name, mask_asset_id=upload.id))
    if not edited:
        console.print(Text(f"no mask of these photos in {folder} was edited"))
    return edited


def _masks(photo: SegmentedPhoto) -> Iterator[tuple[str, Asset]]:
    """Yield each mask of a photo with the name that ``EditedMask.part`` has for it."""
    for component in photo.components:
        yield component.instance, component.mask
    for name in ("foreground", "wood"):
        if photo.HasField(name):
            yield name, getattr(photo, name)
