"""A self-hosted image-to-3D server with the HTTP protocol of NVIDIA's TRELLIS NIM.

``POST BASE_URL/v1/infer`` with ``{"mode": "image", "image": "data:image/png;base64,…", "seed", "slat_cfg_scale",
"ss_cfg_scale", "slat_sampling_steps", "ss_sampling_steps", "output_format": "glb"}`` answers
``{"artifacts": [{"base64": "<GLB>", "finishReason": "SUCCESS", "seed": n}]}``.
https://docs.api.nvidia.com/nim/reference/microsoft-trellis-infer
"""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from urllib.parse import urlsplit

import cv2
import httpx2
import numpy as np
from pydantic import BaseModel, Field, ValidationError

from orchestrator.domain.images import Image
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import DeadlineExceeded, InvalidInput, ModelUnavailable, ToolFailed

STEPS, STRUCTURE_GUIDANCE, LATENT_GUIDANCE = 25, 7.5, 3.0
"""The server's own defaults, and those of the TRELLIS paper's code."""
SIDE_PX, MARGIN = 1024, 1.2
"""TRELLIS' own preprocessing: the piece in the middle of a square with a fifth of room, without its background; the
server brings it to 518 px itself."""
MAX_ANSWER_BYTES = 256 << 20
CONNECT_S, WAITS_S = 10.0, (1.0, 3.0, 9.0)
"""A busy server (503) is asked again after these waits."""
BEAT_S = 0.5


@dataclass(frozen=True)
class TrellisSettings:
    """Where the server is. ``api_key`` stays out of ``repr``, logs and errors."""

    base_url: str  # http(s)://HOST[:PORT][/PATH], without /v1
    api_key: str = dataclass_field(default="", repr=False)
    timeout_s: float = 600.0  # of one request; the first after a start takes minutes
    waits_s: tuple[float, ...] = WAITS_S
    max_answer_bytes: int = MAX_ANSWER_BYTES

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise InvalidInput(
                "trellis.base_url", "this is not allowed; it must be http(s)://HOST[:PORT][/PATH] without a password"
            )


class _Artifact(BaseModel):
    base64: str = Field(min_length=1)
    finish_reason: str = Field(default="SUCCESS", alias="finishReason")


class _Answer(BaseModel):
    artifacts: list[_Artifact] = Field(min_length=1)


def generate_glb(
    photo_srgb: Image, mask: Image, settings: TrellisSettings, progress: Progress = no_progress, *, seed: int = 1
) -> bytes:
    """Return the bytes of the GLB that the server makes of the piece; they are not checked.

    Args:
        photo_srgb: [H, W, 3] uint8.
        mask: [H, W] uint8, 255 on the piece.
        seed: not 0, which the server takes as random: the same photo gives the same model.

    Raises:
        ModelUnavailable: the server can't be reached, or stays busy.
        DeadlineExceeded: it took longer than ``settings.timeout_s``.
        ToolFailed: it refused, or its answer is not what the protocol says.
        DeadlineExceeded, Canceled: as ``progress`` raises them; the request is then dropped.
    """
    body = {
        "mode": "image",
        "image": "data:image/png;base64," + base64.b64encode(cutout(photo_srgb, mask)).decode(),
        "seed": seed,
        "slat_cfg_scale": LATENT_GUIDANCE,
        "ss_cfg_scale": STRUCTURE_GUIDANCE,
        "slat_sampling_steps": STEPS,
        "ss_sampling_steps": STEPS,
        "samples": 1,
        "no_texture": False,
        "output_format": "glb",
    }
    text = _posted(body, settings, progress)
    try:
        artifact = _Answer.model_validate_json(text).artifacts[0]
    except ValidationError:
        raise ToolFailed("the image-to-3D server's answer is not what its protocol says: no artifact in it") from None
    if artifact.finish_reason != "SUCCESS":
        raise ToolFailed(f"the image-to-3D server made no model: {artifact.finish_reason[:40]!r}")
    try:
        return base64.b64decode(artifact.base64, validate=True)
    except ValueError:  # also binascii.Error
        raise ToolFailed("the image-to-3D server's model is not base64") from None


def ready(settings: TrellisSettings) -> bool:
    """Whether the server says that it can work now."""
    try:
        with _client(settings) as client:
            return client.get("v1/health/ready", timeout=CONNECT_S).status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False


def cutout(photo_srgb: Image, mask: Image) -> bytes:
    """PNG with alpha: the piece alone, in the middle of a square."""
    rows, columns = np.nonzero(mask > 127)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    side = int(np.ceil(max(bottom - top, right - left) * MARGIN))
    square = np.zeros((side, side, 4), np.uint8)
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    alpha = mask[top:bottom, left:right]
    place = square[y : y + bottom - top, x : x + right - left]
    place[..., :3] = np.where(alpha[..., None] > 0, photo_srgb[top:bottom, left:right, ::-1], 0)
    place[..., 3] = alpha
    if side > SIDE_PX:
        square = np.asarray(cv2.resize(square, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    _, packed = cv2.imencode(".png", square)
    return bytes(packed.tobytes())


def _client(settings: TrellisSettings) -> httpx2.Client:
    headers = {"Accept": "application/json"}
    if settings.api_key:
        headers["Authorization"] = f"Bearer {settings.api_key}"
    # No proxies and no .netrc from the environment: the server is the operator's own, and so is its key.
    return httpx2.Client(
        base_url=settings.base_url.rstrip("/") + "/",
        headers=headers,
        timeout=httpx2.Timeout(settings.timeout_s, connect=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    )


def _posted(body: dict[str, object], settings: TrellisSettings, progress: Progress) -> bytes:
    """The answer's body; asked again while the server is busy."""
    for wait_s in (*settings.waits_s, None):
        status, text = _watched(body, settings, progress)
        if status == httpx2.codes.OK:
            return text
        if status != httpx2.codes.SERVICE_UNAVAILABLE:
            raise ToolFailed(f"the image-to-3D server refused the photo with HTTP {status}")
        if wait_s is not None:
            end = time.monotonic() + wait_s
            while time.monotonic() < end:
                progress(0.05, "the image-to-3D server is busy")
                time.sleep(min(BEAT_S, wait_s))
    raise ModelUnavailable("the image-to-3D server is busy (HTTP 503); try again later")


def _watched(body: dict[str, object], settings: TrellisSettings, progress: Progress) -> tuple[int, bytes]:
    """One request, with a beat for ``progress``, which may end it: closing the client drops the connection."""
    answers: list[tuple[int, bytes] | Exception] = []
    client = _client(settings)

    def ask() -> None:
        try:
            answers.append(_read(client, body, settings.max_answer_bytes, time.monotonic() + settings.timeout_s))
        except (httpx2.HTTPError, ToolFailed, DeadlineExceeded, RuntimeError) as error:
            answers.append(error)

    thread = threading.Thread(target=ask, name="trellis", daemon=True)
    start = time.monotonic()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(BEAT_S)
            spent = time.monotonic() - start
            progress(min(0.05 + 0.8 * spent / settings.timeout_s, 0.85), "the image-to-3D server is at work")
            if spent > settings.timeout_s + BEAT_S:
                raise DeadlineExceeded(f"the image-to-3D server took longer than {settings.timeout_s:g} s")
    finally:
        client.close()
    answer = answers[0]
    if isinstance(answer, httpx2.TimeoutException) and not isinstance(answer, httpx2.ConnectTimeout):
        raise DeadlineExceeded(f"the image-to-3D server took longer than {settings.timeout_s:g} s")
    if isinstance(answer, httpx2.HTTPError | RuntimeError):
        raise ModelUnavailable(f"the image-to-3D server does not answer ({type(answer).__name__})")
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read(client: httpx2.Client, body: dict[str, object], most: int, deadline: float) -> tuple[int, bytes]:
    """The status and the body, as much of it as is allowed."""
    with client.stream("POST", "v1/infer", json=body) as response:
        if response.status_code != httpx2.codes.OK:
            return response.status_code, b""  # what the server says may name what it should not
        text = bytearray()
        for piece in response.iter_bytes():
            text += piece
            if len(text) > most:
                raise ToolFailed(f"the image-to-3D server's answer is larger than {most} bytes")
            if time.monotonic() > deadline:
                raise DeadlineExceeded("the image-to-3D server sends its answer too slowly")
        return response.status_code, bytes(text)
