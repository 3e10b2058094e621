"""Checks backups, and deletes old ones."""

from __future__ import annotations

import shutil

from orchestrator.backup.backup_folder import INCOMPLETE, Backup, BackupFolder, Manifest
from orchestrator.domain.progress import Progress
from orchestrator.store.blobs import sha256_of


def verify(backup: Backup, report: Progress) -> Manifest:
    """Compare every file of a backup with its SHA-256.

    Raises FailedPrecondition, which names the first damaged file.
    """
    manifest = backup.manifest()
    for part in manifest.parts:
        file = backup.path / part.file
        if not file.is_file():
            raise backup.damaged(part.file, "is missing")
        if file.stat().st_size != part.size_bytes:
            raise backup.damaged(part.file, f"has {file.stat().st_size} bytes instead of {part.size_bytes}")
        if sha256_of(file) != part.sha256:
            raise backup.damaged(part.file, "has another SHA-256 than in the manifest")
    keys = set(backup.blob_keys()) - set(manifest.missing)
    for number, key in enumerate(sorted(keys), 1):
        file = backup.blobs / key
        if not file.is_file():
            raise backup.damaged(f"blobs/{key}", "is missing")
        if sha256_of(file) != file.name:
            raise backup.damaged(f"blobs/{key}", "has another SHA-256 than in its name")
        report(number / len(keys), f"{number} of {len(keys)} files")
    return manifest


def prune(folder: BackupFolder, keep: int) -> tuple[int, int]:
    """Delete all but the newest backups, and the blobs that only those contain. Return the numbers of both."""
    with folder.locked():
        backups = folder.backups()
        kept, old = backups[:keep], backups[keep:]
        needed = {key for backup in kept for key in backup.blob_keys()}
        for backup in old:
            scratch = folder.path / f"{INCOMPLETE}{backup.name}"
            backup.path.rename(scratch)
            shutil.rmtree(scratch)
        blobs = folder.path / "blobs"
        unused = [file for file in blobs.rglob("*") if file.is_file() and str(file.relative_to(blobs)) not in needed]
        for file in unused:
            file.unlink()
    return len(old), len(unused)
