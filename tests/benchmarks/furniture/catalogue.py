"""Read furniture models out of Debian's package ``sweethome3d-furniture`` (``.sh3f`` are zip files)."""

from __future__ import annotations

import re
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PICKS = Path(__file__).with_name("picks.toml")
# What the package's copyright file says of each library, and only licences that let us render and show.
ARCHIVE_LICENSES = {"BlendSwap-CC-0": "CC0-1.0", "BlendSwap-CC-BY": "CC-BY-3.0", "Scopia": "CC-BY-3.0"}


@dataclass(frozen=True)
class Model:
    """One entry of a library's catalogue. ``path`` is the OBJ inside the archive."""

    name: str
    author: str
    path: str
    height_m: float


def read_catalogue(archive: Path) -> dict[str, Model]:
    """Return the library's models by their path inside the archive."""
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
    """Unpack the model's folder (OBJ, MTL, textures, licence) into ``folder``; return the OBJ."""
    prefix = model_path.rsplit("/", 1)[0] + "/"
    with zipfile.ZipFile(archive) as library:
        library.extractall(folder, [name for name in library.namelist() if name.startswith(prefix)])
    return folder / model_path


def read_picks() -> dict[str, Any]:
    """Return ``picks.toml``: ``rooms`` by name, and the lists ``pick`` and ``demo``."""
    return tomllib.loads(PICKS.read_text(encoding="utf-8"))
