"""Checks a Wavefront OBJ and its MTL files. Geometry is left to Blender."""

from __future__ import annotations

import re

from orchestrator.mesh_files.limits import InvalidMeshFile, check_triangles, check_vertices, quoted
from orchestrator.mesh_files.mesh_file import MeshFile
from orchestrator.mesh_files.references import MAX_URI, path_problem
from orchestrator.mesh_files.text import check_text, check_vertex_lines
from orchestrator.mesh_files.textures import TEXTURE_EXTENSIONS, check_textures

LIBRARY = re.compile(rb"\n[ \t]*(mtllib)[ \t]([^\n]*)")
TEXTURE = re.compile(rb"\n[ \t]*(map_\w+|bump|disp|decal|refl|norm)[ \t]+([^\n]+)", re.IGNORECASE)
OPTION = re.compile(r"\s*-(?:(?:o|s|t)(?:\s+[-+.\deE]+){1,3}|mm(?:\s+[-+.\deE]+){2}|[a-zA-Z]+\s+[^\s]+)\s+")
"""An option before the path of a texture, such as ``-s 1 1 1``."""


def check_obj(mesh: MeshFile) -> None:
    """Check an OBJ, and all MTL files and textures beside it.

    Raises:
        InvalidMeshFile: it is not text, has too many lines of a kind, or refers to a file outside the upload.
    """
    text = check_text(mesh.data, "OBJ")
    check_vertices(text.count(b"\nv "))
    check_triangles(text.count(b"\nf "))
    check_vertex_lines(text, b"v", "OBJ")
    _check_paths(text, LIBRARY)
    if mesh.archive is not None:
        for name in mesh.archive.files_with("mtl"):
            _check_paths(check_text(mesh.archive.read(name), "MTL"), TEXTURE)
        check_textures(mesh.archive, mesh.archive.files_with(*TEXTURE_EXTENSIONS))


def _check_paths(text: bytes, pattern: re.Pattern[bytes]) -> None:
    """Stop path traversal by ``mtllib`` and by the textures of an MTL. Windows separators count as ``/``."""
    for keyword, value in set(pattern.findall(text)):
        path = value.decode("utf-8", "replace").strip()
        while pattern is TEXTURE and (option := OPTION.match(path)):
            path = path[option.end() :]
        path = path.strip().strip('"').replace("\\", "/")
        problem = path_problem(path) or (f"is longer than {MAX_URI} characters" if len(path) > MAX_URI else "")
        if problem:
            raise InvalidMeshFile(
                f"the path {quoted(path)} of {keyword.decode()} {problem}; allowed are paths inside the archive"
            )
