"""How long does a stain take, and how much memory, beside the simple recipe on the same photo?

python -m tests.benchmarks.stain_speed [--json FILE]

The photo is scikit-image's ``data.coffee()``, enlarged to 12 megapixels, with a camera's noise. Counted is the time
from a decoded photo in memory to all results in memory:
- analysis: the models, through a real Triton;
- whole stain: analysis, surface maps (normal, roughness, occlusion, height, ORM, mask) and one colour (albedo,
  preview, before/after, mask);
- second colour: ``stain`` again with another colour, from the cached analysis;
- recipe: everything the recipe makes (albedo, shading, stained albedo, preview, normals, roughness).
Encoding the results as PNG files is a line of its own. The least of REPEATS runs counts: other load only adds.

Memory is the peak of a child process that loads the photo and the cached analysis and makes the surface maps and a
stain, less what it held before: results included, photo and interpreter not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from orchestrator.domain.images import Image
from orchestrator.domain.material_maps import MaterialModels
from orchestrator.domain.quality import Quality
from orchestrator.domain.stain import StainOptions
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.stages.analysis import LONG_SIDE, pack, unpack
from orchestrator.stages.stain.stain import stain, surface_maps
from tests.benchmarks.recipe import recipe
from tests.benchmarks.report import Figure, report
from tests.benchmarks.running_models import triton_models

REPEATS = 3
MEGAPIXELS = (12, 24, 48)
WALNUT, OAK = STAINS["walnut"].color, STAINS["golden-oak"].color


def photo_of(megapixels: int) -> Image:
    """[H, W, 3] uint8 of that many megapixels, 3:2, with noise of two 8-bit steps."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    size = (round(height * 1.5), height)
    photo = cv2.resize(data.coffee(), size, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0, 2, photo.shape[:2]).astype(np.float32)
    for channel in range(3):
        photo[..., channel] = np.clip(np.rint(photo[..., channel] + noise), 0, 255)
    return np.asarray(photo, np.uint8)


def seconds(work: Callable[[], object]) -> float:
    """The least wall-clock time of REPEATS runs."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure_memory(folder: Path) -> None:
    """In the child: print the peak in MB, and how much of it came after loading."""
    photo = np.load(folder / "photo.npy")
    maps = unpack((folder / "maps.npz").read_bytes())
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is held now
    before = peak_mb()
    kept = surface_maps(photo, maps), stain(photo, maps, StainOptions(WALNUT))
    print(json.dumps({"peak_mb": peak_mb(), "growth_mb": peak_mb() - before, "results": len(kept)}))


def peak_mb() -> float:
    """The most resident memory this process has had. Not ``ru_maxrss``: that starts at the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def memory_of_child(folder: Path) -> dict[str, float]:
    """Run ``measure_memory`` in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.stain_speed", "--measure-memory", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def measure_times(models: MaterialModels) -> list[Figure]:
    """Seconds for a photo of 12 megapixels."""
    photo = photo_of(MEGAPIXELS[0])
    maps = models.analyze(photo, long_side=LONG_SIDE[Quality.FINAL])
    analysis = seconds(lambda: models.analyze(photo, long_side=LONG_SIDE[Quality.FINAL]))
    surface = seconds(lambda: surface_maps(photo, maps))
    second = seconds(lambda: stain(photo, maps, StainOptions(OAK)))
    simple = seconds(lambda: recipe(photo, OAK))
    kept, stained = surface_maps(photo, maps), stain(photo, maps, StainOptions(WALNUT))
    pictures = [*vars(kept).values(), stained.albedo, stained.preview, stained.before_after]
    encoding = seconds(lambda: [cv2.imencode(".png", picture) for picture in pictures])
    return [
        Figure("analysis", analysis, "s"),
        Figure("surface_maps", surface, "s"),
        Figure("whole_stain", analysis + surface + second, "s"),
        Figure("encoding_png", encoding, "s"),
        Figure("second_colour", second, "s"),
        Figure("recipe", simple, "s"),
        Figure("second_colour_over_recipe", second / simple, "ratio", "<= 1.0"),
    ]


def measure_memory_growth(packed: bytes) -> list[Figure]:
    """Peak memory for each size; its growth from one size to the next must not pass that of the pixels."""
    grown, peaks = [], []
    for megapixels in MEGAPIXELS:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "photo.npy", photo_of(megapixels))
            (Path(folder) / "maps.npz").write_bytes(packed)
            found = memory_of_child(Path(folder))
        grown.append(found["growth_mb"])
        peaks.append(found["peak_mb"])
    figures = [Figure(f"memory_growth_{size}_mp", mb, "MB") for size, mb in zip(MEGAPIXELS, grown, strict=True)]
    figures += [Figure(f"memory_peak_{size}_mp", mb, "MB") for size, mb in zip(MEGAPIXELS, peaks, strict=True)]
    figures[2] = Figure(figures[2].name, grown[2], "MB", "<= 3000")
    figures[5] = Figure(figures[5].name, peaks[2], "MB", "<= 3000")
    for first, more in ((0, 1), (1, 2)):
        sizes = MEGAPIXELS[more] / MEGAPIXELS[first]
        name = f"memory_{MEGAPIXELS[more]}_over_{MEGAPIXELS[first]}_mp"
        figures.append(Figure(name, grown[more] / grown[first], "ratio", f"<= {sizes:g}"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
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
