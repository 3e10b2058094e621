"""Write CREDITS.md, who made the furniture that the data set shows: ``python -m export_models.dataset.credits``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from export_models.dataset.labels import read_labels

FILE = Path(__file__).with_name("CREDITS.md")
NAMES = {
    "CC0-1.0": "[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/)",
    "CC-BY-3.0": "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/)",
    "CC-BY-3.0-US": "[CC BY 3.0 US](https://creativecommons.org/licenses/by/3.0/us/)",
}


def credits() -> str:
    """The page: each licence, each author, their models' titles."""
    models = sorted(read_labels(), key=lambda one: (one.license, one.author.lower(), one.title.lower()))
    lines = [
        "# Furniture models by others",
        "",
        "From Debian's package `sweethome3d-furniture`; none is in this repository. They were rendered in other",
        "surfaces and rooms to train, watch and test version 2 of the models.",
    ]
    for licence, of_licence in groupby(models, key=lambda one: one.license):
        lines += ["", f"## {NAMES[licence]}", ""]
        for author, of_author in groupby(of_licence, key=lambda one: one.author):
            titles = ", ".join(dict.fromkeys(one.title for one in of_author))
            lines.append(f"- **{author}**: {titles}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(credits(), encoding="utf-8")
    print(FILE)
