"""Build TensorRT engines of the ONNX models, on a machine with the GPU that will serve them.

python -m export_models.tensorrt [MODEL…] --out DIR [--version 1] [--precision fp16|fp32]

DIR becomes a model repository for that GPU: ``model.plan`` in place of ``model.onnx``, and what the profile
``triton_config/profiles/tensorrt`` says. Written against TensorRT 10 and 11: precision is in the graph ("strongly
typed"), since 11 has no other way. Where there is no TensorRT or no GPU, all but the building is done and checked.
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
from typing import Any

import onnx
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export_models.export import LEARNED, NETWORKS, PROFILES, REPOSITORY
from orchestrator.errors import FailedPrecondition, HeartwoodError, InvalidInput, ToolFailed
from orchestrator.inference.letterbox import BUCKETS
from orchestrator.inference.profiles import derive

PROFILE = PROFILES / "tensorrt"
BATCHES = (1, 4, 8)
"""Smallest, usual and largest batch; a model's ``max_batch_size`` may lower them."""
WORKSPACE_GIB = 4.0
HALF_OPERATORS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What FP16 computes faster; sums, logarithms and differences of near numbers stay in FP32."""
HALF_FOLLOWERS = frozenset({"Relu", "Clip", "Add", "Concat"})
"""What stays in FP16 where all that it takes is in FP16 already."""
PRECISIONS = ("fp16", "fp32")
_FREE = {(0, rank) for rank in range(1, 6)} | {(2, 4), (3, 4)}
"""Place and rank of the sizes that a profile can say: the batch, and the sides of pictures."""

Dims = tuple[int | None, ...]
"""None is a size that is free."""
Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""By input: its smallest, usual and largest shape, one optimisation profile."""


@dataclass(frozen=True)
class Engine:
    """One plan to be built.

    Attributes:
        graph: the ONNX model, in the precision of the plan.
        profiles: one for each size bucket, or only one where no size is free.
    """

    name: str
    graph: bytes
    profiles: list[Shapes]


def inputs_of(graph: onnx.ModelProto) -> dict[str, Dims]:
    """What the graph takes; initializers are no inputs."""
    known = {weight.name for weight in graph.graph.initializer}
    return {
        value.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim
        )
        for value in graph.graph.input
        if value.name not in known
    }


def size_profiles(inputs: dict[str, Dims], max_batch: int) -> list[Shapes]:
    """One optimisation profile for each bucket; a free first size is the batch, a free third and fourth the side.

    Raises:
        InvalidInput: another size is free, and nothing says how large it gets.
    """
    for name, dims in inputs.items():
        for place in (place for place, size in enumerate(dims) if size is None and (place, len(dims)) not in _FREE):
            raise InvalidInput("models", f"size {place} of input {name!r} {dims} is free; only batch and sides may be")
    batches = [min(batch, max_batch) for batch in BATCHES]
    profiles: list[Shapes] = []
    for side in BUCKETS:
        shapes: Shapes = {}
        for name, dims in inputs.items():
            least, best, most = (
                tuple(size if size is not None else (side if place else batch) for place, size in enumerate(dims))
                for batch in batches
            )
            shapes[name] = (least, best, most)
        if shapes not in profiles:
            profiles.append(shapes)
    return profiles


def half_precision(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its convolutions and products in FP16; what goes in and out stays FP32, as the config says."""
    from onnxruntime.transformers.float16 import convert_float_to_float16  # both slow to load, so only where asked for
    from onnxruntime.transformers.onnx_model import OnnxModel

    halves: set[str] = set()
    keep: list[str] = []
    for place, node in enumerate(graph.graph.node):
        node.name = node.name or f"node {place}"
        taken = node.input[:1] if node.op_type == "Clip" else node.input  # its bounds are constants
        if node.op_type in HALF_OPERATORS or (node.op_type in HALF_FOLLOWERS and halves.issuperset(taken)):
            halves.update(node.output)
        else:
            keep.append(node.name)
    converted: onnx.ModelProto = convert_float_to_float16(
        graph, keep_io_types=True, op_block_list=[], node_block_list=keep
    )
    del converted.graph.value_info[:]  # it calls outputs of different sizes alike, and onnxruntime believes it
    rounded = {
        node.output[0]: node.input[0] for node in converted.graph.node if _casts_to(node, onnx.TensorProto.FLOAT16)
    }
    for node in converted.graph.node:
        if _casts_to(node, onnx.TensorProto.FLOAT) and node.input[0] in rounded:  # FP32 to FP16 and back: only a loss
            node.input[0], node.op_type = rounded[node.input[0]], "Identity"
            del node.attribute[:]
    OnnxModel(converted).topological_sort()
    onnx.checker.check_model(converted)
    return converted


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and node.attribute[0].i == kind


def prepare(file: Path, precision: str, max_batch: int) -> Engine:
    """All that comes before the builder, for ``MODEL/VERSION/model.onnx``."""
    graph = onnx.load(str(file))
    profiles = size_profiles(inputs_of(graph), max_batch)
    if precision == "fp16":
        graph = half_precision(graph)
    name = f"{file.parent.parent.name}, version {file.parent.name}"
    return Engine(name, graph.SerializeToString(), profiles)


def load_tensorrt() -> Any:
    """The module.

    Raises:
        FailedPrecondition: it is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        raise FailedPrecondition(
            f"TensorRT is not to be had here ({error}); pip install tensorrt-cu12, or run this in NVIDIA's TensorRT "
            "container of the same month as the Triton container that will serve the engines"
        ) from error


def build_plan(engine: Engine, trt: Any, timing_cache: Path, workspace_gib: float) -> bytes:
    """Build one engine; how fast each kernel was is read from and added to ``timing_cache``.

    Args:
        trt: the module ``tensorrt``, 10 or 11.

    Raises:
        FailedPrecondition: there is no GPU that TensorRT can use.
        ToolFailed: TensorRT refuses the graph or cannot build it; its own words are told.
    """
    told: list[str] = []
    logger = _logger(trt, told)
    try:
        builder = trt.Builder(logger)
    except (TypeError, RuntimeError) as error:  # what pybind11 makes of a builder that is null
        raise FailedPrecondition(f"TensorRT can use no GPU here: {'; '.join(told) or error}") from error
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(engine.graph):
        words = [str(parser.get_error(index)) for index in range(parser.num_errors)]
        raise ToolFailed(f"TensorRT's parser refuses {engine.name}: {'; '.join(words or told)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(workspace_gib * 2**30))
    config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits are too few for what stays in FP32
    for shapes in engine.profiles:
        profile = builder.create_optimization_profile()
        for name, (least, best, most) in shapes.items():
            profile.set_shape(name, least, best, most)
        config.add_optimization_profile(profile)
    known = timing_cache.read_bytes() if timing_cache.exists() else b""
    cache = config.create_timing_cache(known)
    if not config.set_timing_cache(cache, False):  # another GPU's or another TensorRT's
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ToolFailed(f"TensorRT could not build {engine.name}: {'; '.join(told) or 'it does not say why'}")
    timing_cache.write_bytes(config.get_timing_cache().serialize())
    return bytes(plan)


def _logger(trt: Any, told: list[str]) -> Any:
    class Errors(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                told.append(message)

    return Errors()


def onnx_models(repository: Path) -> list[str]:
    """Names of the models that have an ONNX file."""
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
    """Write ``out``: ``repository`` with plans for ``models``, fitted by the profile ``tensorrt``.

    Args:
        models: by default Heartwood's own, which are sent squares of the bucket sizes and nothing else.
        version: the only one to build and to keep; by default all that are there.
        precision: ``fp16`` or ``fp32``; by default that of ``default_precision``.

    Raises:
        InvalidInput: a model or version is not there, or ``out`` is.
        FailedPrecondition, ToolFailed: as ``build_plan``. Nothing is written then but the timing cache.
    """
    known = onnx_models(repository)
    for model in models:
        if model not in known:
            raise InvalidInput("models", f"{model!r} has no ONNX file; allowed are {', '.join(known)}")
    if out.exists():
        raise InvalidInput("out", f"{out.name!r} is there already; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        staged = Path(shutil.copytree(repository, Path(folder) / "models"))
        engines = [
            (file, prepare(file, precision or default_precision(file), _max_batch(file)))
            for model in models or [model for model in known if model in NETWORKS]
            for file in _versions(staged / model, version)
        ]
        for _, engine in engines:
            print(_described(engine))
        trt = load_tensorrt()
        counts: dict[str, int] = {}
        for file, engine in engines:
            plan = build_plan(engine, trt, timing_cache or out.with_suffix(".timing"), workspace_gib)
            file.with_name("model.plan").write_bytes(plan)
            file.unlink()
            model = file.parent.parent.name
            counts[model] = min(counts.get(model, len(engine.profiles)), len(engine.profiles))
        for model in counts:
            config = _config(staged / model)
            config.backend = "tensorrt"
            _write(staged / model, config)
        derived = derive(staged, PROFILE, Path(folder) / "derived")
        for model, count in counts.items():
            config = _config(derived / model)
            for group in config.instance_group:
                group.profile[:] = [str(index) for index in range(count)]
            _write(derived / model, config)
        return derived.rename(out)


def default_precision(file: Path) -> str:
    """FP32 for version 1's formulas, which need it, and for networks that say so; else FP16."""
    model, version = file.parent.parent.name, file.parent.name
    learned = LEARNED.get(model)
    return "fp32" if version == "1" or (learned is not None and learned.full_precision) else "fp16"


def _versions(model: Path, version: int | None) -> list[Path]:
    """The ONNX files to build; where one version is named, the others leave the copy."""
    files = sorted(model.glob("*/model.onnx"))
    if version is None:
        return files
    if not (model / str(version) / "model.onnx").exists():
        there = ", ".join(file.parent.name for file in files)
        raise InvalidInput("version", f"{model.name} has no version {version}; allowed are {there}")
    for file in files:
        if file.parent.name != str(version):
            shutil.rmtree(file.parent)
    return [model / str(version) / "model.onnx"]


def _config(model: Path) -> Any:
    return text_format.Parse((model / "config.pbtxt").read_text(encoding="utf-8"), model_config_pb2.ModelConfig())


def _write(model: Path, config: Any) -> None:
    (model / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")


def _max_batch(file: Path) -> int:
    return max(1, int(_config(file.parent.parent).max_batch_size))


def _described(engine: Engine) -> str:
    lines = [f"{engine.name}: {len(engine.graph) / 1e6:.1f} MB"]
    for index, shapes in enumerate(engine.profiles):
        sizes = (f"{name} {' … '.join('×'.join(map(str, shape)) for shape in three)}" for name, three in shapes.items())
        lines.append(f"  profile {index}: {', '.join(sizes)}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"default: {', '.join(NETWORKS)}")
    parser.add_argument("--version", type=int, help="build and keep only this one (default: all that are there)")
    parser.add_argument("--precision", choices=PRECISIONS, help="default: fp32 for formulas, fp16 for all else")
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    parser.add_argument("--out", type=Path, required=True, help="a new folder, to be given to tritonserver")
    parser.add_argument("--timing-cache", type=Path, help="default: beside --out; makes the next build faster")
    parser.add_argument("--workspace-gib", type=float, default=WORKSPACE_GIB, help="GPU memory a kernel may use")
    chosen = parser.parse_args()
    try:
        print(
            build(
                chosen.out,
                chosen.models,
                chosen.version,
                chosen.precision,
                chosen.repository,
                chosen.timing_cache,
                chosen.workspace_gib,
            )
        )
    except HeartwoodError as error:
        sys.exit(f"{parser.prog}: {error.message}")


if __name__ == "__main__":
    main()
