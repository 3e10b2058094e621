"""Runs the material models on Triton: one call returns all maps of a photo.

Triton decodes the photo once. The requests to the three models, and to the models of the roles that contribute to the
maps, then run concurrently, each to the Triton name of the model's serving version. A promotion changes only this name;
it loads and unloads nothing (docs/operating.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.model_roles import PhotoModels, Role
from orchestrator.domain.model_versions import MODELS, PREPROCESS
from orchestrator.errors import ModelFailed, ModelUnavailable
from orchestrator.imaging.filters import shrink
from orchestrator.inference.letterbox import BUCKETS, pad_to_square, to_model_input
from orchestrator.inference.outputs import material_maps
from orchestrator.inference.rejections import repeat_rejected
from orchestrator.inference.roles import role_models
from orchestrator.inference.tensors import Shapes, Tensors
from orchestrator.inference.triton_client import InferenceResult, TritonClient
from orchestrator.inference.triton_control import ControlHeader

OUTPUTS = {
    "intrinsic_decomposition": {"albedo": 3, "shading": 3},
    "surface_estimation": {"normal": 3, "roughness": 1, "ambient_occlusion": 1, "depth": 1},
    "segmentation": {"component": 0, "material": 0},
}
"""Model → output → number of channels; 0 means one channel per class of the segmentation model."""
PROBE = np.full((64, 64, 3), 255, np.uint8)
"""A white photo. A model that rejects it rejects everything."""


@dataclass(frozen=True)
class ServingVersions:
    """The versions that operators promoted, and the versions that they deployed. The default is none."""

    promoted: Mapping[str, str] = field(default_factory=dict)  # model → version; default: the newest in the repository
    deployed: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (model, version) → Triton name

    def triton_name(self, model: str, version: str) -> str:
        """Return the Triton name of a version. A version in the model repository has the name of the model."""
        return self.deployed.get((model, version), model)


Observer = Callable[[Tensors, InferenceResult], None]
"""Receives a live request and its result. Must return immediately."""


@dataclass(frozen=True)
class _Request:
    """A running request."""

    model: str
    inputs: Tensors
    send: Callable[[Tensors], Future[InferenceResult]]  # starts another request with the same timeout and outputs
    future: Future[InferenceResult]
    observer: Observer | None

    def outputs(self) -> dict[str, FloatMap]:
        """Wait for the outputs. Raises ModelFailed if a value is not finite; see also ``repeat_rejected``."""
        result = repeat_rejected(
            self.model,
            self.future.result,
            again=lambda: self.send(self.inputs).result(),
            probe=lambda: self.send(_probe_inputs(self.model)).result(),
        )
        if self.observer is not None:
            self.observer(self.inputs, result)
        for name, values in result.outputs.items():
            if not np.isfinite(values).all():
                raise ModelFailed(
                    f"model {self.model!r} returned {name!r} with values that are not finite", output=name
                )
        return result.outputs


class TritonModels:
    """The material models on the Triton at ``url`` (gRPC host:port). Thread-safe.

    Attributes:
        choices: the setting of each role; see ``roles.role_models``.
        tls, ca, control: see ``TritonClient``.
        serving: may be replaced at any time. Running requests finish with the versions that they started with.
        observers: model → function that receives live requests and their results. If a version of the model is
            promoted, it receives only the requests to that version.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 60.0,
        choices: Mapping[Role, str] | None = None,
        tls: bool = False,
        ca: Path | None = None,
        control: ControlHeader | None = None,
    ) -> None:
        self.triton = TritonClient(url, tls=tls, ca=ca, control=control)
        self.triton.shared_tensors.remove_abandoned()
        self.timeout_s = timeout_s
        self.choices = dict(choices or {})
        self.serving = ServingVersions()
        self.observers: dict[str, Observer] = {}

    def close(self) -> None:
        """Close the connection."""
        self.triton.close()

    def ready(self) -> bool:
        """See ``MaterialModels.ready``."""
        serving = self.serving
        versions = [(model, serving.promoted.get(model, "")) for model in MODELS]
        names = [(PREPROCESS, ""), *((serving.triton_name(model, version), version) for model, version in versions)]
        return all(self.triton.ready(name, version) for name, version in names)

    def versions(self, pinned: Mapping[str, str] | None = None) -> dict[str, str]:
        """See ``MaterialModels.versions``."""
        own = {model: self._version(model, (pinned or {}).get(model, "")) for model in MODELS}
        return own | self._role_versions(pinned)

    def photo_models(self, pinned: Mapping[str, str] | None = None, timeout_s: float | None = None) -> PhotoModels:
        """See ``MaterialModels.photo_models``."""
        versions = self._role_versions(pinned)

        def infer_with(model: str) -> role_models.Infer:
            outputs = role_models.OUTPUTS[model]
            return lambda inputs: self._start(model, versions, inputs, timeout_s or self.timeout_s, outputs).outputs()

        return role_models.photo_models(versions, infer_with)

    def _role_versions(self, pinned: Mapping[str, str] | None) -> dict[str, str]:
        return role_models.role_versions(
            self.choices, lambda model: self._version(model, (pinned or {}).get(model, ""))
        )

    def _version(self, model: str, pinned: str) -> str:
        """Return the first that is loaded: the pinned version, the promoted one, or the newest in the repository."""
        serving = self.serving
        preferred = list(filter(None, (pinned, serving.promoted.get(model))))
        if preferred and (model, preferred[0]) in serving.deployed:
            return preferred[0]  # saves the call to Triton
        in_repository = self.triton.repository_versions(model)
        for version in preferred:
            if version in in_repository or (model, version) in serving.deployed:
                return version
        if model in serving.promoted or not in_repository:
            message = f"the serving version of model {model!r} is not available on Triton at the moment"
            raise ModelUnavailable(f"{message}; try again later", model=model)
        return in_repository[-1]

    def analyze(
        self,
        photo_srgb: Image,
        *,
        long_side: int = 1024,
        timeout_s: float | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> MaterialMaps:
        """See ``MaterialModels.analyze``. The photo is padded to the next bucket, and the maps are cropped back."""
        versions = dict(versions or self.versions())
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        component_names, material_names = self._class_names
        small = shrink(photo_srgb, long_side)
        height, width = small.shape[:2]
        bucket = next(side for side in BUCKETS if side >= max(height, width))
        roles = {
            model: (
                self._start(model, versions, to_inputs(small), _remaining_s(deadline), role_models.OUTPUTS[model]),
                merge,
            )
            for model, (to_inputs, merge) in role_models.ANALYSIS.items()
            if model in versions
        }
        outputs = self._infer_all(pad_to_square(small, bucket), versions, deadline)
        values = _checked_and_cropped(outputs, bucket, height, width)
        used = {model: versions[model] for model in (*MODELS, *roles)}
        maps = material_maps(values, component_names, material_names, used)
        for request, merge in roles.values():
            maps = merge(maps, request.outputs())
        return maps

    def _infer_all(self, square_srgb: Image, versions: Mapping[str, str], deadline: float) -> dict[str, FloatMap]:
        """Run Heartwood's own models on [S, S, 3] uint8; return every output as [1, C, S, S] by name."""
        inputs = {"image": self._preprocess(square_srgb, _remaining_s(deadline))}
        requests = [
            self._start(model, versions, inputs, _remaining_s(deadline), tuple(shapes), shapes)
            for model, shapes in self._output_shapes(square_srgb.shape[0]).items()
        ]
        return {name: values for request in requests for name, values in request.outputs().items()}

    def _output_shapes(self, side: int) -> dict[str, dict[str, tuple[int, ...]]]:
        """Return the shapes [1, C, side, side] of all outputs, by model and name."""
        classes = dict(zip(OUTPUTS["segmentation"], map(len, self._class_names), strict=True))
        return {
            model: {name: (1, channels or classes[name], side, side) for name, channels in outputs.items()}
            for model, outputs in OUTPUTS.items()
        }

    def _start(
        self,
        model: str,
        versions: Mapping[str, str],
        inputs: Tensors,
        timeout_s: float,
        outputs: tuple[str, ...],
        shapes: Shapes | None = None,
    ) -> _Request:
        """Start a request to a version of a model. ``shapes`` are those of the outputs for ``inputs``, if known."""
        serving, version = self.serving, versions[model]
        name, deadline = serving.triton_name(model, version), time.monotonic() + timeout_s

        def send(values: Tensors) -> Future[InferenceResult]:
            known = shapes if values is inputs else None
            return self.triton.infer_async(name, version, values, _remaining_s(deadline), outputs, known)

        is_serving = version == serving.promoted.get(model, version)
        return _Request(model, inputs, send, send(inputs), self.observers.get(model) if is_serving else None)

    def _preprocess(self, square_srgb: Image, timeout_s: float) -> FloatMap:
        """Return [1, 3, S, S] float32 in [0, 1], decoded by the preprocessing model."""
        deadline = time.monotonic() + timeout_s

        def decode(image_srgb: Image) -> FloatMap:
            bgr = cv2.cvtColor(image_srgb, cv2.COLOR_RGB2BGR)
            encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].reshape(1, -1)
            size = np.array([image_srgb.shape[:2]], np.int32)
            inputs: Tensors = {"encoded": encoded, "size": size}
            shapes = {"image": (1, 3, *image_srgb.shape[:2])}
            answer = self.triton.infer_async(PREPROCESS, "", inputs, _remaining_s(deadline), ("image",), shapes)
            return answer.result().outputs["image"]

        send = partial(decode, square_srgb)
        return repeat_rejected(PREPROCESS, send, send, probe=partial(decode, PROBE))

    @cached_property
    def _class_names(self) -> list[tuple[str, ...]]:
        """The component classes and the material classes, from the config of the segmentation model."""
        parameters = self.triton.config("segmentation").parameters
        names = ("component_classes", "material_classes")
        return [tuple(parameters[name].string_value.split(",")) for name in names]


def _checked_and_cropped(outputs: Mapping[str, FloatMap], side: int, height: int, width: int) -> dict[str, FloatMap]:
    """Check every output and crop it from [1, C, side, side] to [C, height, width]."""
    maps: dict[str, FloatMap] = {}
    specs = [(model, name, channels) for model, names in OUTPUTS.items() for name, channels in names.items()]
    for model, name, channels in specs:
        output = outputs.get(name)
        if output is None:
            raise ModelFailed(f"model {model!r} did not return the output {name!r}", output=name)
        problem = f"model {model!r} returned {name!r} with"
        if output.shape[2:] != (side, side) or (channels and output.shape[1] != channels):
            shapes = f"the shape {list(output.shape)}; expected [1, {channels or 'classes'}, {side}, {side}]"
            raise ModelFailed(f"{problem} {shapes}", output=name)
        maps[name] = np.ascontiguousarray(output[0, :, :height, :width], dtype=np.float32)
    return maps


def _probe_inputs(model: str) -> Tensors:
    """Return valid inputs of a model: a white photo."""
    if model in role_models.GOLDEN_INPUTS:
        return role_models.GOLDEN_INPUTS[model](PROBE)
    return {"image": to_model_input(PROBE)}


def _remaining_s(deadline: float) -> float:
    """Return the seconds until ``deadline``, a value of time.monotonic(), at least 1 ms."""
    return max(0.001, deadline - time.monotonic())
