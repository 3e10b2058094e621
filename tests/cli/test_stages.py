"""The arguments and result tables of the stage commands. No service runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli import cutout, export, reconstruct, render, run, segment, stain
from orchestrator.cli.session import read_job_file, save
from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2,
    cutout_pb2,
    export_pb2,
    job_pb2,
    made_of_pb2,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)
from tests.support.cli import Cli, Submit, text_of


def asset(name: str, size_bytes: int = 1000) -> asset_pb2.Asset:
    return asset_pb2.Asset(id=name, name=f"folder/{name}", size_bytes=size_bytes)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Records downloads as pairs of asset id and target path."""
    records: list[tuple[str, Path]] = []

    def download(_client: Heartwood, asset: asset_pb2.Asset, path: Path) -> Path:
        records.append((asset.id, path))
        return path

    monkeypatch.setattr(Heartwood, "download", download)
    return records


def test_segment_without_options_lets_the_service_choose_the_detector(submit: Submit, photo: Path) -> None:
    spec = submit("segment", photo)
    assert spec.segment == segment_pb2.SegmentOptions()
    assert spec.upload_id == "the-upload"
    assert spec.quality == job_pb2.QUALITY_FINAL


def test_segment_turns_boxes_into_prompts(submit: Submit, photo: Path) -> None:
    spec = submit("segment", photo, "--box", "leg=1,2,3,4", "--box", "seat=5,6.5,7,8", "--preview")
    assert [prompt.name for prompt in spec.segment.prompts] == ["leg", "seat"]
    assert spec.segment.prompts[1].box == segment_pb2.Box(left=5, top=6.5, right=7, bottom=8)
    assert spec.quality == job_pb2.QUALITY_PREVIEW


def test_segment_selects_the_openai_detector(submit: Submit, photo: Path) -> None:
    assert submit("segment", photo, "--detector", "openai").segment.detector == segment_pb2.DETECTOR_KIND_OPENAI


@pytest.mark.parametrize("box", ["leg", "leg=1,2,3", "leg=a,b,c,d"])
def test_segment_rejects_a_malformed_box(cli: Cli, photo: Path, box: str) -> None:
    result = cli("segment", photo, "--box", box)
    assert result.exit_code == 2
    assert f"--box: {box!r} is invalid; write NAME=LEFT,TOP,RIGHT,BOTTOM" in result.errors


def test_segment_table_has_a_row_for_each_component() -> None:
    component = segment_pb2.Component(instance="leg-2", material="wood", confidence=0.9, area_px=25)
    photo = segment_pb2.SegmentedPhoto(width=10, height=10, components=[component])
    assert text_of(segment.table(segment_pb2.SegmentResult(photos=[photo]))).endswith("1 leg-2 wood 90% 25.0%")


def test_stain_sends_its_options_and_its_mask(submit: Submit, photo: Path) -> None:
    spec = submit(
        "stain", photo, "--stain", "walnut", "--strength", 0.5, "--region", "piece", "--mask", photo, "--webp"
    )
    assert spec.stain.stain == "walnut"
    assert spec.stain.strength == 0.5
    assert spec.stain.region == stain_pb2.REGION_PIECE
    assert spec.stain.mask_asset_id == "asset of photo.jpg"
    assert spec.stain.format == stain_pb2.TEXTURE_FORMAT_WEBP


@pytest.mark.parametrize("options", [(), ("--stain", "walnut", "--color", "#000000")])
def test_stain_needs_either_a_name_or_a_colour(cli: Cli, photo: Path, options: tuple[str, ...]) -> None:
    result = cli("stain", photo, *options)
    assert result.exit_code == 2
    assert "give either --color '#RRGGBB' or --stain NAME" in result.errors


def test_stain_table_compares_target_and_reached_colour() -> None:
    photo = stain_pb2.StainedPhoto(reached_color="#5C432C", delta_e=0.51, wood_share=0.4)
    text = text_of(stain.table(stain_pb2.StainResult(target_color="#5D432C", photos=[photo])))
    assert text.endswith("1 #5D432C #5C432C 0.5 40%")


def test_stain_table_shows_that_a_photo_has_none_of_the_parts() -> None:
    text = text_of(stain.table(stain_pb2.StainResult(target_color="#5D432C", photos=[stain_pb2.StainedPhoto()])))
    assert text.endswith("1 #5D432C nothing to stain 0.0 0%")


def photos_in(*folders: str) -> stain_pb2.StainResult:
    albedos = [asset_pb2.Asset(id=folder, name=f"{folder}/albedo.png") for folder in folders]
    return stain_pb2.StainResult(photos=[stain_pb2.StainedPhoto(albedo=albedo) for albedo in albedos])


def test_files_of_several_photos_go_into_folders_with_the_names_of_the_photos(
    downloads: list[tuple[str, Path]],
) -> None:
    save(Heartwood(), photos_in("chair front", "Rücken-2"), Path("out"))
    assert [path for _, path in downloads] == [Path("out/chair front/albedo.png"), Path("out/Rücken-2/albedo.png")]


def test_files_of_a_single_photo_need_no_folder(downloads: list[tuple[str, Path]]) -> None:
    save(Heartwood(), photos_in("chair"), Path("out"))
    assert [path for _, path in downloads] == [Path("out/albedo.png")]


def test_results_of_earlier_versions_are_saved_by_number(downloads: list[tuple[str, Path]]) -> None:
    save(Heartwood(), photos_in("photo-0", "photo-1"), Path("out"))
    assert [path for _, path in downloads] == [Path("out/photo-0/albedo.png"), Path("out/photo-1/albedo.png")]


def test_a_service_cannot_write_outside_the_result_folder(downloads: list[tuple[str, Path]]) -> None:
    save(Heartwood(), photos_in("..", "a/../../b", "/etc"), Path("out"))
    assert [path.parent.parent for _, path in downloads] == [Path("out")] * 3
    assert [path.parent.name for _, path in downloads] == ["photo", "b", "etc"]


def test_known_materials_and_parts_are_sent(submit: Submit, photo: Path) -> None:
    known = ("--made-of", "wood", "--made-of", "leg = metal")
    told = [made_of_pb2.PartMaterial(material="wood"), made_of_pb2.PartMaterial(part="leg", material="metal")]
    assert list(submit("segment", photo, *known).segment.made_of) == told
    options = submit("stain", photo, "--stain", "walnut", *known, "--parts", "top, drawer,").stain
    assert list(options.made_of) == told
    assert list(options.parts) == ["top", "drawer"]
    pipeline = submit("run", photo, "--stain", "walnut", *known, "--parts", "top").pipeline
    assert list(pipeline.segment.made_of) == told
    assert list(pipeline.stain.parts) == ["top"]


def test_stain_names_a_segment_job(submit: Submit, photo: Path) -> None:
    assert submit("stain", photo, "--stain", "walnut", "--segment-job", "17").stain.segment_job_id == "17"


def test_a_folder_without_a_segment_result_is_refused(cli: Cli, photo: Path, tmp_path: Path) -> None:
    result = cli("stain", photo, "--stain", "walnut", "--masks", tmp_path, "--server", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "there is no job.json with the id of a job; name a result folder of `heartwood segment`" in result.errors


def test_cutout_defaults_are_a_trimmed_png_with_shadow(submit: Submit, photo: Path) -> None:
    options = submit("cutout", photo).cutout
    assert options.trim
    assert options.shadow
    assert options.margin == pytest.approx(0.02)
    assert options.background == ""
    assert options.format == cutout_pb2.CUTOUT_FORMAT_PNG


def test_cutout_sends_its_options(submit: Submit, photo: Path) -> None:
    arguments = ("--background", "#FFFFFF", "--no-trim", "--margin", 0.1, "--no-shadow", "--webp", "--preview")
    spec = submit("cutout", photo, *arguments)
    assert not spec.cutout.trim
    assert not spec.cutout.shadow
    assert spec.cutout.margin == pytest.approx(0.1)
    assert spec.cutout.background == "#FFFFFF"
    assert spec.cutout.format == cutout_pb2.CUTOUT_FORMAT_WEBP
    assert spec.quality == job_pb2.QUALITY_PREVIEW


def test_cutout_saves_image_and_shadow(downloads: list[tuple[str, Path]]) -> None:
    photo = cutout_pb2.CutoutPhoto(
        image=asset("cutout.png"), shadow=asset("shadow.png"), width=20, height=10, piece_share=0.3
    )
    result = cutout_pb2.CutoutResult(photos=[photo])
    save(Heartwood(), result, Path("out"))
    assert [path for _, path in downloads] == [Path("out/cutout.png"), Path("out/shadow.png")]
    assert text_of(cutout.table(result)).endswith("1 20 × 10 30% yes")


def test_reconstruct_sends_its_options(submit: Submit, photo: Path) -> None:
    arguments = ("--mode", "photogrammetry", "--engine", "meshroom", "--ordered", "--height-m", 0.9, "--texture", 1024)
    options = submit("reconstruct", photo, photo, *arguments).reconstruct
    assert options.mode == reconstruct_pb2.RECONSTRUCT_MODE_PHOTOGRAMMETRY
    assert options.engine == reconstruct_pb2.PHOTOGRAMMETRY_ENGINE_MESHROOM
    assert options.ordered
    assert options.dimensions.height_m == pytest.approx(0.9)
    assert options.texture_size == 1024
    assert options.max_triangles == 200_000


def test_reconstruct_table_shows_the_advice() -> None:
    report = reconstruct_pb2.CaptureReport(photos=3, used_photo_asset_ids=["a"], advice=["take more photos"])
    text = text_of(reconstruct.table(reconstruct_pb2.ReconstructResult(model_id="m", triangles=1200, report=report)))
    assert "triangles 1,200" in text
    assert "photos used 1 of 3" in text
    assert "advice take more photos" in text


def test_render_sends_its_options(submit: Submit, mesh_file: Path) -> None:
    arguments = ("--resolution", "640x480", "--frames", 12, "--formats", "gif", "--background", "transparent")
    spec = submit("render", mesh_file, *arguments, "--stain", "tex", "--material", "Wood", "--keep-frames")
    options = spec.render
    assert options.model_id == "the-upload"
    assert (options.width, options.height, options.frames) == (640, 480, 12)
    assert list(options.formats) == [render_pb2.VIDEO_FORMAT_GIF]
    assert options.background == render_pb2.BACKGROUND_TRANSPARENT
    assert options.keep_frames
    assert options.texture == render_pb2.WoodTexture(texture_id="tex", width_m=0.6, materials=["Wood"])


def test_render_rejects_a_malformed_resolution(cli: Cli, mesh_file: Path) -> None:
    result = cli("render", mesh_file, "--resolution", "large")
    assert result.exit_code == 2
    assert result.errors == "error --resolution: 'large' is invalid; write WIDTHxHEIGHT, such as 1920x1080"


def test_render_saves_frames_into_their_own_folder(downloads: list[tuple[str, Path]]) -> None:
    result = render_pb2.RenderResult(width=4, height=2, mp4=asset("a.mp4", 2_500_000), frames=[asset("001.png")])
    save(Heartwood(), result, Path("out"))
    assert [path for _, path in downloads] == [Path("out/a.mp4"), Path("out/frames/001.png")]
    assert text_of(render.table(result)) == "turntable 4 × 2 a.mp4 2.50 MB"


def test_export_sends_its_options(submit: Submit, mesh_file: Path) -> None:
    arguments = ("--formats", "glb, OBJ", "--target", "planner", "--textures", "ktx2", "--meshes", "draco")
    options = submit("export", mesh_file, *arguments, "--levels", 3).export
    assert list(options.formats) == [export_pb2.MODEL_FORMAT_GLB, export_pb2.MODEL_FORMAT_OBJ]
    assert options.target == export_pb2.EXPORT_TARGET_PLANNER
    assert options.texture_codec == export_pb2.TEXTURE_CODEC_KTX2
    assert options.mesh_codec == export_pb2.MESH_CODEC_DRACO
    assert options.levels == 3


def test_export_table_names_the_budgets_that_are_met() -> None:
    facts = export_pb2.ModelFacts(triangles=5000, draw_calls=2, meets=[export_pb2.EXPORT_TARGET_WEB])
    files = [export_pb2.ExportedFile(file=asset("chair.glb", 300_000))]
    result = export_pb2.ExportResult(target=export_pb2.EXPORT_TARGET_WEB, files=files, facts=facts)
    text = text_of(export.table(result))
    assert text == "export web chair.glb 300 kB triangles 5,000 in 2 draw calls meets the budgets of web"


def test_run_sets_every_default_stage_and_keeps_the_wood(submit: Submit, photo: Path) -> None:
    options = submit("run", photo).pipeline
    assert {field.name for field, _ in options.ListFields()} == set(run.DEFAULT_STAGES)
    assert options.stain.strength == 0.0
    assert options.render.frames == 36


def test_run_adds_other_stages(submit: Submit, photo: Path) -> None:
    options = submit("run", photo, "--stain", "walnut", "--also", "cutout").pipeline
    assert options.HasField("cutout")
    assert options.stain == stain_pb2.StainOptions(stain="walnut")


def test_run_rejects_an_unknown_additional_stage(cli: Cli, photo: Path) -> None:
    result = cli("run", photo, "--also", "varnish")
    assert result.exit_code == 2
    assert result.errors == "error --also: 'varnish' is unknown; allowed values are cutout"


def test_run_saves_each_stage_into_its_own_folder(downloads: list[tuple[str, Path]], tmp_path: Path) -> None:
    result = pipeline_pb2.PipelineResult(
        segment=segment_pb2.SegmentResult(photos=[segment_pb2.SegmentedPhoto(overlay=asset("overlay.png"))]),
        stain=stain_pb2.StainResult(photos=[stain_pb2.StainedPhoto(albedo=asset("albedo.png"))]),
        reconstruct=reconstruct_pb2.ReconstructResult(glb=asset("model.glb")),
        render=render_pb2.RenderResult(gif=asset("turntable.gif")),
        export=export_pb2.ExportResult(target=export_pb2.EXPORT_TARGET_WEB, report=asset("report.json")),
        cutout=cutout_pb2.CutoutResult(photos=[cutout_pb2.CutoutPhoto(image=asset("cutout.png"))]),
    )
    (tmp_path / "segment").mkdir()
    tables = list(run.save(Heartwood(), job_pb2.Job(id="17", pipeline=result), tmp_path))
    assert [str(path.relative_to(tmp_path)) for _, path in downloads] == [
        "segment/overlay.png",
        "stain/albedo.png",
        "model/model.glb",
        "turntable/turntable.gif",
        "export/report.json",
        "cutout/cutout.png",
    ]
    assert len(tables) == 6
    assert read_job_file(tmp_path / "segment") == "17"
