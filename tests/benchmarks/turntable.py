"""What a frame of a turntable costs, and how near it comes to one of 512 samples.

python -m tests.benchmarks.turntable [--json FILE] [--pictures DIR]

Beside ours stands the plain way: 128 samples, no denoiser, Blender's own choice of light sampling, the scene built anew
for each frame, each in a Blender of its own. All of them render the same rig at 960 × 540 in one run; all seconds are
from start to end. The reference has 512 samples and no denoiser. ``--pictures`` keeps it, and the frames to look at.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from orchestrator.domain.quality import Quality
from orchestrator.domain.render import RenderOptions
from orchestrator.stages.render.turntable import FRAME, render_frames, turntable_job
from orchestrator.tools.blender import run_blender
from tests.benchmarks.furniture.models import furniture_glb
from tests.benchmarks.report import Figure, report

PIECES = ("cushion_chair", "television_cabinet", "round_table")
OPTIONS = RenderOptions(width=960, height=540)
VIEW = 2
"""The frame that is compared: three quarters from the front."""
PLAIN = {"threshold": 0.0, "min_samples": 0, "denoise": False, "persistent": False, "light_tree": True}
PLAIN_FRAMES, FINAL_FRAMES, PREVIEW_FRAMES = (VIEW, 11), (VIEW, 8, 14, 20, 26, 32), tuple(range(VIEW, 36, 3))
"""Fewer than a job's 36, so that the start of our processes counts more here than there."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Way:
    """How one way of rendering did on one piece."""

    seconds: float  # a frame
    psnr_db: float
    ssim: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder that keeps models, reference and frames")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heartwood-") as scratch:
        measured = [measure(name, (arguments.pictures or Path(scratch)) / name) for name in PIECES]
    figures = []
    for way in ("plain", "final", "preview"):
        figures += [
            Figure(f"{way}, a frame", mean(measured, way, "seconds"), "s"),
            Figure(f"{way}, PSNR to 512 samples", mean(measured, way, "psnr_db"), "dB"),
            Figure(f"{way}, SSIM to 512 samples", mean(measured, way, "ssim")),
        ]
    plain, gain = (
        mean(measured, "plain", "seconds"),
        [ways["final"].psnr_db - ways["plain"].psnr_db for ways in measured],
    )
    figures += [
        Figure("final, times faster than plain", plain / mean(measured, "final", "seconds"), "", ">= 5"),
        Figure("final, PSNR above plain, mean", float(np.mean(gain)), "dB", "> 0"),
        Figure("final, PSNR above plain, worst piece", min(gain), "dB", "> 0"),
        Figure("preview, times faster than plain", plain / mean(measured, "preview", "seconds"), "", ">= 12"),
        Figure("preview, SSIM, worst piece", min(ways["preview"].ssim for ways in measured), "", ">= 0.93"),
    ]
    report("turntable", figures, arguments.json)


def mean(measured: Sequence[dict[str, Way]], way: str, figure: str) -> float:
    return float(np.mean([getattr(ways[way], figure) for ways in measured]))


def measure(name: str, folder: Path) -> dict[str, Way]:
    """Render one piece in every way; keep the compared frames in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    model = furniture_glb(name, folder)
    reference = folder / "reference.png"
    if not reference.exists():
        plain_frames(model, (VIEW,), 512, 1, folder / "reference", reference)
    truth = read(reference)
    ways = {}
    picture = folder / "plain.png"
    seconds = plain_frames(model, PLAIN_FRAMES, 128, 2, folder / "plain", picture)
    ways["plain"] = compare(seconds, read(picture), truth)
    for quality, frames in ((Quality.FINAL, FINAL_FRAMES), (Quality.PREVIEW, PREVIEW_FRAMES)):
        picture = folder / f"{quality.value}.png"
        seconds = our_frames(model, frames, quality, folder / quality.value, picture)
        ways[quality.value] = compare(seconds, read(picture), truth)
    print(name, ways, flush=True)
    return ways


def plain_frames(model: Path, frames: Sequence[int], samples: int, seed: int, folder: Path, target: Path) -> float:
    """Render the plain way; keep frame VIEW as ``target``; return the seconds a frame."""
    job: dict[str, Any] = turntable_job(model, OPTIONS, Quality.FINAL) | PLAIN | {"samples": samples, "seed": seed}
    started = time.monotonic()
    for number in frames:
        run_blender("turntable", job | {"frames": [number]}, folder)
    seconds = (time.monotonic() - started) / len(frames)
    (folder / (FRAME % VIEW)).replace(target)
    return seconds


def our_frames(model: Path, frames: Sequence[int], quality: Quality, folder: Path, target: Path) -> float:
    """Render with the stage; keep frame VIEW as ``target``; return the seconds a frame, with everything."""

    def made(number: int, picture: Path) -> None:
        if number == VIEW:
            target.write_bytes(picture.read_bytes())

    started = time.monotonic()
    render_frames(model, frames, OPTIONS, quality, folder, made)
    return (time.monotonic() - started) / len(frames)


def compare(seconds: float, picture: Picture, truth: Picture) -> Way:
    """Compare at the truth's size."""
    if picture.shape != truth.shape:
        picture = cv2.resize(picture, truth.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    psnr = peak_signal_noise_ratio(truth, picture)
    return Way(seconds, float(psnr), float(structural_similarity(truth, picture, channel_axis=2)))


def read(path: Path) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None, path
    return np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()
