"""Checks of uploaded 3D files.

Cheap checks run first, in this process and without reading geometry: sizes, counts, references, and defects that the
readers do not report. Then a reader parses the whole file in a sandbox; see ``orchestrator.tools.mesh_readers``.
"""
