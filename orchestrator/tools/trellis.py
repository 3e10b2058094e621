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
from concurrent.futures import Future, wait

import httpx2
import numpy as np
from pydantic import BaseModel, Field, ValidationError

from orchestrator.domain.images import Image, ImageFormat
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.reconstruct import TrellisSettings
from orchestrator.errors import DeadlineExceeded, ModelUnavailable, ToolFailed
from orchestrator.imaging.filters import shrink
from orchestrator.imaging.photo import encode_image

OPTIONS = {
    "slat_cfg_scale": 3.0,
    "ss_cfg_scale": 7.5,
    "slat_sampling_steps": 25,
    "ss_sampling_steps": 25,
    "samples": 1,
    "no_texture": False,
    "output_format": "glb",
}
"""Guidance scales and sampling steps are the defaults of the server and of the TRELLIS paper's code."""
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
        seed: the same photo and seed give the same GLB. Must not be 0, which makes the server choose a random seed.

    Raises:
        ModelUnavailable: the server cannot be reached, or stays busy.
        ToolFailed: the server rejected the request, or its response does not follow the protocol.
        DeadlineExceeded: the server took longer than ``settings.timeout_s``.
        Canceled: raised by ``progress``, which may also raise DeadlineExceeded. The request is dropped.
    """
    body = {
        "mode": "image",
        "image": "data:image/png;base64," + base64.b64encode(cutout_png(photo_srgb, mask)).decode(),
        "seed": seed,
        **OPTIONS,
    }
    content = _post_with_retries(body, settings, progress)
    violation = "the response of the image-to-3D server does not follow the protocol"
    try:
        artifact = _Response.model_validate_json(content).artifacts[0]
    except ValidationError:
        raise ToolFailed(f"{violation}: it contains no artifact") from None
    if artifact.finish_reason != SUCCESS:
        reason = artifact.finish_reason[:40]
        raise ToolFailed(f"the image-to-3D server generated no 3D model: finishReason is {reason!r}")
    try:
        return base64.b64decode(artifact.base64, validate=True)
    except ValueError:  # includes binascii.Error
        raise ToolFailed(f"{violation}: the 3D model is not valid base64") from None


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
    square = np.zeros((side, side, 4), np.uint8)
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    alpha = mask[top:bottom, left:right]
    piece = square[y : y + bottom - top, x : x + right - left]
    piece[..., :3] = np.where(alpha[..., None] > 0, photo_srgb[top:bottom, left:right], 0)
    piece[..., 3] = alpha
    return encode_image(shrink(square, IMAGE_SIDE_PX), ImageFormat.PNG)


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
    replies = f"it returned HTTP 503 {len(settings.waits_s) + 1} times"
    raise ModelUnavailable(f"the image-to-3D server is busy: {replies}; try again later")


def _post(body: dict[str, object], settings: TrellisSettings, progress: Progress) -> tuple[int, bytes]:
    """Send one request in a thread and return the status and the body.

    ``progress`` is called while the request runs. If it raises, the client is closed, which drops the connection.
    """
    timeout_error = DeadlineExceeded(f"the image-to-3D server took longer than {settings.timeout_s:g} s")
    client = _client(settings)
    response: Future[tuple[int, bytes]] = Future()
    start = time.monotonic()
    threading.Thread(target=_send, args=(client, body, settings, response), name="trellis", daemon=True).start()
    try:
        while not response.done():
            wait([response], PROGRESS_INTERVAL_S)
            elapsed_s = time.monotonic() - start
            progress(min(0.05 + 0.8 * elapsed_s / settings.timeout_s, 0.85), "the image-to-3D server is running")
            if elapsed_s > settings.timeout_s + PROGRESS_INTERVAL_S:
                raise timeout_error
    finally:
        client.close()
    error = response.exception()
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        raise timeout_error
    if isinstance(error, httpx2.HTTPError | RuntimeError):
        raise ModelUnavailable(f"the image-to-3D server does not answer ({type(error).__name__})")
    return response.result()


def _send(
    client: httpx2.Client, body: dict[str, object], settings: TrellisSettings, response: Future[tuple[int, bytes]]
) -> None:
    """Send one request, and set its status and body, or its error, as the result of ``response``."""
    try:
        response.set_result(_read_response(client, body, settings))
    except Exception as error:  # noqa: BLE001 - _post raises it
        response.set_exception(error)


def _read_response(client: httpx2.Client, body: dict[str, object], settings: TrellisSettings) -> tuple[int, bytes]:
    deadline = time.monotonic() + settings.timeout_s
    with client.stream("POST", "v1/infer", json=body) as response:
        if response.status_code != httpx2.codes.OK:
            return response.status_code, b""  # the body of an error may contain secrets
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > settings.max_answer_bytes:
                rule = f"is larger than {settings.max_answer_bytes} bytes, the maximum"
                raise ToolFailed(f"the response of the image-to-3D server {rule}")
            if time.monotonic() > deadline:
                rule = f"did not finish its response within {settings.timeout_s:g} s"
                raise DeadlineExceeded(f"the image-to-3D server {rule}")
        return response.status_code, bytes(content)
