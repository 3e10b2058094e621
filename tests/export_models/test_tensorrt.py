"""Engines are planned, prepared and configured as on a machine with a GPU; only TensorRT itself is stood in for."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export_models import tensorrt
from export_models.baselines.segmentation import INPUTS, OUTPUTS
from export_models.export import REPOSITORY, export_onnx
from export_models.networks.furniture import Segmentation
from orchestrator.errors import FailedPrecondition, InvalidInput, ToolFailed
from orchestrator.inference.letterbox import BUCKETS

PLAN = b"what TensorRT built"


class Built:
    """The part of TensorRT 10's and 11's Python API that is asked, named as in the docstrings of their wheels."""

    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    BuilderFlag = SimpleNamespace(TF32="tf32")

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING = range(3)

    def __init__(self, *, gpu: bool = True, refused: tuple[str, ...] = (), builds: bool = True) -> None:
        self.gpu, self.refused, self.builds = gpu, refused, builds
        self.asked: list[tuple[Any, ...]] = []

    def Builder(self, logger: Any) -> Any:  # noqa: N802
        if not self.gpu:
            logger.log(self.ILogger.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        caches: list[bytes] = []
        config = SimpleNamespace(
            set_memory_pool_limit=lambda pool, size: self.asked.append(("pool", pool, size)),
            clear_flag=lambda flag: self.asked.append(("clear", flag)),
            add_optimization_profile=lambda profile: self.asked.append(("profile", dict(profile.shapes))),
            create_timing_cache=lambda known: known,
            set_timing_cache=lambda cache, _: self.asked.append(("cache", cache)) or caches.append(cache) or not cache,
            get_timing_cache=lambda: SimpleNamespace(serialize=lambda: caches[-1] + b"timed"),
        )

        def profile() -> Any:
            shapes: dict[str, Any] = {}
            return SimpleNamespace(shapes=shapes, set_shape=lambda name, *three: shapes.update({name: three}))

        return SimpleNamespace(
            create_network=lambda flags: self.asked.append(("network", flags)),
            create_builder_config=lambda: config,
            create_optimization_profile=profile,
            build_serialized_network=lambda *_: PLAN if self.builds else None,
        )

    def OnnxParser(self, *_: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            parse=lambda graph: bool(onnx.load_from_string(graph).graph.node) and not self.refused,
            num_errors=len(self.refused),
            get_error=lambda index: self.refused[index],
        )


def installed(monkeypatch: pytest.MonkeyPatch, **how: Any) -> Built:
    module = Built(**how)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module


def config_of(repository: Path, model: str) -> Any:
    return text_format.Parse((repository / model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("model", tensorrt.onnx_models(REPOSITORY))
def test_each_model_gets_a_profile_for_each_size_bucket(model: str) -> None:
    engine = tensorrt.prepare(REPOSITORY / model / "1" / "model.onnx", "fp32", max_batch=8)
    assert engine.profiles == [
        {"image": ((1, 3, side, side), (4, 3, side, side), (8, 3, side, side))} for side in BUCKETS
    ]


def test_a_model_of_one_size_gets_one_profile_and_no_larger_batch_than_its_config_allows() -> None:
    one = tensorrt.size_profiles({"image": (None, 3, 1024, 1024)}, max_batch=2)
    assert one == [{"image": ((1, 3, 1024, 1024), (2, 3, 1024, 1024), (2, 3, 1024, 1024))}]


def test_a_size_that_nothing_bounds_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidInput, match=r"size 1 of input 'points' \(None, None, 2\) is free"):
        tensorrt.size_profiles({"points": (None, None, 2)}, max_batch=8)


def test_formulas_and_what_takes_differences_of_squares_stay_in_full_precision() -> None:
    chosen = {
        (model, version): tensorrt.default_precision(REPOSITORY / model / str(version) / "model.onnx")
        for model in ("segmentation", "intrinsic_decomposition", "surface_estimation")
        for version in (1, 2)
    }
    assert [key for key, precision in chosen.items() if precision == "fp16"] == [
        ("segmentation", 2),
        ("surface_estimation", 2),
    ]
    assert tensorrt.default_precision(REPOSITORY / "sam2_encoder" / "2" / "model.onnx") == "fp16"


def test_half_precision_takes_and_gives_fp32_and_answers_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_onnx(Segmentation(), INPUTS, OUTPUTS, tmp_path / "model.onnx")
    graph = onnx.load(str(tmp_path / "model.onnx"))
    half = tensorrt.half_precision(onnx.load(str(tmp_path / "model.onnx")))
    kinds = {value.type.tensor_type.elem_type for value in (*half.graph.input, *half.graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert half.ByteSize() < 0.6 * graph.ByteSize()
    image = np.random.default_rng(0).random((1, 3, 128, 160), np.float32)
    full, less = (
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"image": image}
        )
        for model in (graph, half)
    )
    for one, other in zip(full, less, strict=True):
        assert float(np.abs(one - other).max()) <= 0.02 * float(np.abs(one).max())


def test_the_written_repository_serves_the_plans_by_the_tensorrt_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = installed(monkeypatch)
    out = tensorrt.build(tmp_path / "models", ["segmentation"], workspace_gib=2)
    versions = [folder for folder in (out / "segmentation").iterdir() if folder.is_dir()]
    assert {(one / "model.plan").read_bytes() for one in versions} == {PLAN}
    assert not any((one / "model.onnx").exists() for one in versions)
    before, after = config_of(REPOSITORY, "segmentation"), config_of(out, "segmentation")
    assert (after.backend, after.platform) == ("tensorrt", "")
    assert (after.input, after.output, after.max_batch_size) == (before.input, before.output, before.max_batch_size)
    assert [list(group.profile) for group in after.instance_group] == [["0", "1", "2"]]
    other = config_of(out, "surface_estimation")
    assert other.backend == "onnxruntime"
    assert other.optimization.execution_accelerators.gpu_execution_accelerator[0].name == "tensorrt"
    assert (out / "surface_estimation" / "1" / "model.onnx").exists()
    assert ("network", 1 << 1) in trt.asked
    assert ("pool", "workspace", 2 * 2**30) in trt.asked
    assert ("clear", "tf32") in trt.asked
    assert len([asked for asked in trt.asked if asked[0] == "profile"]) == len(BUCKETS) * len(versions)


def test_what_was_timed_is_kept_and_another_machines_timing_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = installed(monkeypatch)
    kept = tmp_path / "gpu.timing"
    tensorrt.build(tmp_path / "models", ["segmentation"], version=1, timing_cache=kept)
    assert kept.read_bytes() == b"timed"
    kept.write_bytes(b"another GPU's")
    trt.asked.clear()
    tensorrt.build(tmp_path / "again", ["segmentation"], version=1, timing_cache=kept)
    assert [asked for asked in trt.asked if asked[0] == "cache"] == [("cache", b"another GPU's"), ("cache", b"")]
    assert kept.read_bytes() == b"timed"


def test_one_version_can_be_built_alone_in_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    source = Path(shutil.copytree(REPOSITORY, tmp_path / "source"))
    shutil.rmtree(source / "segmentation" / "2", ignore_errors=True)
    export_onnx(Segmentation(), INPUTS, OUTPUTS, source / "segmentation" / "2" / "model.onnx")
    out = tensorrt.build(tmp_path / "models", ["segmentation"], version=2, repository=source)
    assert [path.name for path in (out / "segmentation").iterdir() if path.is_dir()] == ["2"]
    with pytest.raises(InvalidInput, match=r"segmentation has no version 3; allowed are 1, 2"):
        tensorrt.build(tmp_path / "more", ["segmentation"], version=3, repository=source)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"gpu": False}, FailedPrecondition, "can use no GPU here: CUDA initialization failure with error: 35"),
        (
            {"refused": ("no importer for CumSum",)},
            ToolFailed,
            "refuses segmentation, version 1: no importer for CumSum",
        ),
        ({"builds": False}, ToolFailed, "could not build segmentation, version 1"),
    ],
)
def test_what_tensorrt_says_is_told_and_nothing_is_left_behind(
    how: dict[str, Any], error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, **how)
    with pytest.raises(error, match=words):
        tensorrt.build(tmp_path / "models", ["segmentation"])
    assert not list(tmp_path.iterdir())


def test_without_tensorrt_all_is_prepared_and_the_missing_part_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(sys, "argv", ["tensorrt", "segmentation", "--out", str(tmp_path / "models")])
    with pytest.raises(SystemExit, match="TensorRT is not to be had here"):
        tensorrt.main()
    assert "profile 2: image 1×3×1024×1024 … 4×3×1024×1024 … 8×3×1024×1024" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_an_unknown_model_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'material_pipeline' has no ONNX file; allowed are intrinsic_decomposition"):
        tensorrt.build(tmp_path / "models", ["material_pipeline"])
    with pytest.raises(InvalidInput, match="is there already"):
        tensorrt.build(tmp_path)
