"""Reads a USDZ for ``mesh_readers`` and reports what it contains. Run as ``usd_reader.py JOB.json``.

The job has ``source``, ``max_coordinate`` and ``result``. The JSON file ``result`` gets ``{"problem": reason}`` if the
USDZ is rejected, otherwise ``{"triangles": number, "materials": [names]}``.
"""

from __future__ import annotations

import json
import posixpath
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from pxr import Tf, Usd, UsdGeom, UsdShade, UsdUtils  # type: ignore[import-untyped]

from orchestrator.mesh_files.archive import path_problem
from orchestrator.mesh_files.limits import quoted
from orchestrator.mesh_files.mesh_file import USD_LAYERS


def main(job: dict[str, Any]) -> None:
    source = Path(job["source"])
    try:
        result = read_package(source, job["max_coordinate"])
    except Tf.ErrorException as error:
        # USD writes "Error in FUNCTION at line N in FILE : MESSAGE" for each error. Only the first message is reported.
        message = " ".join(str(error).split(" : ", 1)[-1].split())
        reason = message.partition(" Error in ")[0].replace(str(source), source.name)
        result = {"problem": f"it is no USDZ that USD can read: {reason}"}
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


def read_package(source: Path, max_coordinate: float) -> dict[str, Any]:
    with zipfile.ZipFile(source) as package:
        layers = [name for name in package.namelist() if Path(name).suffix.lower()[1:] in USD_LAYERS]
    for layer in layers:  # before the stage is opened, which opens the files that the layers refer to
        if problem := reference_problem(source, layer):
            return {"problem": problem}
    stage = Usd.Stage.Open(str(source))
    prims = list(stage.Traverse())
    triangles = 0
    for mesh in [UsdGeom.Mesh(prim) for prim in prims if prim.IsA(UsdGeom.Mesh)]:
        if problem := coordinate_problem(mesh, max_coordinate):
            return {"problem": problem}
        counts = np.asarray(mesh.GetFaceVertexCountsAttr().Get() or [], np.int64)
        triangles += int(np.maximum(counts - 2, 0).sum())
    if not triangles and not any(prim.IsA(UsdGeom.Gprim) and not prim.IsA(UsdGeom.Mesh) for prim in prims):
        return {"problem": "the scene is empty: the USDZ has no faces; a 3D model needs at least one triangle"}
    materials = [prim.GetName() for prim in prims if prim.IsA(UsdShade.Material)]
    return {"triangles": triangles, "materials": materials}


def reference_problem(source: Path, layer: str) -> str:
    """Describe the first path in a layer that leads outside the package; empty if there is none."""
    for paths in UsdUtils.ExtractExternalReferences(f"{source}[{layer}]"):
        for path in paths:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(layer), path))
            problem = path_problem(path.replace("..", "__"))  # ".." is allowed as long as the target is in the package
            if not problem and target.split("/")[0] == "..":
                problem = "leaves the package with .."
            if problem:
                return f"the path {quoted(path)} in {quoted(layer)} {problem}; allowed are paths inside the package"
    return ""


def coordinate_problem(mesh: UsdGeom.Mesh, max_coordinate: float) -> str:
    """Describe the first vertex with a coordinate that is not a number or too large; empty if there is none."""
    points = np.asarray(mesh.GetPointsAttr().Get() or [], np.float64).reshape(-1, 3)
    valid = (np.abs(points) <= max_coordinate).all(axis=1)  # false for NaN
    if valid.all():
        return ""
    vertex = int(np.argmin(valid))
    return (
        f"vertex {vertex} of {mesh.GetPath()} is {tuple(points[vertex].tolist())}; "
        f"each coordinate must be a number within ±{max_coordinate:g}"
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8")))
