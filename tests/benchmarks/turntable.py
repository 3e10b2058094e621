"""Measures the cost of a turntable frame, and its similarity to a reference with 512 samples.

python -m tests.benchmarks.turntable [--json FILE] [--pictures DIR]

The baseline renders plainly: 128 samples, no denoiser, Blender's own light sampling, and a new Blender process for each
frame. All methods render the same scene at 960 × 540 in one run. Times are wall-clock times and include the start of
Blender. The reference has 512 samples and no denoiser. ``--pictures`` keeps the reference and the compared frames.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from orchestrator.domain.quality import Quality
from orchestrator.domain.render import RenderOptions
from orchestrator.stages.render.turntable import FRAME, TurntableJob, render_frames, turntable_job
from orchestrator.tools.blender import run_blender
from tests.benchmarks.furniture.models import furniture_glb
from tests.benchmarks.report import Figure, report

PIECES = ("cushion_chair", "television_cabinet", "round_table")
OPTIONS = RenderOptions(width=960, height=540)
COMPARED_FRAME = 2
"""A three-quarter view from the front."""
REFERENCE_SAMPLES = 512
BASELINE_SAMPLES = 128

# Frames to render. There are fewer than the 36 of a job, so the start of Blender weighs more in our figures than in
# practice. The baseline starts a process per frame in any case.
BASELINE_FRAMES = (COMPARED_FRAME, 11)
FINAL_FRAMES = (COMPARED_FRAME, 8, 14, 20, 26, 32)
PREVIEW_FRAMES = tuple(range(COMPARED_FRAME, 36, 3))

Picture = NDArray[np.uint8]
"""[H, W, 3] BGR."""


@dataclass(frozen=True)
class Measured:
    """The figures of one method on one piece."""

    seconds: float  # per frame
    psnr_db: float
    ssim: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder that keeps the 3D models, the references and the frames")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heartwood-") as scratch:
        measured = [measure(name, (arguments.pictures or Path(scratch)) / name) for name in PIECES]
    figures = []
    for method in ("plain", "final", "preview"):
        figures += [
            Figure(f"{method}, a frame", mean(measured, method, "seconds"), "s"),
            Figure(f"{method}, PSNR to 512 samples", mean(measured, method, "psnr_db"), "dB"),
            Figure(f"{method}, SSIM to 512 samples", mean(measured, method, "ssim")),
        ]
    plain_seconds = mean(measured, "plain", "seconds")
    gains_db = [methods["final"].psnr_db - methods["plain"].psnr_db for methods in measured]
    worst_ssim = min(methods["preview"].ssim for methods in measured)
    figures += [
        Figure("final, times faster than plain", plain_seconds / mean(measured, "final", "seconds"), "", ">= 5"),
        Figure("final, PSNR above plain, mean", float(np.mean(gains_db)), "dB", "> 0"),
        Figure("final, PSNR above plain, worst piece", min(gains_db), "dB", "> 0"),
        Figure("preview, times faster than plain", plain_seconds / mean(measured, "preview", "seconds"), "", ">= 12"),
        Figure("preview, SSIM, worst piece", worst_ssim, "", ">= 0.93"),
    ]
    report("turntable", figures, arguments.json)


def mean(measured: Sequence[dict[str, Measured]], method: str, figure: str) -> float:
    return float(np.mean([getattr(methods[method], figure) for methods in measured]))


def measure(name: str, folder: Path) -> dict[str, Measured]:
    """Render one piece with every method; keep the compared frames in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh = furniture_glb(name, folder)
    reference_file = folder / "reference.png"
    if not reference_file.exists():
        render_plainly(mesh, (COMPARED_FRAME,), REFERENCE_SAMPLES, 1, folder / "reference", reference_file)
    reference = read(reference_file)
    measured = {}
    picture = folder / "plain.png"
    seconds = render_plainly(mesh, BASELINE_FRAMES, BASELINE_SAMPLES, 2, folder / "plain", picture)
    measured["plain"] = compare(seconds, read(picture), reference)
    for quality, frames in ((Quality.FINAL, FINAL_FRAMES), (Quality.PREVIEW, PREVIEW_FRAMES)):
        picture = folder / f"{quality.value}.png"
        seconds = render_with_stage(mesh, frames, quality, folder / quality.value, picture)
        measured[quality.value] = compare(seconds, read(picture), reference)
    print(name, measured, flush=True)
    return measured


def render_plainly(mesh: Path, frames: Sequence[int], samples: int, seed: int, folder: Path, target: Path) -> float:
    """Render with the baseline method; copy the compared frame to ``target``; return the seconds per frame."""
    job = plain_job(turntable_job(mesh, frames, OPTIONS, Quality.FINAL), samples, seed)
    started = time.monotonic()
    for number in frames:
        run_blender("turntable", asdict(replace(job, frames=(number,))), folder)
    seconds = (time.monotonic() - started) / len(frames)
    (folder / (FRAME % COMPARED_FRAME)).replace(target)
    return seconds


def plain_job(job: TurntableJob, samples: int, seed: int) -> TurntableJob:
    return replace(
        job, samples=samples, seed=seed, threshold=0.0, min_samples=0, denoise=False, persistent=False, light_tree=True
    )


def render_with_stage(mesh: Path, frames: Sequence[int], quality: Quality, folder: Path, target: Path) -> float:
    """Render with the stage; copy the compared frame to ``target``; return the seconds per frame."""

    def on_frame(number: int, image: Path) -> None:
        if number == COMPARED_FRAME:
            target.write_bytes(image.read_bytes())

    started = time.monotonic()
    render_frames(mesh, frames, OPTIONS, quality, folder, on_frame)
    return (time.monotonic() - started) / len(frames)


def compare(seconds: float, picture: Picture, reference: Picture) -> Measured:
    """Compare at the size of the reference."""
    if picture.shape != reference.shape:
        picture = cv2.resize(picture, reference.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    psnr = peak_signal_noise_ratio(reference, picture)
    return Measured(seconds, float(psnr), float(structural_similarity(reference, picture, channel_axis=2)))


def read(path: Path) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None, path
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()
