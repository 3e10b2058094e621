"""Writes CREDITS.md, the authors of the third-party furniture in the data set: ``python -m …dataset.credits``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from export_models.dataset.labels import read_labels

CREDITS = Path(__file__).with_name("CREDITS.md")
LICENSE_LINKS = {
    "CC0-1.0": "[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/)",
    "CC-BY-3.0": "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/)",
    "CC-BY-3.0-US": "[CC BY 3.0 US](https://creativecommons.org/licenses/by/3.0/us/)",
}


def credits_page() -> str:
    """Return the page: the titles of the 3D models by licence and author."""
    meshes = sorted(read_labels(), key=lambda mesh: (mesh.license, mesh.author.lower(), mesh.title.lower()))
    lines = [
        "# Third-party 3D models of furniture",
        "",
        "The training, validation and test images of version 2 of the models show these 3D models with other surfaces",
        "and in other rooms. They come from Debian's package `sweethome3d-furniture`; none is in this repository.",
    ]
    for license_id, with_license in groupby(meshes, key=lambda mesh: mesh.license):
        lines += ["", f"## {LICENSE_LINKS[license_id]}", ""]
        for author, by_author in groupby(with_license, key=lambda mesh: mesh.author):
            titles = ", ".join(dict.fromkeys(mesh.title for mesh in by_author))
            lines.append(f"- **{author}**: {titles}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    CREDITS.write_text(credits_page(), encoding="utf-8")
    print(CREDITS)
