"""``heartwood demo``: stains demo photos, and makes a stained 3D model from an orbit of photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image as Pillow
from skimage import data

from orchestrator.cli import export, reconstruct, run, segment
from orchestrator.cli.arguments import DEFAULT_OUT, Out, existing_file, read_settings
from orchestrator.cli.contact_sheet import StainedPicture, contact_sheet
from orchestrator.cli.session import connect, follow, save
from orchestrator.cli.terminal import console, print_saved
from orchestrator.client.client import Heartwood
from orchestrator.domain.images import Image
from orchestrator.domain.stain_catalogue import STAINS
from orchestrator.protocol.heartwood.v1 import export_pb2, pipeline_pb2, reconstruct_pb2, render_pb2, segment_pb2
from orchestrator.settings import DEMO_PHOTOS

DEMO_STAINS = ("natural-oak", "walnut", "cherry", "ebony")
JPEG_QUALITY = 92
PHOTOS_HELP = "Photos to use instead of the demo photos."
MAPS = ("albedo", "normal", "roughness", "ambient_occlusion", "height")
"""The texture maps on the contact sheet. The caption is the last word of the name."""
CHAIR_SIZE = reconstruct_pb2.Dimensions(height_m=0.95)
CHAIR_FORMATS = [export.FORMATS[name] for name in ("glb", "usdz", "fbx")]
CHAIR_PIPELINE = pipeline_pb2.PipelineOptions(
    segment=segment_pb2.SegmentOptions(),
    stain=run.stain_options("walnut"),
    reconstruct=reconstruct_pb2.ReconstructOptions(mode=reconstruct.MODES["photogrammetry"], dimensions=CHAIR_SIZE),
    render=render_pb2.RenderOptions(frames=24, width=720, height=540),
    export=export_pb2.ExportOptions(formats=CHAIR_FORMATS, target=export_pb2.EXPORT_TARGET_WEB, levels=1),
)


def demo(
    photos: Annotated[list[Path] | None, existing_file(help=PHOTOS_HELP, metavar="[PHOTO…]")] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """Process the demo photos.

    Segments and stains four photos, and makes a stained 3D model of a chair. With photos of your own, segments and
    stains only those.
    """
    with connect(read_settings()) as client:
        out.mkdir(parents=True, exist_ok=True)
        for photo in photos or demo_photos(out):
            print_saved(make_contact_sheet(client, photo, out))
        if not photos:
            print_saved(make_turntable(client, out / "chair-3d"))


def make_turntable(client: Heartwood, out: Path) -> Path:
    """Run all stages on the photos of the chair; return the video of its turntable."""
    console.rule("[bold]A chair from 26 photos")
    upload = client.upload(sorted((DEMO_PHOTOS / "orbit").glob("*.jpg")))
    job = follow(client, client.run(upload, CHAIR_PIPELINE).id, "run")
    for table in run.save(client, job, out):
        console.print(table)
    return out / "turntable" / "turntable.mp4"


def make_contact_sheet(client: Heartwood, photo: Path, out: Path) -> Path:
    """Segment a photo, make its PBR maps and stain it in four colours; return the image file that shows the results."""
    console.rule(f"[bold]{photo.stem}")
    folder = out / photo.stem
    upload = client.upload([photo])
    segments = follow(client, client.segment(upload).id, "segment").segment
    save(client, segments, folder / "segment")
    console.print(segment.table(segments))
    material = folder / "material"
    unstained = client.stain(upload, options=run.stain_options())
    save(client, follow(client, unstained.id, "PBR maps").stain, material)
    stained = []
    for name in DEMO_STAINS:
        job = follow(client, client.stain(upload, stain=name).id, name)
        save(client, job.stain, folder / name)
        preview = _read(folder / name / "preview.png")
        stained.append(StainedPicture(STAINS[name].label, STAINS[name].color.hex, preview))
    maps = {name.split("_")[-1].capitalize(): _read(material / f"{name}.png") for name in MAPS}
    title = photo.stem.replace("-", " ").replace("_", " ").capitalize()
    overlay = _read(folder / "segment" / "overlay.png")
    sheet = contact_sheet(_read(material / "preview.png"), overlay, maps, stained, title)
    target = out / f"{photo.stem}.jpg"
    Pillow.fromarray(sheet).save(target, quality=JPEG_QUALITY)
    return target


def demo_photos(out: Path) -> list[Path]:
    """Return scikit-image's photo of a coffee table, written to ``out``, and the rendered photos in the package."""
    coffee_table = out / "coffee-table.png"
    Pillow.fromarray(data.coffee()).save(coffee_table)
    return [coffee_table, *sorted(DEMO_PHOTOS.glob("*.jpg"))]


def _read(path: Path) -> Image:
    """Read an image of 8 or 16 bits per channel as uint8."""
    pixels = np.asarray(Pillow.open(path))
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
