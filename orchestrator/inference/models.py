"""The models behind Triton: one call gives every map of a photo."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from orchestrator.domain import FloatMap, Image, MaterialMaps
from orchestrator.errors import DeadlineExceeded, HeartwoodError, ModelFailed, ModelUnavailable

PIPELINE = "material_pipeline"
MODELS = ("intrinsic_decomposition", "surface_estimation", "segmentation")
BUCKETS = (512, 768, 1024)
"""Square sizes that photos are letterboxed into, so that Triton can batch them."""
CHANNELS = {
    "albedo": 3,
    "shading": 3,
    "normal": 3,
    "roughness": 1,
    "ambient_occlusion": 1,
    "depth": 1,
    "component": 0,  # as many as the segmentation model has classes
    "material": 0,
}
PROBE_TIMEOUT_S = 5.0


class TritonModels:
    """The models of one Triton at ``url`` (gRPC host:port). Safe from many threads."""

    def __init__(self, url: str, *, timeout_s: float = 60.0) -> None:
        self._client = triton.InferenceServerClient(url)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._classes: dict[str, tuple[str, ...]] = {}

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def ready(self) -> bool:
        """Whether the whole pipeline answers now."""
        try:
            return bool(self._client.is_model_ready(PIPELINE, client_timeout=PROBE_TIMEOUT_S))
        except InferenceServerException:
            return False

    def versions(self) -> dict[str, str]:
        """The newest ready version of each model.

        Raises:
            ModelUnavailable: one of them does not answer at the moment.
        """
        found = {}
        for model in MODELS:
            try:
                metadata = self._client.get_model_metadata(model, client_timeout=PROBE_TIMEOUT_S)
            except InferenceServerException as error:
                raise _turned(error, PROBE_TIMEOUT_S) from None
            found[model] = max(metadata.versions, key=int)
        return found

    def analyze(self, photo_srgb: Image, *, long_side: int = 1024, timeout_s: float | None = None) -> MaterialMaps:
        """Return the material maps of ``photo_srgb`` [H, W, 3] uint8, its longer side at most ``long_side``.

        The photo is shrunk by area averaging, never enlarged; what fills the square up repeats the photo's edge.

        Raises:
            ModelUnavailable: Triton or a model on it does not answer at the moment.
            ModelFailed: the answer is an error, not finite, or of another shape than asked for.
            DeadlineExceeded: ``timeout_s`` passed.
        """
        versions = self.versions()
        component_names, material_names = self._class_names()
        small = shrink(photo_srgb, long_side)
        height, width = small.shape[:2]
        bucket = next(size for size in BUCKETS if size >= max(height, width))
        padded = cv2.copyMakeBorder(small, 0, bucket - height, 0, bucket - width, cv2.BORDER_REPLICATE)
        _, encoded = cv2.imencode(".png", cv2.cvtColor(padded, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        answer = self._infer(encoded.reshape(1, -1), bucket, timeout_s or self._timeout_s)
        maps: dict[str, FloatMap] = {}
        for name, channels in CHANNELS.items():
            whole = answer.as_numpy(name)
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
            model_versions=versions,
        )

    def _infer(self, encoded: NDArray[np.uint8], bucket: int, timeout_s: float) -> Any:
        inputs = [
            triton.InferInput("encoded", list(encoded.shape), "UINT8"),
            triton.InferInput("size", [1, 2], "INT32"),
        ]
        inputs[0].set_data_from_numpy(encoded)
        inputs[1].set_data_from_numpy(np.array([[bucket, bucket]], np.int32))
        outputs = [triton.InferRequestedOutput(name) for name in CHANNELS]
        try:
            return self._client.infer(PIPELINE, inputs, outputs=outputs, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise _turned(error, timeout_s) from None

    def _class_names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with self._lock:
            if not self._classes:
                try:
                    config = self._client.get_model_config("segmentation", client_timeout=PROBE_TIMEOUT_S).config
                except InferenceServerException as error:
                    raise _turned(error, PROBE_TIMEOUT_S) from None
                for kind in ("component", "material"):
                    names = config.parameters[f"{kind}_classes"].string_value
                    self._classes[kind] = tuple(names.split(","))
            return self._classes["component"], self._classes["material"]


def shrink(photo_srgb: Image, long_side: int) -> Image:
    """The photo with its longer side at most ``long_side``, by area averaging."""
    height, width = photo_srgb.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return photo_srgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(photo_srgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def softmax(logits: FloatMap) -> FloatMap:
    """Probabilities over the first axis."""
    shifted = np.exp(logits - logits.max(axis=0, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=0, keepdims=True), np.float32)


def _turned(error: InferenceServerException, timeout_s: float) -> HeartwoodError:
    status, text = str(error.status() or ""), str(error.message() or "")
    if "DEADLINE_EXCEEDED" in status:
        return DeadlineExceeded(f"the models did not answer within {timeout_s:.1f} s")
    away = ("is not ready", "unknown model", "no available versions", "not found", "exiting", "Failed to process")
    if "UNAVAILABLE" in status or "CANCELLED" in status or any(word in text for word in away):
        return ModelUnavailable("the models do not answer at the moment")
    return ModelFailed(f"the models refused the photo: {text[:200]}")
