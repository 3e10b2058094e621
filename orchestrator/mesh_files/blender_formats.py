"""Checks OBJ, STL, PLY and FBX: counts, paths, and defects that Blender's importers do not report as errors.

Every check raises InvalidMeshFile.
"""

from __future__ import annotations

import re

from orchestrator.mesh_files.archive import path_problem
from orchestrator.mesh_files.limits import InvalidMeshFile, check_count, quoted
from orchestrator.mesh_files.mesh_file import MeshFile, binary_stl_size, is_text
from orchestrator.mesh_files.textures import TEXTURE_EXTENSIONS, check_textures

MAX_LINE_BYTES = 64 << 10
"""Maximum length of a line of an OBJ or MTL. It fits a polygon of some thousand corners. No exporter exceeds it."""
LONG_LINE = re.compile(rb"\n[^\n]{%d}" % (MAX_LINE_BYTES + 1))
# The possessive quantifiers of these patterns keep the time linear in the length of a line.
NUMBER = rb"[ \t]++[-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+"
BAD_VERTEX = re.compile(rb"\n[ \t]*((?:v|vertex)(?!%s%s%s(?:\s|\Z))[ \t][^\n]*)" % (NUMBER, NUMBER, NUMBER))
"""A line of an OBJ or a text STL with a vertex that does not have three numbers."""
MTLLIB_LINE = re.compile(rb"\n[ \t]*(mtllib)[ \t]([^\n]*)")
TEXTURE_LINE = re.compile(rb"\n[ \t]*(map_\w+|bump|disp|decal|refl|norm)[ \t]+([^\n]+)", re.IGNORECASE)
TEXTURE_OPTION = re.compile(r"\s*-(?:(?:o|s|t)(?:\s+[-+.\deE]+){1,3}|mm(?:\s+[-+.\deE]+){2}|[a-zA-Z]+\s+[^\s]+)\s+")
"""An option before the path of a texture, such as ``-s 1 1 1``."""
MAX_PLY_HEADER_BYTES = 64 << 10
PLY_HEADER_END = re.compile(rb"(?:^|[\r\n])end_header[ \t]*(?:\r\n|\n|\r)")
PLY_INTEGER = "u?(?:char|short|int)|u?int(?:8|16|32)"
PLY_TYPE = f"{PLY_INTEGER}|float(?:32|64)?|double"
PLY_HEADER_LINE = re.compile(
    rf"(?:comment|obj_info)\b.*|format (?:ascii|binary_(?:little|big)_endian) \S+|element \S+ \d{{1,12}}"
    rf"|property (?:{PLY_TYPE}) \S+|property list (?:{PLY_INTEGER}) (?:{PLY_TYPE}) \S+|"
)
NOT_A_NUMBER = re.compile(rb"(?<!\S)[-+.\deE]*+[^-+.\deE\s]\S*")
FBX_VERSION_OFFSET = 23
MIN_FBX_VERSION = 7100


def check_obj(mesh: MeshFile) -> None:
    """Check an OBJ, and all MTL files and textures beside it.

    Rejects path traversal, coordinates that Blender reads as 0, and small texture files that decode to gigabytes.
    """
    text = _lines(mesh.data, "OBJ")
    check_count(text.count(b"\nv "), "vertices")
    check_count(text.count(b"\nf "), "triangles")  # each face has at least one
    _check_vertices(text, "OBJ")
    _check_paths(text, MTLLIB_LINE)
    if mesh.archive is not None:
        for name in mesh.archive.files_with("mtl"):
            _check_paths(_lines(mesh.archive.read(name), "MTL"), TEXTURE_LINE)
        check_textures(mesh.archive, mesh.archive.files_with(*TEXTURE_EXTENSIONS))


def check_stl(mesh: MeshFile) -> None:
    """Reject facet counts that do not fit the file size, and vertices that are not numbers. Blender accepts both."""
    size, declared = len(mesh.data), binary_stl_size(mesh.data)
    if size != declared and mesh.data.lstrip().startswith(b"solid") and is_text(mesh.data):
        _check_vertices(_lines(mesh.data, "STL"), "STL")
    elif size != declared:
        count = int.from_bytes(mesh.data[80:84], "little")
        raise InvalidMeshFile(f"the STL declares {count} triangles, which need {declared} bytes; it has {size}")


def check_fbx(mesh: MeshFile) -> None:
    """Reject versions that Blender reads as an empty scene, and textures that are too large, even unused ones."""
    version = int.from_bytes(mesh.data[FBX_VERSION_OFFSET : FBX_VERSION_OFFSET + 4], "little")
    if version < MIN_FBX_VERSION:
        raise InvalidMeshFile(f"the FBX has version {version}; the oldest allowed version is {MIN_FBX_VERSION}")
    if mesh.archive is not None:
        check_textures(mesh.archive, mesh.archive.files_with(*TEXTURE_EXTENSIONS))


def check_ply(mesh: MeshFile) -> None:
    """Check the header of a PLY (Turk, "The PLY polygon file format", 1994), and the body of a text PLY.

    Rejects counts that crash Blender or exhaust the memory, and properties and words that Blender reads as 0.
    """
    end = PLY_HEADER_END.search(mesh.data[:MAX_PLY_HEADER_BYTES])
    if end is None:
        raise InvalidMeshFile(f"the PLY's header has no end_header in its first {MAX_PLY_HEADER_BYTES} bytes")
    lines = [" ".join(line.split()) for line in mesh.data[: end.start()].decode("ascii", "replace").splitlines()[1:]]
    element = ""
    for line in lines:
        if not PLY_HEADER_LINE.fullmatch(line) or (line.startswith("property list") and element != "face"):
            rule = (
                "formats are ascii, binary_little_endian and binary_big_endian; "
                "only faces may have lists, whose lengths are integers"
            )
            raise InvalidMeshFile(f"the PLY's header has the line {quoted(line)}, which is not allowed; {rule}")
        if line.startswith("element "):
            _, element, count = line.split()
            check_count(int(count), "triangles" if element == "face" else "vertices")
    is_ascii = any(line.startswith("format ascii") for line in lines)
    if is_ascii and (word := NOT_A_NUMBER.search(mesh.data, end.end())):
        raise InvalidMeshFile(f"the PLY has {quoted(word[0][:80].decode('utf-8', 'replace'))} in place of a number")


def _lines(data: bytes, format: str) -> bytes:
    """Return the text with a ``\\n`` before each line, for the patterns above. Continued lines are joined."""
    if not is_text(data):
        raise InvalidMeshFile(f"the {format} is not text: it has NUL bytes")
    text = b"\n" + re.sub(rb"\\\r?\n", b" ", data).replace(b"\r", b"\n")
    if LONG_LINE.search(text):
        raise InvalidMeshFile(f"a line of the {format} is too long; at most {MAX_LINE_BYTES} bytes are allowed")
    return text


def _check_vertices(text: bytes, format: str) -> None:
    if match := BAD_VERTEX.search(text):
        line = match[1].decode("utf-8", "replace")
        raise InvalidMeshFile(f"a line of the {format} is {quoted(line)}; a vertex needs three numbers")


def _check_paths(text: bytes, pattern: re.Pattern[bytes]) -> None:
    """Check the paths of ``mtllib`` and of the textures of an MTL. Windows separators count as ``/``."""
    for keyword, value in set(pattern.findall(text)):
        path = value.decode("utf-8", "replace").strip()
        while pattern is TEXTURE_LINE and (option := TEXTURE_OPTION.match(path)):
            path = path[option.end() :]
        path = path.strip().strip('"').replace("\\", "/")
        if problem := path_problem(path):
            rule = "allowed are paths inside the archive"
            raise InvalidMeshFile(f"the path {quoted(path)} of {keyword.decode()} {problem}; {rule}")
