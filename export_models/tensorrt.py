"""Build TensorRT engines from the ONNX models, on a machine with the GPU that will serve them.

python -m export_models.tensorrt [MODEL…] --out DIR [--version 1] [--precision fp16|fp32]

Writes a model repository to DIR, with `model.plan` in place of `model.onnx`, adapted by the profile
`triton_config/profiles/tensorrt`. The networks are strongly typed: the precision is part of the graph, because
TensorRT 11 has no other way to set it. Without TensorRT or a GPU, the command prepares and checks everything except the
engines, and then fails.

The code is written for TensorRT 10 and 11, but the builder has not been run yet; see `triton_config/README.md`.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import onnx
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export_models.export import MODELS, PROFILES, REPOSITORY
from export_models.half_precision import to_half_precision
from orchestrator.errors import FailedPrecondition, HeartwoodError, InvalidInput, ToolFailed
from orchestrator.inference.letterbox import BUCKETS
from orchestrator.inference.profiles import apply_profile

PROFILE = PROFILES / "tensorrt"
MIN_BATCH = 1
OPTIMAL_BATCH = 4
"""Batch size for which the kernels are selected. Not tuned."""
MAX_BATCH = 8
"""Largest batch size. The ``max_batch_size`` of a model limits this and the other two sizes."""
WORKSPACE_GIB = 4.0
"""Default GPU memory that a kernel may use. Not tuned."""
PRECISIONS = ("fp16", "fp32")
BOUNDED_AXES = {(0, rank) for rank in range(1, 6)} | {(2, 4), (3, 4)}
"""(axis, rank of the tensor) of the axes that may be dynamic: the batch, and the height and width of images."""

Dims = tuple[int | None, ...]
"""Shape with None for dynamic axes."""


class ShapeRange(NamedTuple):
    """Range of the shape of an input in an optimisation profile."""

    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


OptimizationProfile = dict[str, ShapeRange]
"""The shape range of each input, by name."""


@dataclass(frozen=True)
class EngineSource:
    """What the builder needs for one engine.

    Attributes:
        name: model and version, for messages.
        graph: serialized ONNX model in the precision of the engine.
        profiles: one per size bucket, or a single one if only the batch is dynamic.
    """

    name: str
    graph: bytes
    profiles: list[OptimizationProfile]


def graph_inputs(model: onnx.ModelProto) -> dict[str, Dims]:
    """Return the shapes of the inputs, without initializers."""
    initializers = {weight.name for weight in model.graph.initializer}
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
        )
        for value in model.graph.input
        if value.name not in initializers
    }


def optimization_profiles(inputs: dict[str, Dims], max_batch: int) -> list[OptimizationProfile]:
    """Return one optimisation profile per size bucket.

    A dynamic axis 0 is the batch. Dynamic axes 2 and 3 of a tensor of rank 4 are the side of the bucket.

    Raises:
        InvalidInput: another axis is dynamic, so that its range is unknown.
    """
    for name, dims in inputs.items():
        for axis, size in enumerate(dims):
            if size is None and (axis, len(dims)) not in BOUNDED_AXES:
                raise InvalidInput(
                    "models", f"axis {axis} of input {name!r} {dims} is dynamic; only batch, height and width may be"
                )
    batches = [min(batch, max_batch) for batch in (MIN_BATCH, OPTIMAL_BATCH, MAX_BATCH)]
    profiles: list[OptimizationProfile] = []
    for side in BUCKETS:
        profile: OptimizationProfile = {}
        for name, dims in inputs.items():
            profile[name] = ShapeRange(*(_static_shape(dims, batch, side) for batch in batches))
        if profile not in profiles:
            profiles.append(profile)
    return profiles


def _static_shape(dims: Dims, batch: int, side: int) -> tuple[int, ...]:
    """Replace the dynamic axes: axis 0 by ``batch``, the others by ``side``."""
    shape = [side if size is None else size for size in dims]
    if dims and dims[0] is None:
        shape[0] = batch
    return tuple(shape)


def prepare_engine(file: Path, precision: str, max_batch: int) -> EngineSource:
    """Prepare ``MODEL/VERSION/model.onnx`` for the builder."""
    model = onnx.load(str(file))
    profiles = optimization_profiles(graph_inputs(model), max_batch)
    if precision == "fp16":
        model = to_half_precision(model)
    name = f"{file.parent.parent.name}, version {file.parent.name}"
    return EngineSource(name, model.SerializeToString(), profiles)


def load_tensorrt() -> Any:
    """Import the module ``tensorrt``.

    Raises:
        FailedPrecondition: it is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise FailedPrecondition(
            f"TensorRT is not available ({error}); run `pip install tensorrt-cu12`, or use NVIDIA's TensorRT container "
            "of the same release as the Triton container that will serve the engines"
        ) from error


def build_plan(source: EngineSource, trt: Any, timing_cache: Path, workspace_gib: float) -> bytes:
    """Build one engine and return the content of ``model.plan``.

    Args:
        trt: the module ``tensorrt``, version 10 or 11.
        timing_cache: file with measured kernel times; read if it exists, and updated.
        workspace_gib: GPU memory that a kernel may use.

    Raises:
        FailedPrecondition: TensorRT cannot use a GPU.
        ToolFailed: TensorRT rejects the graph or cannot build the engine; the message contains TensorRT's errors.
    """
    errors: list[str] = []
    logger = _error_logger(trt, errors)
    try:
        builder = trt.Builder(logger)
    except (TypeError, RuntimeError) as error:  # pybind11 raises these if the native builder is null
        raise FailedPrecondition(f"TensorRT cannot use a GPU: {'; '.join(errors) or error}") from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(source.graph):
        reasons = [str(parser.get_error(index)) for index in range(parser.num_errors)]
        raise ToolFailed(f"TensorRT's parser rejects {source.name}: {'; '.join(reasons or errors)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(workspace_gib * 2**30))
    config.clear_flag(trt.BuilderFlag.TF32)  # its 10-bit mantissa is too inaccurate for the nodes that stay in FP32
    for shapes in source.profiles:
        profile = builder.create_optimization_profile()
        for name, shape_range in shapes.items():
            profile.set_shape(name, *shape_range)
        config.add_optimization_profile(profile)
    _set_timing_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ToolFailed(f"TensorRT cannot build {source.name}: {'; '.join(errors) or 'it reports no reason'}")
    timing_cache.write_bytes(config.get_timing_cache().serialize())
    return bytes(plan)


def _set_timing_cache(config: Any, file: Path) -> None:
    """Use the timing cache in ``file``. Use an empty one if there is none for this GPU and version of TensorRT."""
    cache = config.create_timing_cache(file.read_bytes() if file.exists() else b"")
    if not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _error_logger(trt: Any, errors: list[str]) -> Any:
    """Return a TensorRT logger that appends error messages to ``errors``."""

    class ErrorLogger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                errors.append(message)

    return ErrorLogger()


def onnx_models(repository: Path) -> list[str]:
    """Return the names of the models with an ONNX file."""
    return sorted({file.parent.parent.name for file in repository.glob("*/*/model.onnx")})


def build(
    out: Path,
    models: Sequence[str] = (),
    version: int | None = None,
    precision: str | None = None,
    repository: Path = REPOSITORY,
    timing_cache: Path | None = None,
    workspace_gib: float = WORKSPACE_GIB,
) -> Path:
    """Write a copy of ``repository`` with engines for ``models`` to ``out``, adapted by the profile ``tensorrt``.

    Args:
        models: default: Heartwood's own models, which receive only squares of the bucket sizes.
        version: the only version to build and to keep; default: all.
        precision: ``fp16`` or ``fp32``; default: see ``default_precision``.
        timing_cache: see ``build_plan``; default: next to ``out``.

    Raises:
        InvalidInput: a model or version does not exist, or ``out`` exists.
        FailedPrecondition, ToolFailed: see ``build_plan``. Nothing but the timing cache is written then.
    """
    available = onnx_models(repository)
    for model in models:
        if model not in available:
            raise InvalidInput("models", f"{model!r} has no ONNX file; allowed are {', '.join(available)}")
    if out.exists():
        raise InvalidInput("out", f"{out.name!r} exists already; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        staged = Path(shutil.copytree(repository, Path(folder) / "models"))
        sources = {
            file: prepare_engine(file, precision or default_precision(file), _max_batch(file))
            for model in models or [model for model in available if model in MODELS]
            for file in _select_versions(staged / model, version)
        }
        for source in sources.values():
            print(_description(source))
        trt = load_tensorrt()
        for file, source in sources.items():
            plan = build_plan(source, trt, timing_cache or out.with_suffix(".timing"), workspace_gib)
            file.with_name("model.plan").write_bytes(plan)
            file.unlink()
        profile_counts = _profile_counts(sources)
        for model in profile_counts:
            _set_backend(staged / model)
        adapted = apply_profile(staged, PROFILE, Path(folder) / "adapted")
        for model, count in profile_counts.items():
            _set_profiles(adapted / model, count)
        return adapted.rename(out)


def default_precision(file: Path) -> str:
    """Return the precision of ``MODEL/VERSION/model.onnx``: FP32 for version 1 and where FP16 is too inaccurate."""
    model, version = file.parent.parent.name, file.parent.name
    requires_fp32 = version == "1" or (model in MODELS and MODELS[model].learned.requires_fp32)
    return "fp32" if requires_fp32 else "fp16"


def _select_versions(model: Path, version: int | None) -> list[Path]:
    """Return the ONNX files to build. If ``version`` is given, remove all other versions from the copy."""
    files = sorted(model.glob("*/model.onnx"))
    if version is None:
        return files
    if not (model / str(version) / "model.onnx").exists():
        available = ", ".join(file.parent.name for file in files)
        raise InvalidInput("version", f"{model.name} has no version {version}; allowed are {available}")
    for file in files:
        if file.parent.name != str(version):
            shutil.rmtree(file.parent)
    return [model / str(version) / "model.onnx"]


def _profile_counts(sources: dict[Path, EngineSource]) -> dict[str, int]:
    """Return for each model the lowest number of optimisation profiles that one of its versions has."""
    counts: dict[str, int] = {}
    for file, source in sources.items():
        model = file.parent.parent.name
        counts[model] = min(counts.get(model, len(source.profiles)), len(source.profiles))
    return counts


def _set_backend(model: Path) -> None:
    config = _read_config(model)
    config.backend = "tensorrt"
    _write_config(model, config)


def _set_profiles(model: Path, count: int) -> None:
    """Let every instance group use the optimisation profiles 0 to ``count`` - 1."""
    config = _read_config(model)
    for group in config.instance_group:
        group.profile[:] = [str(index) for index in range(count)]
    _write_config(model, config)


def _read_config(model: Path) -> Any:
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


def _write_config(model: Path, config: Any) -> None:
    (model / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")


def _max_batch(file: Path) -> int:
    return max(1, int(_read_config(file.parent.parent).max_batch_size))


def _description(source: EngineSource) -> str:
    lines = [f"{source.name}: {len(source.graph) / 1e6:.1f} MB"]
    for index, profile in enumerate(source.profiles):
        inputs = []
        for name, shape_range in profile.items():
            shapes = ["×".join(str(size) for size in shape) for shape in shape_range]
            inputs.append(f"{name} {' … '.join(shapes)}")
        lines.append(f"  profile {index}: {', '.join(inputs)}")
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"default: {', '.join(MODELS)}")
    parser.add_argument("--version", type=int, help="build and keep only this version (default: all)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, help="default: fp32 for version 1 and intrinsic_decomposition, else fp16"
    )
    parser.add_argument("--repository", type=Path, default=REPOSITORY, help="default: model_repository/")
    parser.add_argument("--out", type=Path, required=True, help="new folder, the model repository for tritonserver")
    parser.add_argument("--timing-cache", type=Path, help="speeds up the next build (default: next to --out)")
    parser.add_argument("--workspace-gib", type=float, default=WORKSPACE_GIB, help="GPU memory that a kernel may use")
    options = parser.parse_args()
    try:
        out = build(
            options.out,
            options.models,
            options.version,
            options.precision,
            options.repository,
            options.timing_cache,
            options.workspace_gib,
        )
    except HeartwoodError as error:
        sys.exit(f"{parser.prog}: {error.message}")
    print(out)


if __name__ == "__main__":
    main()
