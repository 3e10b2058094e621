"""Open a zip that anybody may have packed: bombs, paths that lead out and double names are refused first.

Zip's records are those of PKWARE's APPNOTE.TXT 6.3.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib

from orchestrator.mesh_files.gltf_json import leads_out
from orchestrator.mesh_files.limits import MAX_UNPACKED_BYTES, Refused, shown

MAX_ENTRIES = 2000
MAX_DIRECTORY_BYTES = MAX_ENTRIES * 1024
"""Python reads the directory before anybody can ask how long it is."""
MAX_RATIO, RATIO_FREE_BYTES = 200, 1 << 20
"""Meshes as text shrink to a tenth, plain pictures to a hundredth, zeros to a thousandth; small ones are let be."""
MAX_NAME_BYTES = 512
ARCHIVES = ("zip", "7z", "rar", "gz", "tgz", "bz2", "xz", "tar", "usdz", "jar")
SIGNATURES = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b\x08", b"\xfd7zXZ", b"BZh")
END, END_SIZE, LOCAL_SIZE = b"PK\x05\x06", 22, 30
LITTER = ("__MACOSX/", "desktop.ini", "Thumbs.db")


class Archive:
    """The entries of a zip: each a plain file with a relative name of its own, stored or deflated."""

    def __init__(self, data: bytes) -> None:
        """Read the directory.

        Raises:
            Refused: it is damaged, encrypted, too large once unpacked, or has an entry that may not be unpacked.
        """
        self.data = data
        _check_end(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError, OSError) as error:
            raise Refused(f"the archive is damaged: its directory can't be read ({type(error).__name__})") from None
        infos = self._zip.infolist()
        if len(infos) > MAX_ENTRIES:
            raise Refused(f"the archive has {len(infos)} entries; at most {MAX_ENTRIES} are allowed")
        self.entries: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            _check_entry(info)
            name = info.filename.removesuffix("/")
            if name in self.entries:
                raise Refused(f"the archive has two entries of the name {shown(name)}; allowed is one")
            self.entries[name] = info
        self._check_folders()
        unpacked = sum(info.file_size for info in infos)
        if unpacked > MAX_UNPACKED_BYTES:
            raise Refused(f"the archive unpacks to {unpacked} bytes; at most {MAX_UNPACKED_BYTES} are allowed")
        self.starts = _starts(data, infos)
        self._read: dict[str, bytes] = {}

    def names(self, *extensions: str) -> list[str]:
        """The files with one of ``extensions`` (lower case, without the dot), without what systems leave behind."""
        return [
            name
            for name, info in self.entries.items()
            if not info.is_dir()
            and extension(name) in extensions
            and not any(name.startswith(one) or name.rpartition("/")[2] == one for one in LITTER)
            and not name.rpartition("/")[2].startswith("._")
        ]

    def read(self, name: str, where: str) -> bytes:
        """Unpack one entry, whose size is known and bounded; where it says a false one, the archive is refused.

        Args:
            where: who asks for it, for the message.
        """
        info = self.entries.get(name)
        if info is None or info.is_dir():
            raise Refused(f"{where} names {shown(name)}, which isn't in the archive")
        if name not in self._read:
            try:
                with self._zip.open(info) as file:
                    made = file.read(info.file_size + 1)
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
                raise Refused(f"entry {shown(name)} of the archive is damaged ({type(error).__name__})") from None
            if len(made) != info.file_size:
                raise Refused(f"entry {shown(name)} says {info.file_size} bytes; it has another number of them")
            if made.startswith(SIGNATURES):
                raise Refused(f"entry {shown(name)} is an archive itself, which is not allowed")
            self._read[name] = made
        return self._read[name]

    def _check_folders(self) -> None:
        for name in self.entries:
            for at, one in enumerate(name):
                above = self.entries.get(name[:at]) if one == "/" else None
                if above is not None and not above.is_dir():
                    raise Refused(f"entry {shown(name)} of the archive lies in another that is a file")


def extension(name: str) -> str:
    """``png`` of ``textures/Wood.PNG``; nothing where there is none."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else ""


def _check_end(data: bytes) -> None:
    """Check the end record before Python's zipfile reads as much as it says."""
    at = data.rfind(END, max(0, len(data) - END_SIZE - 65535))
    if at < 0 or len(data) - at < END_SIZE:
        raise Refused("the archive is cut short: it has no directory at its end")
    disk, first, here, entries, size, offset, comment = struct.unpack_from("<HHHHIIH", data, at + 4)
    if data[at - 20 : at - 16] == b"PK\x06\x07" or 0xFFFF in (here, entries) or 0xFFFFFFFF in (size, offset):
        raise Refused(f"the archive is a Zip64; a model has at most {MAX_ENTRIES} entries and needs none")
    if entries > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
        raise Refused(f"the archive has {entries} entries in {size} bytes; at most {MAX_ENTRIES} entries are allowed")
    if at + END_SIZE + comment != len(data) or offset + size != at or disk or first or here != entries:
        raise Refused("the archive is damaged: its directory is not where its end says")


def _check_entry(info: zipfile.ZipInfo) -> None:
    name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
    if "\0" in info.orig_filename:
        raise Refused(f"entry {shown(info.orig_filename)} of the archive has a NUL in its name")
    reason = leads_out(name)
    parts = name.removesuffix("/").split("/")
    if not reason and any(part in ("", ".") or part != part.strip() for part in parts):
        reason = "has an empty part, a dot or a blank at an end"
    if not reason and len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        reason = f"is longer than {MAX_NAME_BYTES} bytes"
    if reason:
        raise Refused(f"the name {shown(name)} of an entry {reason}; allowed are relative paths that lead down")
    if kind == stat.S_IFLNK:
        raise Refused(f"entry {shown(name)} of the archive is a symlink; allowed are plain files")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Refused(f"entry {shown(name)} of the archive is a device or a pipe; allowed are plain files")
    if info.flag_bits & 0x2041:  # encrypted, strongly encrypted, or with a masked header
        raise Refused(f"entry {shown(name)} of the archive is encrypted, which is not allowed")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(f"entry {shown(name)} is packed by method {info.compress_type}; allowed are stored and deflate")
    if info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * info.compress_size:
        raise Refused(
            f"entry {shown(name)} unpacks {info.compress_size} bytes to {info.file_size}; "
            f"at most {MAX_RATIO} times as many are allowed"
        )
    if extension(name) in ARCHIVES:
        raise Refused(f"entry {shown(name)} is an archive itself, which is not allowed")


def _starts(data: bytes, infos: list[zipfile.ZipInfo]) -> dict[str, int]:
    """Where each entry's data begins; entries must not overlap, as those of a bomb do (Fifield 2019)."""
    starts: dict[str, int] = {}
    end = 0
    for info in sorted(infos, key=lambda one: one.header_offset):
        at = info.header_offset
        if data[at : at + 4] != b"PK\x03\x04" or len(data) < at + LOCAL_SIZE:
            raise Refused(f"entry {shown(info.filename)} of the archive is not where its directory says")
        name, extra = struct.unpack_from("<HH", data, at + 26)
        start = at + LOCAL_SIZE + name + extra
        if at < end or start + info.compress_size > len(data):
            raise Refused(f"entry {shown(info.filename)} of the archive overlaps another or the end")
        end = start + info.compress_size
        starts[info.filename.removesuffix("/")] = start
    return starts
