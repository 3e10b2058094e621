"""Reads furniture models from Debian's package ``sweethome3d-furniture``. Its ``.sh3f`` files are ZIP archives."""

from __future__ import annotations

import re
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PICKS = Path(__file__).with_name("picks.toml")
ARCHIVE_LICENSES = {"BlendSwap-CC-0": "CC0-1.0", "BlendSwap-CC-BY": "CC-BY-3.0", "Scopia": "CC-BY-3.0"}
"""Licence of each library that may be rendered and published, from the copyright file of the package."""


@dataclass(frozen=True)
class Model:
    """One entry in the catalogue of a library. ``path`` is the OBJ file inside the archive."""

    name: str
    author: str
    path: str
    height_m: float


def read_catalogue(archive: Path) -> dict[str, Model]:
    """Return the models of a library by their path inside the archive."""
    with zipfile.ZipFile(archive) as library:
        text = library.read("PluginFurnitureCatalog.properties").decode("latin-1")
    entries: dict[str, dict[str, str]] = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)\s*=\s*(.*?)\s*$", text, re.MULTILINE):
        entries.setdefault(number, {})[key] = value
    return {
        entry["model"].lstrip("/"): Model(
            entry["name"], entry.get("creator", "unknown"), entry["model"].lstrip("/"), float(entry["height"]) / 100
        )
        for entry in entries.values()
        if "model" in entry and "height" in entry
    }


def unpack_model(archive: Path, model_path: str, folder: Path) -> Path:
    """Unpack the folder of a model (OBJ, MTL, textures, licence) into ``folder`` and return the OBJ file."""
    prefix = model_path.rsplit("/", 1)[0] + "/"
    with zipfile.ZipFile(archive) as library:
        library.extractall(folder, [name for name in library.namelist() if name.startswith(prefix)])
    return folder / model_path


def read_picks() -> dict[str, Any]:
    """Return the content of ``picks.toml``: ``rooms`` by name, and the lists ``pick`` and ``demo``."""
    return tomllib.loads(PICKS.read_text(encoding="utf-8"))
