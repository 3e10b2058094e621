"""Measures the time and memory of a stain, compared with a simple recipe on the same photo.

python -m tests.benchmarks.stain_speed [--json FILE]

The photo is scikit-image's ``data.coffee()``, enlarged to 12 megapixels, with camera noise. Times are from a decoded
photo in memory to all results in memory:
- analysis: the models, served by Triton;
- whole stain: analysis, surface maps (normal, roughness, occlusion, height, ORM) and one colour (albedo, preview,
  before/after, mask);
- second colour: ``stain`` with another colour, using the cached analysis;
- recipe: all outputs of the recipe (albedo, shading, stained albedo, preview, normals, roughness).
Encoding the results as PNG is measured separately. The shortest of REPEATS runs counts, because other load only adds
time.

Memory is measured in a child process that loads the photo and the cached analysis, and computes the surface maps and a
stain. The growth is the peak during the computation minus the memory before it: it includes the results, but neither
the photo nor the interpreter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from orchestrator.domain.images import Image
from orchestrator.domain.material_maps import MaterialMaps, MaterialModels
from orchestrator.domain.quality import Quality
from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.imaging.surfaces import decide_by_surface
from orchestrator.stages.analysis import LONG_SIDE, pack, unpack
from orchestrator.stages.stain.stain import stain
from orchestrator.stages.stain.surface import surface_maps
from tests.benchmarks.recipe import recipe
from tests.benchmarks.report import Figure, report
from tests.benchmarks.running_models import triton_models

REPEATS = 3
MEGAPIXELS = (12, 24, 48)
"""Sizes of the photo."""
MAX_MEMORY = "<= 3000"
"""Bound for the largest photo, in MB."""
WALNUT = STAINS["walnut"].color
OAK = STAINS["golden-oak"].color


def photo_of(megapixels: int) -> Image:
    """Return the photo [H, W, 3] uint8 with this many megapixels, 3:2, and noise with a sigma of two 8-bit steps."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    size = (round(height * 1.5), height)
    photo = cv2.resize(data.coffee(), size, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0, 2, photo.shape[:2]).astype(np.float32)
    for channel in range(3):
        photo[..., channel] = np.clip(np.rint(photo[..., channel] + noise), 0, 255)
    return np.asarray(photo, np.uint8)


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest wall-clock time of REPEATS runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure_memory(folder: Path) -> None:
    """Print the peak and the growth of memory in MB. Runs in the child process."""
    photo = np.load(folder / "photo.npy")
    maps = unpack((folder / "maps.npz").read_bytes())
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current memory
    before = peak_mb()
    results = surface_maps(photo, maps), stain(photo, maps, StainOptions(WALNUT))
    print(json.dumps({"peak_mb": peak_mb(), "growth_mb": peak_mb() - before, "results": len(results)}))


def peak_mb() -> float:
    """Return the peak resident memory of this process in MB. ``ru_maxrss`` would include the peak of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def memory_of_child(folder: Path) -> dict[str, float]:
    """Run ``measure_memory`` in a child process."""
    command = [sys.executable, "-m", "tests.benchmarks.stain_speed", "--measure-memory", str(folder)]
    child = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(child.stdout))


def measure_times(models: MaterialModels) -> list[Figure]:
    """Measure times for a photo of 12 megapixels."""
    photo = photo_of(MEGAPIXELS[0])

    def analyze() -> MaterialMaps:
        return decide_by_surface(photo, models.analyze(photo, long_side=LONG_SIDE[Quality.FINAL]))

    maps = analyze()
    analysis = seconds(analyze)
    surface = seconds(lambda: surface_maps(photo, maps))
    second = seconds(lambda: stain(photo, maps, StainOptions(OAK)))
    recipe_time = seconds(lambda: recipe(photo, OAK))
    maps_of_surface, stained = surface_maps(photo, maps), stain(photo, maps, StainOptions(WALNUT))
    images = [*vars(maps_of_surface).values(), stained.albedo, stained.preview, stained.before_after]
    encoding = seconds(lambda: [cv2.imencode(".png", image) for image in images])
    return [
        Figure("analysis", analysis, "s"),
        Figure("surface_maps", surface, "s"),
        Figure("whole_stain", analysis + surface + second, "s"),
        Figure("encoding_png", encoding, "s"),
        Figure("second_colour", second, "s"),
        Figure("recipe", recipe_time, "s"),
        Figure("second_colour_over_recipe", second / recipe_time, "ratio", "<= 1.0"),
    ]


def measure_memory_growth(packed: bytes) -> list[Figure]:
    """Measure the memory for each size. It must not grow faster than the number of pixels."""
    growth, peaks = [], []
    for megapixels in MEGAPIXELS:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "photo.npy", photo_of(megapixels))
            (Path(folder) / "maps.npz").write_bytes(packed)
            memory = memory_of_child(Path(folder))
        growth.append(memory["growth_mb"])
        peaks.append(memory["peak_mb"])
    figures = [Figure(f"memory_growth_{size}_mp", mb, "MB") for size, mb in zip(MEGAPIXELS, growth, strict=True)]
    figures += [Figure(f"memory_peak_{size}_mp", mb, "MB") for size, mb in zip(MEGAPIXELS, peaks, strict=True)]
    figures[2] = replace(figures[2], bound=MAX_MEMORY)
    figures[5] = replace(figures[5], bound=MAX_MEMORY)
    for smaller, larger in ((0, 1), (1, 2)):
        pixel_ratio = MEGAPIXELS[larger] / MEGAPIXELS[smaller]
        name = f"memory_{MEGAPIXELS[larger]}_over_{MEGAPIXELS[smaller]}_mp"
        figures.append(Figure(name, growth[larger] / growth[smaller], "ratio", f"<= {pixel_ratio:g}"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this JSON file")
    parser.add_argument("--measure-memory", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure_memory:
        measure_memory(arguments.measure_memory)
        return
    with triton_models() as models:
        figures = measure_times(models)
        packed = pack(models.analyze(photo_of(MEGAPIXELS[0]), long_side=LONG_SIDE[Quality.FINAL]))
    report("stain_speed", figures + measure_memory_growth(packed), arguments.json)


if __name__ == "__main__":
    main()
