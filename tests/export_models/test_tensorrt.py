"""Engines are prepared and configured as on a machine with a GPU. Only TensorRT itself is replaced by a fake."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export_models import tensorrt
from export_models.baselines.segmentation import INPUTS, OUTPUTS
from export_models.export import REPOSITORY, export_onnx
from export_models.networks.served_models import Segmentation
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed
from orchestrator.inference.letterbox import BUCKETS

PLAN = b"an engine"


class FakeTensorRT:
    """The part of the Python API of TensorRT 10 and 11 that ``build_plan`` uses, per the docstrings of their wheels.

    Attributes:
        calls: settings that the caller made, as (name, arguments…).
    """

    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    BuilderFlag = SimpleNamespace(TF32="tf32")

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = range(3)

    def __init__(self, *, gpu: bool = True, parser_errors: tuple[str, ...] = (), builds: bool = True) -> None:
        self.gpu = gpu
        self.parser_errors = parser_errors
        self.builds = builds
        self.calls: list[tuple[Any, ...]] = []

    def Builder(self, logger: Any) -> Any:  # noqa: N802
        if not self.gpu:
            logger.log(self.ILogger.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return SimpleNamespace(
            create_network=lambda flags: self.calls.append(("network", flags)),
            create_builder_config=self._config,
            create_optimization_profile=self._profile,
            build_serialized_network=lambda *_: PLAN if self.builds else None,
        )

    def _config(self) -> Any:
        caches: list[bytes] = []

        def set_timing_cache(cache: bytes, _: bool) -> bool:
            """Accept only an empty cache, like TensorRT with a cache of another GPU."""
            self.calls.append(("cache", cache))
            caches.append(cache)
            return not cache

        return SimpleNamespace(
            set_memory_pool_limit=lambda pool, size: self.calls.append(("pool", pool, size)),
            clear_flag=lambda flag: self.calls.append(("clear", flag)),
            add_optimization_profile=lambda profile: self.calls.append(("profile", dict(profile.shapes))),
            create_timing_cache=lambda content: content,
            set_timing_cache=set_timing_cache,
            get_timing_cache=lambda: SimpleNamespace(serialize=lambda: caches[-1] + b"timed"),
        )

    @staticmethod
    def _profile() -> Any:
        shapes: dict[str, Any] = {}
        return SimpleNamespace(shapes=shapes, set_shape=lambda name, *shape_range: shapes.update({name: shape_range}))

    def OnnxParser(self, *_: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            parse=lambda graph: bool(onnx.load_from_string(graph).graph.node) and not self.parser_errors,
            num_errors=len(self.parser_errors),
            get_error=lambda index: self.parser_errors[index],
        )


def install_fake(monkeypatch: pytest.MonkeyPatch, **options: Any) -> FakeTensorRT:
    fake = FakeTensorRT(**options)
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    return fake


def read_config(repository: Path, model: str) -> Any:
    return text_format.Parse((repository / model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("model", tensorrt.onnx_models(REPOSITORY))
def test_each_model_gets_one_profile_per_size_bucket(model: str) -> None:
    source = tensorrt.prepare_engine(REPOSITORY / model / "1" / "model.onnx", "fp32", max_batch=8)
    assert source.profiles == [
        {"image": ((1, 3, side, side), (4, 3, side, side), (8, 3, side, side))} for side in BUCKETS
    ]


def test_a_model_of_fixed_size_gets_one_profile_with_batches_up_to_its_maximum() -> None:
    profiles = tensorrt.optimization_profiles({"image": (None, 3, 1024, 1024)}, max_batch=2)
    assert profiles == [{"image": ((1, 3, 1024, 1024), (2, 3, 1024, 1024), (2, 3, 1024, 1024))}]


def test_a_dynamic_axis_without_bounds_is_rejected_with_its_input() -> None:
    with pytest.raises(InvalidInput, match=r"axis 1 of input 'points' \(None, None, 2\) is dynamic"):
        tensorrt.optimization_profiles({"points": (None, None, 2)}, max_batch=8)


def test_version_1_and_intrinsic_decomposition_default_to_fp32() -> None:
    precisions = {
        (model, version): tensorrt.default_precision(REPOSITORY / model / str(version) / "model.onnx")
        for model in ("segmentation", "intrinsic_decomposition", "surface_estimation")
        for version in (1, 2)
    }
    assert [key for key, precision in precisions.items() if precision == "fp16"] == [
        ("segmentation", 2),
        ("surface_estimation", 2),
    ]
    assert tensorrt.default_precision(REPOSITORY / "sam2_encoder" / "2" / "model.onnx") == "fp16"


def test_the_written_repository_serves_the_plans_with_the_tensorrt_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = install_fake(monkeypatch)
    out = tensorrt.build(tmp_path / "models", ["segmentation"], workspace_gib=2)
    versions = [folder for folder in (out / "segmentation").iterdir() if folder.is_dir()]
    assert {(version / "model.plan").read_bytes() for version in versions} == {PLAN}
    assert not any((version / "model.onnx").exists() for version in versions)
    before, after = read_config(REPOSITORY, "segmentation"), read_config(out, "segmentation")
    assert (after.backend, after.platform) == ("tensorrt", "")
    assert (after.input, after.output, after.max_batch_size) == (before.input, before.output, before.max_batch_size)
    assert [list(group.profile) for group in after.instance_group] == [["0", "1", "2"]]
    other = read_config(out, "surface_estimation")
    assert other.backend == "onnxruntime"
    assert other.optimization.execution_accelerators.gpu_execution_accelerator[0].name == "tensorrt"
    assert (out / "surface_estimation" / "1" / "model.onnx").exists()
    assert ("network", 1 << 1) in fake.calls
    assert ("pool", "workspace", 2 * 2**30) in fake.calls
    assert ("clear", "tf32") in fake.calls
    assert len([call for call in fake.calls if call[0] == "profile"]) == len(BUCKETS) * len(versions)


def test_the_timing_cache_is_updated_and_one_of_another_gpu_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = install_fake(monkeypatch)
    timing_cache = tmp_path / "gpu.timing"
    tensorrt.build(tmp_path / "models", ["segmentation"], version=1, timing_cache=timing_cache)
    assert timing_cache.read_bytes() == b"timed"
    timing_cache.write_bytes(b"another GPU's")
    fake.calls.clear()
    tensorrt.build(tmp_path / "again", ["segmentation"], version=1, timing_cache=timing_cache)
    assert [call for call in fake.calls if call[0] == "cache"] == [("cache", b"another GPU's"), ("cache", b"")]
    assert timing_cache.read_bytes() == b"timed"


def test_a_single_version_can_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake(monkeypatch)
    source = Path(shutil.copytree(REPOSITORY, tmp_path / "source"))
    shutil.rmtree(source / "segmentation" / "2", ignore_errors=True)
    export_onnx(Segmentation(), INPUTS, OUTPUTS, source / "segmentation" / "2" / "model.onnx")
    out = tensorrt.build(tmp_path / "models", ["segmentation"], version=2, repository=source)
    assert [path.name for path in (out / "segmentation").iterdir() if path.is_dir()] == ["2"]
    with pytest.raises(InvalidInput, match=r"segmentation has no version 3; allowed are 1, 2"):
        tensorrt.build(tmp_path / "more", ["segmentation"], version=3, repository=source)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gpu": False}, FailedPrecondition, "cannot use a GPU: CUDA initialization failure with error: 35"),
        (
            {"parser_errors": ("no importer for CumSum",)},
            ToolFailed,
            "rejects segmentation, version 1: no importer for CumSum",
        ),
        ({"builds": False}, ToolFailed, "cannot build segmentation, version 1"),
    ],
)
def test_errors_of_tensorrt_are_reported_and_nothing_is_written(
    options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake(monkeypatch, **options)
    with pytest.raises(error, match=message):
        tensorrt.build(tmp_path / "models", ["segmentation"])
    assert not list(tmp_path.iterdir())


def test_without_tensorrt_the_engines_are_described_and_the_command_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(sys, "argv", ["tensorrt", "segmentation", "--out", str(tmp_path / "models")])
    with pytest.raises(SystemExit, match="TensorRT is not available"):
        tensorrt.main()
    assert "profile 2: image 1×3×1024×1024 … 4×3×1024×1024 … 8×3×1024×1024" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_an_unknown_model_and_an_existing_folder_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'material_pipeline' has no ONNX file; allowed are intrinsic_decomposition"):
        tensorrt.build(tmp_path / "models", ["material_pipeline"])
    with pytest.raises(InvalidInput, match="exists already"):
        tensorrt.build(tmp_path)
