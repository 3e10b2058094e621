"""Checks of uploaded 3D files.

Cheap checks run in this process, without reading geometry: sizes, counts, references, and defects that a reader does
not report. A real reader then reads the file in a sandbox; see ``orchestrator.tools.mesh_readers``.
"""
