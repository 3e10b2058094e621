"""The folder of the backups of one service: a subfolder per backup, and the blobs, which all backups share.

A backup contains its databases, ``blobs.txt`` with the keys of its blobs, and ``manifest.json``, which is written last.
A backup that was interrupted has a name that starts with ``.incomplete-``; the next backup deletes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import FailedPrecondition
from orchestrator.store.blobs import sha256_of

FORMAT = 1
"""Version of the layout of a backup. A backup with another one is refused."""
MANIFEST = "manifest.json"
KEYS = "blobs.txt"
INCOMPLETE = ".incomplete-"
CHUNK = 1 << 20
"""Size in bytes of the pieces in which files are read."""


@dataclass(frozen=True)
class Part:
    """One file of a backup."""

    file: str  # path in the backup
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup contains."""

    format: int
    heartwood: str  # version of Heartwood
    create_time: datetime  # of the snapshot of the records
    revision: str  # schema revision of the records
    records: str  # kind of the database: sqlite or postgresql
    jobs: str  # kind of the database of the durable jobs; empty: it is the SQLite file of the records
    counts: dict[str, int]  # rows of some tables of the records
    blobs: int
    missing: tuple[str, ...]  # keys of the blobs that the object store had lost
    parts: tuple[Part, ...]


MANIFEST_JSON = TypeAdapter(Manifest)


@dataclass(frozen=True)
class Backup:
    """A complete backup."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the backup: the time of its snapshot."""
        return self.path.name

    @property
    def blobs(self) -> Path:
        """Folder of the blobs, which the backups share."""
        return self.path.parent / "blobs"

    def manifest(self) -> Manifest:
        """Read the manifest. Raises FailedPrecondition if it is damaged or has another format."""
        try:
            manifest = MANIFEST_JSON.validate_json((self.path / MANIFEST).read_bytes())
        except (OSError, ValidationError):
            raise self.damaged(MANIFEST, "cannot be read") from None
        if manifest.format != FORMAT:
            known = f"this version of Heartwood reads format {FORMAT}"
            raise FailedPrecondition(f"the backup {self.name} has format {manifest.format}; {known}")
        return manifest

    def blob_keys(self) -> list[str]:
        """Return the keys of all blobs of the backup, with those that are missing."""
        return (self.path / KEYS).read_text().split()

    def damaged(self, file: str, problem: str) -> FailedPrecondition:
        """Return the error about a damaged file."""
        return FailedPrecondition(f"the backup {self.name} is damaged: {file} {problem}", backup=self.name, file=file)


class BackupFolder:
    """The folder of the backups of one service."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def backups(self) -> list[Backup]:
        """Return the complete backups, newest first."""
        manifests = sorted(self.path.glob(f"[0-9]*/{MANIFEST}"), reverse=True)
        return [Backup(manifest.parent) for manifest in manifests]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder if it does not exist, and lock it. Raises FailedPrecondition if another process uses it."""
        create_private_folder(self.path)
        with create_private(self.path / ".lock", exist_ok=True) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FailedPrecondition(f"another command works on the backups in {self.path}") from None
            for interrupted in self.path.glob(f"{INCOMPLETE}*"):
                shutil.rmtree(interrupted)
            yield

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a new folder for a backup, and delete it at the end unless it was renamed by ``complete``."""
        folder = self.path / f"{INCOMPLETE}{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def complete(self, scratch: Path, manifest: Manifest) -> Backup:
        """Write the manifest, and give the backup its name."""
        with create_private(scratch / MANIFEST) as file:
            file.write(MANIFEST_JSON.dump_json(manifest, indent=2))
        target = self.path / f"{manifest.create_time:%Y%m%dT%H%M%S.%f}"[:-3]
        for file_or_folder in (*scratch.rglob("*"), scratch):
            sync(file_or_folder)
        scratch.rename(target)
        sync(self.path)
        return Backup(target)


def part_of(folder: Path, file: Path) -> Part:
    """Return the size and hash of a file of a backup."""
    return Part(str(file.relative_to(folder)), file.stat().st_size, sha256_of(file))


def create_private(file: Path, *, exist_ok: bool = False) -> BinaryIO:
    """Create a file that only its owner may read, and open it for writing."""
    exclusive = 0 if exist_ok else os.O_EXCL
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | exclusive, 0o600), "wb")


def create_private_folder(folder: Path) -> None:
    """Create a folder that only its owner may read, and those above it, unless they exist."""
    if not folder.exists():
        create_private_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)


def sync(path: Path) -> None:
    """Write a file or a folder through to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
