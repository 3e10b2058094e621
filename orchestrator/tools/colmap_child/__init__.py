"""The child process of ``tools.colmap``. Only it imports ``pycolmap``, whose native code may crash."""
