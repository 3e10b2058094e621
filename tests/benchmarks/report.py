"""Reports the figures of a benchmark as a table and as JSON, with a description of the machine."""

from __future__ import annotations

import json
import operator
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One figure. ``bound`` is '< x', '<= x', '>= x', '> x', '== x', 'x .. y', or empty if there is no bound."""

    name: str
    value: float
    unit: str = ""
    bound: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds. None if there is no bound."""
        if not self.bound:
            return None
        if ".." in self.bound:
            low, high = (float(side) for side in self.bound.split(".."))
            return low <= self.value <= high
        sign, limit = self.bound.split()
        compare = {"<": operator.lt, "<=": operator.le, ">=": operator.ge, ">": operator.gt, "==": operator.eq}[sign]
        return bool(compare(self.value, float(limit)))


def machine() -> dict[str, str | int]:
    """Describe the machine, without its host name."""
    cpu = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), "unknown")
    return {"cpu": cpu, "cores": os.cpu_count() or 0, "system": platform.system(), "python": platform.python_version()}


def report(title: str, figures: list[Figure], json_file: Path | None) -> None:
    """Print a table, and write ``{"machine": …, "figures": …}`` to ``json_file`` if it is given."""
    description = machine()
    table = Table(title=f"{title} · {description['cpu']}, {description['cores']} cores", title_justify="left")
    for heading in ("figure", "value", "unit", "bound", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    marks = {None: "", True: "[green]holds[/]", False: "[red]does not hold[/]"}
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:.4g}", figure.unit, figure.bound, marks[figure.holds])
    Console(width=120).print(table)
    if json_file:
        body = {
            figure.name: {"value": figure.value, "unit": figure.unit, "bound": figure.bound, "holds": figure.holds}
            for figure in figures
        }
        json_file.write_text(json.dumps({"machine": description, "figures": body}, indent=2) + "\n", encoding="utf-8")


def _cpu_lines() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text(encoding="utf-8").splitlines() if info.exists() else []
