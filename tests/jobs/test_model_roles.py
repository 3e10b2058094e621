"""Larger models, from the download to finished jobs on a real Triton: by role, with fallback, and replaceable.

The checkpoints have random weights. The inputs and outputs have their true sizes. SAM 2.1 has few narrow blocks, OWLv2
has one narrow layer, and MoGe-2 has narrow heads, so that the tests take seconds; ``tests.benchmarks.role_models`` runs
the full sizes. BiRefNet is a small network with the tensors of the published file.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image as PillowImage

from export_models.pull import birefnet, moge2, owlv2, sam2
from export_models.pull.__main__ import pull
from export_models.pull.checkpoints import CHECKPOINTS, Checkpoint
from export_models.pull.download import Pins
from export_models.pull.repository_entry import RepositoryEntry
from orchestrator.client.client import Heartwood
from orchestrator.domain.images import Image
from orchestrator.domain.model_roles import ROLE_MODELS, SMALL, Role
from orchestrator.domain.model_versions import MODELS
from orchestrator.domain.segment import Box, Prompt
from orchestrator.errors import FailedPrecondition, ModelUnavailable, ToolFailed
from orchestrator.imaging.refine import mask_from_likelihood
from orchestrator.inference.launch import TritonServer
from orchestrator.inference.models import TritonModels
from orchestrator.inference.roles import role_models
from orchestrator.local_triton import local_triton
from orchestrator.protocol.heartwood.v1 import job_pb2, model_pb2, segment_pb2
from orchestrator.settings import Settings
from tests.support import random_checkpoints
from tests.support.cli import run_in_process
from tests.support.file_server import FileServer
from tests.support.pictures import png, wood_photo
from tests.support.running_service import RunningService, setting_of

PHOTO = wood_photo(320, 240)
BOX = segment_pb2.Box(left=40, top=40, right=280, bottom=200)
MOGE_TOKENS = 30
SECOND_SEED = 7


def checkpoint(server: FileServer, name: str, data: bytes, convert: Callable[[Path], RepositoryEntry]) -> Checkpoint:
    """Return the checkpoint of this name, with the contents ``data`` on the server."""
    path = f"/{hashlib.sha256(data).hexdigest()}/{name}"
    server.files[path] = data
    pins = Pins(len(data), hashlib.sha256(data).hexdigest())
    return replace(CHECKPOINTS[name], url=server.url(path), pins=pins, convert=convert)


def make_checkpoints(server: FileServer, folder: Path) -> list[Checkpoint]:
    sam_file, sam_config = random_checkpoints.write_sam2(folder / "sam2", random_checkpoints.small_sam2_parts(1024))
    owl_config = random_checkpoints.small_owlv2_config()
    owl_file = random_checkpoints.write_owlv2(folder / "owlv2", owl_config)
    moge_file = io.BytesIO()
    torch.save(random_checkpoints.moge2((64, 32, 16, 16, 8)), moge_file)
    return [
        checkpoint(server, "birefnet", random_checkpoints.birefnet(), birefnet.convert),
        checkpoint(server, "sam2", sam_file.read_bytes(), lambda file: sam2.convert(file, sam_config)),
        checkpoint(
            server, "moge2", moge_file.getvalue(), lambda file: moge2.entry(moge2.load(file), tokens=MOGE_TOKENS)
        ),
        checkpoint(server, "owlv2", owl_file.read_bytes(), lambda file: owlv2.convert(file, owl_config)),
    ]


@dataclass(frozen=True)
class Pulled:
    """A service whose Triton has the pulled models, and the folders that they came from."""

    service: RunningService
    triton: TritonServer
    cache: Path
    server: FileServer


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulled]:
    folder = tmp_path_factory.mktemp("roles")
    server = FileServer({})
    cache, data = folder / "cache", folder / "data"
    for item in make_checkpoints(server, folder):
        server.stops_after = item.pins.size // 2
        with pytest.raises(ToolFailed, match="run the command again to resume"):
            pull(item, data / "models", cache=cache, client=server.client())
        server.stops_after = None
        assert pull(item, data / "models", cache=cache, client=server.client()) == data / "models" / item.model / "1"
        assert server.ranges[-1] == f"bytes={item.pins.size // 2}-"
    assert sorted(path.name for path in (data / "models").iterdir()) == sorted(ROLE_MODELS.values())
    with local_triton(Settings(data_dir=data)) as triton:
        running = RunningService(data, triton.url, triton_control_header=setting_of(triton.control))
        yield Pulled(running, triton, cache, server)
        server.close()
        assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def shop(pulled: Pulled) -> Iterator[Heartwood]:
    with pulled.service.client() as client:
        yield client


@pytest.fixture(scope="module")
def models(pulled: Pulled) -> Iterator[TritonModels]:
    opened = TritonModels(pulled.triton.url, control=pulled.triton.control)
    yield opened
    opened.close()


def run(shop: Heartwood, photo: Image, **options: Any) -> segment_pb2.SegmentResult:
    """Run a segment job on a photo."""
    upload = shop.upload_bytes(png(photo), "piece.png").group_id
    job = shop.wait(shop.segment(upload, quality=job_pb2.QUALITY_PREVIEW, **options).id)
    assert job.state == job_pb2.JOB_STATE_SUCCEEDED, job
    return job.segment


def decoded(shop: Heartwood, asset: Any) -> Image:
    return np.asarray(PillowImage.open(io.BytesIO(b"".join(shop.read(asset)))))


def published_foreground(photo: Image, seed: int = 0) -> np.ndarray:
    """Return what the published graph of BiRefNet gives, with rembg's normalisation."""
    image = cv2.resize(photo, (1024, 1024), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)[None] / 255
    mean, std = (np.array(values).reshape(1, 3, 1, 1) for values in (birefnet.MEAN, birefnet.STD))
    session = onnxruntime.InferenceSession(random_checkpoints.birefnet(seed))
    (logits,) = session.run(None, {"input_image": ((image - mean) / std).astype(np.float32)})
    return np.asarray(cv2.resize(1 / (1 + np.exp(-logits[0, 0])), photo.shape[1::-1]))


def test_named_parts_become_masks_and_the_result_names_every_model(shop: Heartwood) -> None:
    result = run(shop, PHOTO, part_names=["leg", "door handle"])
    assert set(result.model_versions) == {*MODELS, *ROLE_MODELS.values()}
    components = result.photos[0].components
    assert components
    assert {component.detector for component in components} == {segment_pb2.DETECTOR_KIND_OPEN_VOCABULARY}
    assert {component.name for component in components} <= {"leg", "door_handle", "hardware"}


def test_boxes_become_masks_of_the_prompt_model(shop: Heartwood, models: TritonModels) -> None:
    prompts = [segment_pb2.Prompt(name="top", box=BOX)]
    result = run(shop, PHOTO, options=segment_pb2.SegmentOptions(prompts=prompts))
    assert ROLE_MODELS[Role.PROMPT] in result.model_versions
    assert ROLE_MODELS[Role.OPEN_VOCABULARY] not in result.model_versions
    (component,) = result.photos[0].components
    prompt_model = models.photo_models().prompt
    assert prompt_model is not None
    prompt = Prompt("top", Box(BOX.left, BOX.top, BOX.right, BOX.bottom))
    (likelihood,) = prompt_model.masks(PHOTO, [prompt], PHOTO.shape[:2])
    expected = mask_from_likelihood(PHOTO, likelihood)
    assert expected.std() > 0
    assert np.abs(decoded(shop, component.mask).astype(int) - expected).mean() < 1


def test_outline_and_geometry_come_from_the_pulled_models(models: TritonModels) -> None:
    maps = models.analyze(PHOTO)
    expected = published_foreground(PHOTO)
    assert maps.foreground.shape == expected.shape
    assert np.abs(maps.foreground - expected).max() < 0.01
    assert np.allclose(maps.component.sum(axis=0), 1, atol=1e-4)


def test_setting_small_uses_the_fallback(pulled: Pulled, models: TritonModels) -> None:
    small = TritonModels(pulled.triton.url, choices=dict.fromkeys(Role, SMALL))
    assert set(small.versions()) == set(MODELS)
    fallback, geometry = small.analyze(PHOTO), models.analyze(PHOTO)
    small.close()
    assert fallback.model_versions.keys() == set(MODELS)
    assert np.abs(fallback.foreground - geometry.foreground).mean() > 0.05
    assert np.abs(fallback.normal - geometry.normal).mean() > 0.05
    assert np.allclose(np.linalg.norm(geometry.normal, axis=2), 1, atol=1e-3)
    assert geometry.depth.min() > 0


def test_concurrent_requests_are_batched_and_get_their_own_outputs(models: TritonModels) -> None:
    photos = [wood_photo(128, 96, seed) for seed in range(8)]
    inputs = [role_models.GOLDEN_INPUTS["moge2"](photo) for photo in photos]
    alone = [models.triton.infer("moge2", "1", each, 60.0).outputs for each in inputs]
    with ThreadPoolExecutor(len(inputs)) as pool:
        together = list(pool.map(lambda each: models.triton.infer("moge2", "1", each, 60.0).outputs, inputs))
    for first, second in zip(alone, together, strict=True):
        assert np.allclose(first["normal"], second["normal"], atol=1e-3)
    statistics = models.triton.grpc_client.get_inference_statistics("moge2", "1").model_stats[0]
    assert max(batch.batch_size for batch in statistics.batch_stats) > 1


def test_a_pulled_model_is_replaced_and_rolled_back_like_heartwoods_own(pulled: Pulled, shop: Heartwood) -> None:
    second = checkpoint(pulled.server, "birefnet-lite", random_checkpoints.birefnet(SECOND_SEED), birefnet.convert)
    folder = pull(second, pulled.service.data_dir / "new", cache=pulled.cache, client=pulled.server.client())
    candidate = folder.parent / "2"
    shutil.move(folder, candidate)
    with pulled.service.client("local") as operator:
        deployed = operator.models.deploy("birefnet", candidate, version=3, accept_difference=True)
        assert deployed.serving_version == 3
        assert deployed.versions[0].report.verdict == model_pb2.MODEL_VERDICT_DIFFERENCE_ACCEPTED
        assert run(shop, wood_photo(320, 240, 5)).model_versions["birefnet"] == "3"
        assert operator.models.rollback("birefnet", deployed.revision).serving_version == 1
        assert {model.name for model in operator.models.list()} == {*MODELS, *ROLE_MODELS.values()}
    assert run(shop, wood_photo(320, 240, 6)).model_versions["birefnet"] == "1"


def test_a_model_that_is_not_ready_is_replaced_by_the_fallback(
    pulled: Pulled, shop: Heartwood, models: TritonModels
) -> None:
    models.triton.unload("moge2")
    versions = run(shop, wood_photo(320, 240, 7)).model_versions
    assert "moge2" not in versions
    assert "birefnet" in versions
    models.triton.load_from_repository("moge2")
    assert "moge2" in run(shop, wood_photo(320, 240, 8)).model_versions
    loaded = {event["model"] for event in pulled.service.events("role_model_loaded")}
    assert loaded == set(ROLE_MODELS.values())  # when the service started


def test_a_required_model_that_is_missing_is_an_error_with_the_setting_and_the_command(
    triton: TritonServer, tmp_path: Path
) -> None:
    required = {Role.FOREGROUND: "birefnet"}
    without = TritonModels(triton.url, choices=required, control=triton.control)
    setting = r"foreground_model: 'birefnet' is required, but it is not .*; run `heartwood models pull birefnet`"
    with pytest.raises(ModelUnavailable, match=setting):
        without.versions()
    with pytest.raises(FailedPrecondition, match=setting):
        role_models.check_choices(required, without.triton.in_repository)
    without.close()
    result = run_in_process(
        "up",
        HEARTWOOD_DATA_DIR=str(tmp_path),
        HEARTWOOD_TRITON_URL=triton.url,
        HEARTWOOD_TRITON_CONTROL_HEADER=setting_of(triton.control),
        HEARTWOOD_LISTEN="127.0.0.1:0",
        HEARTWOOD_FOREGROUND_MODEL="birefnet",
    )
    assert result.exit_code == 1
    assert "HEARTWOOD_FOREGROUND_MODEL=auto" in result.stderr
