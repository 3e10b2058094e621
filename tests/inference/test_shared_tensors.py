"""Large tensors pass through shared memory where Triton can use it, and through gRPC otherwise."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from structlog.testing import capture_logs

from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.errors import ModelUnavailable
from orchestrator.inference import shared_tensors
from orchestrator.inference.launch import NAME_PREFIX, SHARED_MEMORY
from orchestrator.inference.models import TritonModels
from orchestrator.inference.shared_tensors import Region, SharedTensors
from orchestrator.inference.triton_client import TritonClient
from tests.support.pictures import wood_photo
from tests.support.running_service import wait_for

PHOTO = wood_photo(700, 500)
MAPS = ("albedo_linear", "shading_linear", "normal", "roughness", "ambient_occlusion", "depth", "component", "material")
UNUSED = "shared_memory_unused"
ABANDON = """
import os, sys
import numpy as np
import tritonclient.grpc as triton
from orchestrator.inference.shared_tensors import SharedTensors
shared = SharedTensors(triton.InferenceServerClient(sys.argv[1]), None)
print(shared.region({"image": np.zeros((1, 3, 512, 512), np.float32)}, {"albedo": (1, 3, 512, 512)}).name)
sys.stdout.flush()
os._exit(1)
"""


@pytest.fixture
def models(triton_url: str) -> Iterator[TritonModels]:
    opened = TritonModels(triton_url)
    yield opened
    opened.close()


def regions(url: str) -> set[str]:
    """Return the regions that Triton knows."""
    return set(triton.InferenceServerClient(url).get_system_shared_memory_status().regions)


def region_files() -> set[str]:
    """Return the names of this process's files. Services of other tests have some, too."""
    return {path.name for path in SHARED_MEMORY.glob(f"*-{os.getpid()}-tensors-*")}


def assert_equal(first: MaterialMaps, second: MaterialMaps) -> None:
    for name in MAPS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_maps_are_the_same_through_shared_memory_and_grpc_and_leave_nothing(
    models: TritonModels, triton_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logs:
        shared = models.analyze(PHOTO)
    assert not logs
    wait_for(lambda: not regions(triton_url), 10)
    assert not region_files()
    monkeypatch.setattr(SharedTensors, "region", lambda *_: None)
    assert_equal(shared, models.analyze(PHOTO))


def test_a_triton_on_another_machine_receives_tensors_through_grpc(
    models: TritonModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = models.analyze(PHOTO)
    monkeypatch.setattr(shared_tensors, "SHARED_MEMORY", tmp_path)  # which is not the shared memory that Triton opens
    with capture_logs() as logs:
        assert_equal(models.analyze(PHOTO), expected)
    assert [entry["event"] for entry in logs] == [UNUSED]
    assert "Unable to open shared memory region" in logs[0]["reason"]
    assert not list(tmp_path.iterdir())


def test_full_shared_memory_is_left_alone(models: TritonModels) -> None:
    expected = models.analyze(PHOTO)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with capture_logs() as logs:
            assert_equal(models.analyze(PHOTO), expected)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [entry["event"] for entry in logs] == [UNUSED]
    assert not region_files()


def test_a_triton_that_does_not_know_a_region_is_unavailable_once(
    models: TritonModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, it was restarted, or several Tritons share the address."""
    expected = models.analyze(PHOTO)
    monkeypatch.setattr(models.triton.grpc_client, "register_system_shared_memory", lambda *_, **__: None)
    with pytest.raises(ModelUnavailable):
        models.analyze(PHOTO)
    assert_equal(models.analyze(PHOTO), expected)


@pytest.mark.usefixtures("models")  # which removes what killed services of other tests left
def test_regions_of_a_killed_client_are_released_when_another_one_starts(triton_url: str) -> None:
    run = subprocess.run([sys.executable, "-c", ABANDON, triton_url], capture_output=True, text=True, timeout=60)
    abandoned = run.stdout.strip()
    used = Region({"image": np.zeros((1, 3, 64, 64), np.float32)}, {"albedo": (1, 3, 64, 64)})
    client = triton.InferenceServerClient(triton_url)
    client.register_system_shared_memory(used.name, f"/{used.name}", used.size_bytes)
    assert regions(triton_url) == {abandoned, used.name}
    TritonModels(triton_url).close()
    assert regions(triton_url) == region_files() == {used.name}
    assert not (SHARED_MEMORY / abandoned).exists()
    client.unregister_system_shared_memory(used.name)
    used.remove()


def test_a_region_that_is_named_after_a_path_removes_no_file(triton_url: str) -> None:
    """Any program may register a name with a Triton that is not private."""
    folder = SHARED_MEMORY / f"{NAME_PREFIX}-test-{os.getpid()}"
    folder.mkdir()
    file = folder / "file"
    file.write_bytes(bytes(4096))
    name = f"{folder.name}/{file.name}"
    client = triton.InferenceServerClient(triton_url)
    region = Region({"image": np.zeros((1, 3, 64, 64), np.float32)}, {"albedo": (1, 3, 64, 64)})
    client.register_system_shared_memory(name, f"/{region.name}", 4096)
    TritonModels(triton_url).close()
    assert file.exists()
    client.unregister_system_shared_memory(name)
    region.remove()
    shutil.rmtree(folder)


def test_a_request_ends_with_an_error_when_its_client_is_closed(triton_url: str) -> None:
    client = TritonClient(triton_url)
    inputs = {"image": np.zeros((1, 3, 1024, 1024), np.float32)}
    shapes = {"component": (1, 13, 1024, 1024), "material": (1, 9, 1024, 1024)}
    answer = client.infer_async("segmentation", "", inputs, 60.0, tuple(shapes), shapes)
    client.close()
    assert answer.exception(10) is not None
    assert not region_files()
