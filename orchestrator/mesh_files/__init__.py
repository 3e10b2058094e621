"""Checks of uploaded 3D files.

Each module checks one file format, in this process and without reading geometry: sizes, counts from headers, nesting
and paths. A real reader (glTF-Transform and the Khronos validator, Blender, or USD) then reads the file in a sandbox;
see ``orchestrator.tools.mesh_readers``.
"""
