"""Checks the counts of an STL. Geometry is left to Blender."""

from __future__ import annotations

from orchestrator.mesh_files.formats import HEAD_BYTES, STL_HEADER_SIZE, binary_stl_size, is_binary_stl
from orchestrator.mesh_files.limits import InvalidMeshFile, check_triangles, empty_scene
from orchestrator.mesh_files.mesh_file import MeshFile
from orchestrator.mesh_files.text import check_text, check_vertex_lines


def check_stl(mesh: MeshFile) -> None:
    """Check an STL.

    Stops a facet count that makes a reader allocate more than the file holds.

    Raises:
        InvalidMeshFile: the facet count does not fit the size or is too large, or the text is damaged.
    """
    data = mesh.data
    is_text = data.lstrip().startswith(b"solid") and b"\0" not in data[:HEAD_BYTES]
    if is_text and not is_binary_stl(data):
        check_triangles(data.count(b"endfacet"))
        check_vertex_lines(check_text(data, "STL"), b"vertex", "STL")
        return
    if len(data) < STL_HEADER_SIZE:
        raise InvalidMeshFile(f"the STL is cut short: it has {len(data)} bytes; its header needs {STL_HEADER_SIZE}")
    count = int.from_bytes(data[80:84], "little")
    if not count:
        raise empty_scene("the STL has 0 triangles")
    check_triangles(count)
    if len(data) != binary_stl_size(data):
        raise InvalidMeshFile(
            f"the STL declares {count} triangles, which need {binary_stl_size(data)} bytes; it has {len(data)}"
        )
