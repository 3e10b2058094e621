"""Client of a self-hosted image-to-3D server with the HTTP API of NVIDIA's TRELLIS NIM.

``POST BASE_URL/v1/infer`` with ``{"mode": "image", "image": "data:image/png;base64,…", "seed", "slat_cfg_scale",
"ss_cfg_scale", "slat_sampling_steps", "ss_sampling_steps", "output_format": "glb"}`` returns
``{"artifacts": [{"base64": "<GLB>", "finishReason": "SUCCESS", "seed": n}]}``.
https://docs.api.nvidia.com/nim/reference/microsoft-trellis-infer
"""

from __future__ import annotations

import base64
import threading
import time

import cv2
import httpx2
import numpy as np
from pydantic import BaseModel, Field, ValidationError

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.reconstruct import TrellisSettings
from orchestrator.errors import DeadlineExceeded, ModelUnavailable, ToolFailed

SAMPLING_STEPS = 25
STRUCTURE_GUIDANCE = 7.5
LATENT_GUIDANCE = 3.0
"""The defaults of the server and of the TRELLIS paper's code."""
IMAGE_SIDE_PX = 1024
"""Maximum side of the uploaded image. The server resizes it to 518 px."""
IMAGE_MARGIN = 1.2
"""Side of the uploaded square relative to the piece, as in TRELLIS's own preprocessing."""
CONNECT_TIMEOUT_S = 10.0
PROGRESS_INTERVAL_S = 0.5
SUCCESS = "SUCCESS"


class _Artifact(BaseModel):
    base64: str = Field(min_length=1)
    finish_reason: str = Field(default=SUCCESS, alias="finishReason")


class _Response(BaseModel):
    artifacts: list[_Artifact] = Field(min_length=1)


def generate_glb(
    photo_srgb: Image, mask: Image, settings: TrellisSettings, progress: Progress = no_progress, *, seed: int = 1
) -> bytes:
    """Return the GLB that the server generates from the photo. Its contents are not checked.

    Args:
        photo_srgb: [H, W, 3] uint8.
        mask: [H, W] uint8, 255 on the piece.
        seed: the same photo and seed give the same GLB. 0 means random to the server and must not be used.

    Raises:
        ModelUnavailable: the server cannot be reached, or stays busy.
        DeadlineExceeded: the server took longer than ``settings.timeout_s``.
        ToolFailed: the server rejected the request, or its response does not follow the protocol.
        DeadlineExceeded, Canceled: raised by ``progress``; the request is dropped.
    """
    body = {
        "mode": "image",
        "image": "data:image/png;base64," + base64.b64encode(cutout_png(photo_srgb, mask)).decode(),
        "seed": seed,
        "slat_cfg_scale": LATENT_GUIDANCE,
        "ss_cfg_scale": STRUCTURE_GUIDANCE,
        "slat_sampling_steps": SAMPLING_STEPS,
        "ss_sampling_steps": SAMPLING_STEPS,
        "samples": 1,
        "no_texture": False,
        "output_format": "glb",
    }
    content = _post_with_retries(body, settings, progress)
    try:
        artifact = _Response.model_validate_json(content).artifacts[0]
    except ValidationError:
        raise ToolFailed(
            "the response of the image-to-3D server does not follow the protocol: it contains no artifact"
        ) from None
    if artifact.finish_reason != SUCCESS:
        raise ToolFailed(
            f"the image-to-3D server generated no 3D model: finishReason is {artifact.finish_reason[:40]!r}"
        )
    try:
        return base64.b64decode(artifact.base64, validate=True)
    except ValueError:  # includes binascii.Error
        raise ToolFailed(
            "the response of the image-to-3D server does not follow the protocol: the 3D model is not valid base64"
        ) from None


def is_ready(settings: TrellisSettings) -> bool:
    """Return whether the server reports that it is ready."""
    try:
        with _client(settings) as client:
            return client.get("v1/health/ready", timeout=CONNECT_TIMEOUT_S).status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False


def cutout_png(photo_srgb: Image, mask: Image) -> bytes:
    """Return an RGBA PNG with the piece in the centre of a transparent square."""
    rows, columns = np.nonzero(mask > 127)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    side = int(np.ceil(max(bottom - top, right - left) * IMAGE_MARGIN))
    square = np.zeros((side, side, 4), np.uint8)  # BGRA, as OpenCV writes it
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    alpha = mask[top:bottom, left:right]
    piece = square[y : y + bottom - top, x : x + right - left]
    piece[..., :3] = np.where(alpha[..., None] > 0, photo_srgb[top:bottom, left:right, ::-1], 0)
    piece[..., 3] = alpha
    if side > IMAGE_SIDE_PX:
        square = np.asarray(cv2.resize(square, (IMAGE_SIDE_PX,) * 2, interpolation=cv2.INTER_AREA), np.uint8)
    _, encoded = cv2.imencode(".png", square)
    return bytes(encoded.tobytes())


def _client(settings: TrellisSettings) -> httpx2.Client:
    headers = {"Accept": "application/json"}
    if settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    return httpx2.Client(
        base_url=settings.base_url.rstrip("/") + "/",
        headers=headers,
        timeout=httpx2.Timeout(settings.timeout_s, connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,  # a proxy or .netrc from the environment must not receive the operator's key
    )


def _post_with_retries(body: dict[str, object], settings: TrellisSettings, progress: Progress) -> bytes:
    """Return the body of the response. Requests are repeated while the server is busy."""
    for wait_s in (*settings.waits_s, None):
        status, content = _post(body, settings, progress)
        if status == httpx2.codes.OK:
            return content
        if status != httpx2.codes.SERVICE_UNAVAILABLE:
            raise ToolFailed(f"the image-to-3D server rejected the photo with HTTP {status}")
        if wait_s is not None:
            end = time.monotonic() + wait_s
            while time.monotonic() < end:
                progress(0.05, "the image-to-3D server is busy")
                time.sleep(min(PROGRESS_INTERVAL_S, wait_s))
    raise ModelUnavailable(
        f"the image-to-3D server is busy: it returned HTTP 503 {len(settings.waits_s) + 1} times; try again later"
    )


def _post(body: dict[str, object], settings: TrellisSettings, progress: Progress) -> tuple[int, bytes]:
    """Send one request and return the status and the body.

    ``progress`` is called while the request runs. If it raises, the client is closed, which drops the connection.
    """
    timeout_error = DeadlineExceeded(f"the image-to-3D server took longer than {settings.timeout_s:g} s")
    client = _client(settings)
    request = _Request(client, body, settings)
    start = time.monotonic()
    request.start()
    try:
        while request.is_alive():
            request.join(PROGRESS_INTERVAL_S)
            elapsed_s = time.monotonic() - start
            progress(min(0.05 + 0.8 * elapsed_s / settings.timeout_s, 0.85), "the image-to-3D server is running")
            if elapsed_s > settings.timeout_s + PROGRESS_INTERVAL_S:
                raise timeout_error
    finally:
        client.close()
    error = request.error
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        raise timeout_error
    if isinstance(error, httpx2.HTTPError | RuntimeError):
        raise ModelUnavailable(f"the image-to-3D server does not answer ({type(error).__name__})")
    if error is not None:
        raise error
    return request.status, request.content


class _Request(threading.Thread):
    """One POST request in a thread, so that the caller can report progress and stop waiting."""

    def __init__(self, client: httpx2.Client, body: dict[str, object], settings: TrellisSettings) -> None:
        super().__init__(name="trellis", daemon=True)
        self.status = 0
        self.content = b""
        self.error: Exception | None = None
        self._client = client
        self._body = body
        self._max_bytes = settings.max_answer_bytes
        self._timeout_s = settings.timeout_s

    def run(self) -> None:
        try:
            self._send()
        except (httpx2.HTTPError, ToolFailed, DeadlineExceeded, RuntimeError) as error:  # RuntimeError: client closed
            self.error = error

    def _send(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        with self._client.stream("POST", "v1/infer", json=self._body) as response:
            self.status = response.status_code
            if response.status_code != httpx2.codes.OK:
                return  # the body of an error may contain secrets
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > self._max_bytes:
                    raise ToolFailed(
                        f"the response of the image-to-3D server is larger than {self._max_bytes} bytes, the maximum"
                    )
                if time.monotonic() > deadline:
                    raise DeadlineExceeded(
                        f"the image-to-3D server did not finish its response within {self._timeout_s:g} s"
                    )
            self.content = bytes(content)
