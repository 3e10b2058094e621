"""The child process of ``tools.colmap``: ``python -m orchestrator.tools.colmap_child JOB.json``.

It is the only code that imports ``pycolmap``, whose native code may crash.
"""
