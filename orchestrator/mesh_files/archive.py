"""Reads zip archives from untrusted sources (PKWARE's APPNOTE.TXT 6.3)."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from orchestrator.mesh_files.limits import MAX_UNPACKED_BYTES, InvalidMeshFile, quoted

MAX_ENTRIES = 2000
"""Maximum number of entries. A 3D model with its textures has at most some hundred files."""
MAX_DIRECTORY_BYTES = MAX_ENTRIES * 1024
"""Maximum size of the central directory, which ``zipfile`` reads as a whole."""
MAX_RATIO = 200
"""Maximum compression ratio of an entry. Meshes as text reach 10, images of one colour 100, zeros 1000."""
RATIO_FREE_BYTES = 1 << 20
"""Entries up to this unpacked size may have any compression ratio."""
MAX_NAME_BYTES = 512
"""Maximum length of an entry's name in UTF-8."""
MAX_PART_BYTES = 255
"""Maximum length of a part of a name, between slashes, in UTF-8: that of a file name in Linux, macOS and Windows."""
ARCHIVE_EXTENSIONS = ("zip", "7z", "rar", "gz", "tgz", "bz2", "xz", "tar", "usdz", "jar")
ARCHIVE_SIGNATURES = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b\x08", b"\xfd7zXZ", b"BZh")
END_SIGNATURE = b"PK\x05\x06"
END_SIZE = 22
"""Size of the end record without its comment."""
MAX_COMMENT_BYTES = 65535
ZIP64_LOCATOR_SIGNATURE = b"PK\x06\x07"
ZIP64_LOCATOR_SIZE = 20
LOCAL_SIGNATURE = b"PK\x03\x04"
LOCAL_SIZE = 30
"""Size of a local header without its name and extra field."""
ENCRYPTION_FLAGS = 0x2041
"""Flag bits of an entry: encrypted (0), strongly encrypted (6), masked local header (13)."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
FILE_TYPES = (0, stat.S_IFREG, stat.S_IFDIR)  # 0 if the archive stores no file type
SYSTEM_FILE = re.compile(r"__MACOSX/.*|(?:.*/)?(?:desktop\.ini|Thumbs\.db|\._[^/]*)", re.DOTALL)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


class Archive:
    """The entries of a zip. Every entry is a plain file or a folder, stored or deflated, with a unique relative name.

    Attributes:
        data_offsets: where the data of each entry begins, by name.

    Raises:
        InvalidMeshFile: the zip is damaged, encrypted or too large once unpacked, or an entry is not allowed.
    """

    def __init__(self, data: bytes) -> None:
        _check_end_record(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError, OSError) as error:
            problem = f"its directory cannot be read ({type(error).__name__})"
            raise InvalidMeshFile(f"the archive is damaged: {problem}") from None
        infos = self._zip.infolist()
        if len(infos) > MAX_ENTRIES:
            raise InvalidMeshFile(f"the archive has {len(infos)} entries; at most {MAX_ENTRIES} are allowed")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            _check_entry(info)
            name = info.filename.removesuffix("/")
            if name in self._entries:
                raise InvalidMeshFile(f"the archive has two entries named {quoted(name)}; names must be unique")
            self._entries[name] = info
        self._check_folders()
        unpacked = sum(info.file_size for info in infos)
        if unpacked > MAX_UNPACKED_BYTES:
            raise InvalidMeshFile(f"the archive unpacks to {unpacked} bytes; at most {MAX_UNPACKED_BYTES} are allowed")
        self.data_offsets = _data_offsets(data, infos)

    def files(self) -> list[str]:
        """The names of all entries that are files, in the order of the directory."""
        return [name for name, info in self._entries.items() if not info.is_dir()]

    def files_with(self, *extensions: str) -> list[str]:
        """The files with one of ``extensions`` (lower case, no dot). Files that operating systems add are left out."""
        return [name for name in self.files() if extension(name) in extensions and not SYSTEM_FILE.fullmatch(name)]

    def read(self, name: str) -> bytes:
        """Unpack one file.

        Raises:
            InvalidMeshFile: the entry is damaged, has another size than declared, or is an archive.
        """
        info = self._entries[name]
        try:
            with self._zip.open(info) as file:
                data = file.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise InvalidMeshFile(f"entry {quoted(name)} of the archive is damaged ({type(error).__name__})") from None
        if len(data) != info.file_size:
            raise InvalidMeshFile(f"entry {quoted(name)} declares {info.file_size} bytes but has another size")
        if data.startswith(ARCHIVE_SIGNATURES):
            raise InvalidMeshFile(f"entry {quoted(name)} is an archive itself, which is not allowed")
        return data

    def unpack(self, folder: Path) -> None:
        """Write all files into ``folder``."""
        for name in self.files():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.read(name))

    def _check_folders(self) -> None:
        """Reject an entry whose path leads through another entry that is a file, because it cannot be unpacked."""
        files = set(self.files())
        for name in self._entries:
            if not files.isdisjoint(str(parent) for parent in PurePosixPath(name).parents):
                problem = "lies in another entry that is a file, not a folder"
                raise InvalidMeshFile(f"entry {quoted(name)} of the archive {problem}")


def extension(name: str) -> str:
    """Return the extension in lower case without its dot: ``png`` for ``textures/Wood.PNG``."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name else ""


def path_problem(path: str) -> str:
    """Describe why ``path`` is not allowed; empty for a relative path that stays in its folder.

    Other paths would let an uploaded file make a reader open files of the host or of the network (path traversal).
    """
    problems = {
        "has a control character": CONTROL.search(path),
        "has a backslash": "\\" in path,
        "names a host": path.startswith("//"),
        "is absolute": path.startswith("/"),
        "has a scheme or a drive": SCHEME.match(path),
        "leaves its folder with ..": ".." in path.split("/"),
    }
    return next((problem for problem, is_violated in problems.items() if is_violated), "")


def _check_end_record(data: bytes) -> None:
    """Reject archives whose end record makes ``zipfile`` read a huge directory, or hides a second archive."""
    at = data.rfind(END_SIGNATURE, max(0, len(data) - END_SIZE - MAX_COMMENT_BYTES))
    if at < 0 or len(data) - at < END_SIZE:
        raise InvalidMeshFile("the archive is cut short: it has no directory at its end")
    disk, first_disk, disk_entries, entries, size, offset, comment_size = struct.unpack_from("<HHHHIIH", data, at + 4)
    if data[at - ZIP64_LOCATOR_SIZE : at].startswith(ZIP64_LOCATOR_SIGNATURE):
        raise InvalidMeshFile("the archive is a Zip64, which is not allowed; save it as a plain zip")
    if size > MAX_DIRECTORY_BYTES:
        raise InvalidMeshFile(f"the archive has a directory of {size} bytes; at most {MAX_DIRECTORY_BYTES} are allowed")
    has_gaps = at + END_SIZE + comment_size != len(data) or offset + size != at
    if has_gaps or disk or first_disk or disk_entries != entries:
        raise InvalidMeshFile("the archive is damaged: its directory is not where its end record points")


def _check_entry(info: zipfile.ZipInfo) -> None:
    """Reject names that lead outside the folder, links, devices, encryption, zip bombs and nested archives."""
    name, method, packed, unpacked = info.orig_filename, info.compress_type, info.compress_size, info.file_size
    file_type = stat.S_IFMT(info.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    problems = {
        f"has a name that {path_problem(name)}; names must stay inside the archive": path_problem(name),
        "has a name with an empty part, with a dot as a part, or with a blank at an end of a part": any(
            part in ("", ".") or part != part.strip() for part in parts
        ),
        f"has a name of more than {MAX_NAME_BYTES} bytes": _bytes_of(name) > MAX_NAME_BYTES,
        f"has a name with a part of more than {MAX_PART_BYTES} bytes": max(map(_bytes_of, parts)) > MAX_PART_BYTES,
        "is a symlink, a device or a pipe; allowed are plain files": file_type not in FILE_TYPES,
        "is encrypted, which is not allowed": info.flag_bits & ENCRYPTION_FLAGS,
        f"is compressed with method {method}; allowed are stored and deflate": method not in METHODS,
        f"unpacks from {packed} to {unpacked} bytes; at most {MAX_RATIO} times the packed size is allowed": (
            unpacked > max(RATIO_FREE_BYTES, MAX_RATIO * packed)
        ),
        "is an archive itself, which is not allowed": extension(name) in ARCHIVE_EXTENSIONS,
    }
    for problem, is_violated in problems.items():
        if is_violated:
            raise InvalidMeshFile(f"entry {quoted(name)} of the archive {problem}")


def _bytes_of(name: str) -> int:
    return len(name.encode("utf-8", "replace"))


def _data_offsets(data: bytes, infos: list[zipfile.ZipInfo]) -> dict[str, int]:
    """Return where each entry's data begins.

    Rejects entries that overlap: zip bombs share the same bytes among entries (Fifield, "A better zip bomb", 2019).
    """
    offsets: dict[str, int] = {}
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        at = info.header_offset
        if data[at : at + 4] != LOCAL_SIGNATURE or len(data) < at + LOCAL_SIZE:
            raise InvalidMeshFile(f"entry {quoted(info.filename)} of the archive is not where the directory points")
        name_size, extra_size = struct.unpack_from("<HH", data, at + 26)
        start = at + LOCAL_SIZE + name_size + extra_size
        if at < end or start + info.compress_size > len(data):
            problem = "overlaps another entry or the end of the file"
            raise InvalidMeshFile(f"entry {quoted(info.filename)} of the archive {problem}")
        end = start + info.compress_size
        offsets[info.filename.removesuffix("/")] = start
    return offsets
