"""The main job, shown: photos → masks, PBR maps, four stains; a picture set → a stained 3D model and its turntable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from orchestrator.cli import results
from orchestrator.cli.commands_3d import pipeline_options
from orchestrator.cli.contact_sheet import StainedPicture, contact_sheet
from orchestrator.cli.results_3d import save_pipeline
from orchestrator.cli.terminal import console, follow
from orchestrator.client.client import Heartwood
from orchestrator.domain.images import Image
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.errors import FailedPrecondition
from orchestrator.protocol.heartwood.v1 import stain_pb2
from orchestrator.stages.stain.stain import SurfaceMaps

SHOWN = ("natural-oak", "walnut", "cherry", "ebony")
PHOTOS = Path(__file__).parent.parent / "demo_photos"
ORBIT, PIECE = PHOTOS / "orbit", "chair-3d"
SET_STAIN, SET_FRAMES, SET_RESOLUTION, SET_HEIGHT_M = "walnut", 24, "720x540", 0.95


def run(client: Heartwood, photos: list[Path], out: Path) -> Iterator[Path]:
    """Make everything for each photo below ``out``, then a model of the picture set; yield what to look at first.

    Raises:
        FailedPrecondition: no photos are given and the demo's own can't be had.
    """
    out.mkdir(parents=True, exist_ok=True)
    for photo in photos or _own_photos(out):
        yield _show(client, photo, out)
    if not photos:
        yield _turn(client, out / PIECE)


def _turn(client: Heartwood, out: Path) -> Path:
    """Make a stained 3D model, its turntable and its files of the picture set."""
    console.rule("[bold]a picture set of a chair")
    options = pipeline_options(SET_STAIN, "", "photogrammetry", SET_FRAMES, SET_RESOLUTION, "glb,usdz,fbx", "web")
    options.reconstruct.dimensions.height_m = SET_HEIGHT_M
    job = follow(client, client.run(client.upload(sorted(ORBIT.glob("*.jpg"))), options).id, "run")
    for table in save_pipeline(client, job, out):
        console.print(table)
    return out / "turntable" / "turntable.mp4"


def _show(client: Heartwood, photo: Path, out: Path) -> Path:
    console.rule(f"[bold]{photo.stem}")
    folder = out / photo.stem
    upload = client.upload([photo])
    segments = follow(client, client.segment(upload).id, "segment")
    results.save_segments(client, segments.segment, folder / "segment")
    console.print(results.segment_table(segments.segment))
    untouched = client.stain(upload, color="#808080", options=stain_pb2.StainOptions(strength=0.0))
    results.save_stains(client, follow(client, untouched.id, "PBR maps").stain, folder / "material")
    stained = []
    for name in SHOWN:
        job = follow(client, client.stain(upload, stain=name).id, name)
        results.save_stains(client, job.stain, folder / name)
        picture = _read(folder / name / "preview.png")
        stained.append(StainedPicture(STAINS[name].label, STAINS[name].color.hex, picture))
    material = folder / "material"
    maps = SurfaceMaps(
        normal=_read(material / "normal.png"),
        roughness=_read(material / "roughness.png"),
        ambient_occlusion=_read(material / "ambient_occlusion.png"),
        height=np.asarray(Pillow.open(material / "height.png")).astype(np.uint16),
        orm=_read(material / "orm.png"),
        wood_mask=_read(material / "wood_mask.png"),
    )
    sheet = contact_sheet(
        _read(material / "preview.png"),
        _read(folder / "segment" / "overlay.png"),
        _read(material / "albedo.png"),
        maps,
        stained,
        title=photo.stem.replace("-", " ").replace("_", " ").capitalize(),
    )
    target = out / f"{photo.stem}.jpg"
    Pillow.fromarray(sheet).save(target, quality=92)
    return target


def _own_photos(out: Path) -> list[Path]:
    """scikit-image's photograph of a wooden table, and the path-traced pictures that come with Heartwood."""
    try:
        from skimage import data
    except ModuleNotFoundError:
        raise FailedPrecondition(
            "the demo's photograph comes with scikit-image: pip install 'heartwood[local]', or name photos of your own"
        ) from None
    coffee = out / "coffee-table.png"
    coffee_srgb: Image = data.coffee()  # type: ignore[no-untyped-call]
    Pillow.fromarray(coffee_srgb).save(coffee)
    return [coffee, *sorted(PHOTOS.glob("*.jpg"))]


def _read(path: Path) -> Image:
    return np.asarray(Pillow.open(path))
