"""Decodes one file in every way in which the service decodes it. Raises InvalidInput if the service refuses it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from orchestrator.decoding.tasks import check_mask
from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import BLACK, focal_length_35mm, probe_photo, read_photo
from orchestrator.mesh_files import check, precheck
from orchestrator.mesh_files.limits import InvalidMeshFile

SMALL_SIDE = 40
FAULTS = ("none", "crash", "error", "file", "message")


def check_photo(data: bytes, _: str, __: Path) -> None:
    """Decode a photo as at its upload. A photo that is accepted then must also be usable in every kind of job."""
    info = probe_photo(data, "data")
    photo = read_photo(data, "data")
    if photo.shape != (info.height, info.width, 3):
        raise AssertionError(f"the header states {info.width}×{info.height}, the photo has the shape {photo.shape}")
    try:
        small, mask = read_photo(data, "data", SMALL_SIDE), read_photo(data, "data", backdrop=BLACK).max(axis=2)
    except InvalidInput as error:
        raise AssertionError(f"the upload was accepted, but a job refuses it: {error.message}") from error
    if max(small.shape[:2]) != SMALL_SIDE if max(photo.shape) > SMALL_SIDE else small.shape != photo.shape:
        raise AssertionError(f"the small photo has the shape {small.shape}")
    if mask.shape != photo.shape[:2]:
        raise AssertionError(f"the mask has the shape {mask.shape}")
    if not 0 <= focal_length_35mm(data, "data") < 1e5:
        raise AssertionError("the focal length is out of range")
    check_mask(data, "data", photo.size)


def fail(data: bytes, _: str, __: Path) -> None:
    """Fail in the way that the first byte selects, to test that a run notices it."""
    if data[0] == FAULTS.index("crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data[0] == FAULTS.index("error"):
        raise KeyError(data[0])
    if data[0] == FAULTS.index("file"):
        Path("/etc/passwd").read_bytes()
    if data[0] == FAULTS.index("message"):
        raise InvalidInput("data", "site-packages")


def check_mesh_without_reader(data: bytes, filename: str, scratch: Path) -> None:
    """Run the checks before the reader, and write the files that the reader would read."""
    folder = scratch / "inside" / "upload"
    try:
        mesh = precheck.precheck(data, filename)
        path = mesh.write(folder)
    except InvalidMeshFile as error:
        raise InvalidInput("data", str(error)) from None
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise AssertionError(f"the mesh file is {path}")
    outside = {*scratch.iterdir(), *folder.parent.iterdir()} - {folder.parent, folder}
    links = [entry for entry in folder.rglob("*") if entry.is_symlink()]
    if outside or links:
        raise AssertionError(f"the archive was unpacked to {outside or links}")


def check_mesh_with_reader(data: bytes, filename: str, _: Path) -> None:
    """Check a 3D file completely, with the sandboxed reader of its format."""
    info = check.check_mesh(data, filename, "data")
    if info.triangles < 0:
        raise AssertionError(f"the file has {info.triangles} triangles")
