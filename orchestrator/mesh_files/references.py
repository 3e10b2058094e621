"""Rules for paths and URIs inside uploaded files: a reference must stay inside the upload."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote

from orchestrator.mesh_files.limits import InvalidMeshFile, quoted

MAX_URI = 1024
"""Maximum length of a URI or path, in characters."""
MAX_DECODINGS = 8
"""Maximum number of times a URI may be percent-encoded."""
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def path_problem(path: str) -> str:
    """Return the rule that ``path`` violates; empty for a relative path that stays in its folder.

    Stops path traversal: a file that makes a reader open files of the host or of the network.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "has a control character"
    if "\\" in path:
        return "has a backslash"
    if path.startswith("//"):
        return "names a host"
    if path.startswith("/"):
        return "is absolute"
    if SCHEME.match(path):
        return "has a scheme or a drive"
    if ".." in path.split("/"):
        return "leaves its folder with .."
    return ""


def referenced_file(uri: str, where: str) -> str:
    """Return the path, relative to the .gltf, that a relative URI refers to.

    Stops traversal hidden by percent-encoding: every form that repeated decoding gives must pass ``path_problem``,
    because readers differ in how often they decode.

    Raises:
        InvalidMeshFile: the URI refers to something outside the upload.
    """
    reason = "" if 0 < len(uri) <= MAX_URI else f"must have 1 to {MAX_URI} characters"
    form = uri
    for _ in range(MAX_DECODINGS):
        reason = reason or path_problem(form)
        if (decoded := unquote(form)) == form:
            break
        form = decoded
    else:
        reason = reason or f"is percent-encoded more than {MAX_DECODINGS} times"
    if reason:
        raise InvalidMeshFile(
            f"the URI {quoted(uri)} of {where} {reason}; allowed are data: URIs and paths inside the archive"
        )
    return posixpath.normpath(unquote(uri))
