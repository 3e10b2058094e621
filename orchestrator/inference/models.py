"""The models behind Triton: one call gives every map of a photo, each from the version that serves.

The photo is decoded by Triton once, then all models are asked side by side, each under the name of its serving version.
That is what moves traffic: an operator's promotion changes a name here, and nothing on Triton (docs/operating.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from orchestrator.domain.images import FloatMap, Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.errors import ModelFailed, ModelUnavailable
from orchestrator.inference.letterbox import BUCKETS, fill_square, shrink
from orchestrator.inference.versions import Answer, TritonVersions, turned

PREPROCESS = "image_preprocess"
OUTPUTS = {
    "intrinsic_decomposition": {"albedo": 3, "shading": 3},
    "surface_estimation": {"normal": 3, "roughness": 1, "ambient_occlusion": 1, "depth": 1},
    "segmentation": {"component": 0, "material": 0},
}
"""Model → output → channels; 0 is as many as the segmentation model has classes."""
MODELS = tuple(OUTPUTS)


@dataclass(frozen=True)
class Serving:
    """What the operators decided: the version of each model that answers, and which versions they deployed.

    A model that is not in ``promoted`` is served by the newest version of the repository.
    """

    promoted: Mapping[str, str] = field(default_factory=dict)
    deployed: Mapping[tuple[str, str], str] = field(default_factory=dict)  # model and version → Triton name

    def name(self, model: str, version: str) -> str:
        """The Triton name of a version."""
        return self.deployed.get((model, version), model)


class Watcher(Protocol):
    """Sees what a model answered to live requests; ``inference.shadow.Shadow`` is the one there is."""

    def offer(self, image: FloatMap, answer: Answer) -> None:
        """Take the request or leave it, at once."""


class TritonModels:
    """The models of one Triton at ``url`` (gRPC host:port). Safe from many threads."""

    def __init__(self, url: str, *, timeout_s: float = 60.0) -> None:
        self.triton = TritonVersions(url)
        self.timeout_s = timeout_s
        self._serving = Serving()
        self._watchers: dict[str, Watcher] = {}
        self._lock = threading.Lock()
        self._classes: dict[str, tuple[str, ...]] = {}

    def close(self) -> None:
        """Close the connection."""
        self.triton.close()

    @property
    def serving(self) -> Serving:
        """What is followed now."""
        return self._serving

    def follow(self, serving: Serving) -> None:
        """Let these versions answer from the next photo on; photos that are on their way end with theirs."""
        self._serving = serving

    def watch(self, model: str, watcher: Watcher | None) -> None:
        """Show ``watcher`` each live request of a model and its answer; None ends that."""
        if watcher is None:
            self._watchers.pop(model, None)
        else:
            self._watchers[model] = watcher

    def ready(self) -> bool:
        """Whether every model's serving version answers now."""
        serving = self._serving
        versions = {model: serving.promoted.get(model, "") for model in MODELS}
        return self.triton.ready(PREPROCESS) and all(
            self.triton.ready(serving.name(model, version), version) for model, version in versions.items()
        )

    def versions(self, held: Mapping[str, str] | None = None) -> dict[str, str]:
        """The version of each model that answers now: of ``held``, where it still answers, else the serving one.

        Raises:
            ModelUnavailable: one of them does not answer at the moment.
        """
        return {model: self._version(model, (held or {}).get(model, "")) for model in MODELS}

    def _version(self, model: str, held: str) -> str:
        serving = self._serving
        wanted = [version for version in (held, serving.promoted.get(model, "")) if version]
        if wanted and (model, wanted[0]) in serving.deployed:
            return wanted[0]
        there = self.triton.repository(model)
        for version in wanted:
            if version in there or (model, version) in serving.deployed:
                return version
        if model in serving.promoted or not there:
            raise ModelUnavailable(f"the serving version of {model} does not answer at the moment", model=model)
        return there[-1]

    def analyze(
        self,
        photo_srgb: Image,
        *,
        long_side: int = 1024,
        timeout_s: float | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> MaterialMaps:
        """Return the material maps of ``photo_srgb`` [H, W, 3] uint8, its longer side at most ``long_side``.

        The photo is shrunk by area averaging, never enlarged; what fills the square up repeats the photo's edge.

        Args:
            versions: the version of each model to ask, as ``versions`` gave them; default: those that serve now.

        Raises:
            ModelUnavailable: Triton or a model on it does not answer at the moment.
            ModelFailed: the answer is an error, not finite, or of another shape than asked for.
            DeadlineExceeded: ``timeout_s`` passed.
        """
        asked = dict(versions or self.versions())
        component_names, material_names = self._class_names()
        small = shrink(photo_srgb, long_side)
        height, width = small.shape[:2]
        bucket = next(size for size in BUCKETS if size >= max(height, width))
        outputs = self._ask_all(fill_square(small, bucket), asked, timeout_s or self.timeout_s)
        maps: dict[str, FloatMap] = {}
        for name, channels in (item for of_model in OUTPUTS.values() for item in of_model.items()):
            whole = outputs.get(name)
            if whole is None or whole.shape[2:] != (bucket, bucket) or (channels and whole.shape[1] != channels):
                raise ModelFailed(f"{name} has the shape {None if whole is None else whole.shape}", output=name)
            cut = np.ascontiguousarray(whole[0, :, :height, :width], dtype=np.float32)
            if not np.isfinite(cut).all():
                raise ModelFailed(f"{name} holds values that are not finite", output=name)
            maps[name] = cut
        return MaterialMaps(
            albedo_linear=maps["albedo"].transpose(1, 2, 0),
            shading_linear=maps["shading"].transpose(1, 2, 0),
            normal=maps["normal"].transpose(1, 2, 0),
            roughness=maps["roughness"][0],
            ambient_occlusion=maps["ambient_occlusion"][0],
            depth=maps["depth"][0],
            component=softmax(maps["component"]),
            material=softmax(maps["material"]),
            component_names=component_names,
            material_names=material_names,
            model_versions=asked,
        )

    def _ask_all(self, square_srgb: Image, versions: Mapping[str, str], timeout_s: float) -> dict[str, FloatMap]:
        end = time.monotonic() + timeout_s
        serving = self._serving
        image = self._preprocessed(square_srgb, timeout_s)
        left_s = max(0.001, end - time.monotonic())
        coming = {
            model: self.triton.start(serving.name(model, versions[model]), versions[model], image, left_s, tuple(names))
            for model, names in OUTPUTS.items()
        }
        outputs: dict[str, FloatMap] = {}
        for model, future in coming.items():
            answer = future.result()
            outputs.update(answer.outputs)
            watcher = self._watchers.get(model)
            if watcher is not None and versions[model] == serving.promoted.get(model, versions[model]):
                watcher.offer(image, answer)
        return outputs

    def _preprocessed(self, square_srgb: Image, timeout_s: float) -> FloatMap:
        bgr = cv2.cvtColor(square_srgb, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].reshape(1, -1)
        size = np.array([square_srgb.shape[:2]], np.int32)
        inputs = [
            triton.InferInput("encoded", list(encoded.shape), "UINT8"),
            triton.InferInput("size", [1, 2], "INT32"),
        ]
        inputs[0].set_data_from_numpy(encoded)
        inputs[1].set_data_from_numpy(size)
        try:
            answer = self.triton.client.infer(PREPROCESS, inputs, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise turned(error, timeout_s) from None
        return np.asarray(answer.as_numpy("image"), np.float32)

    def _class_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with self._lock:
            if not self._classes:
                config = self.triton.config("segmentation")
                for kind in ("component", "material"):
                    names = config.parameters[f"{kind}_classes"].string_value
                    self._classes[kind] = tuple(names.split(","))
            return self._classes["component"], self._classes["material"]


def softmax(logits: FloatMap, axis: int = 0) -> FloatMap:
    """Probabilities over one axis."""
    shifted = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=axis, keepdims=True), np.float32)
