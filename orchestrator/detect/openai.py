"""A vision model behind any OpenAI-compatible endpoint: the photo in, named boxes out."""

from __future__ import annotations

import base64

import cv2
import openai
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.detect.vocabulary import COMPONENTS, MATERIALS, component_name, material_name
from orchestrator.domain.images import Image
from orchestrator.domain.segment import Box, Detection, DetectorCost, OpenAISettings, Prompt
from orchestrator.errors import DetectorFailed, DetectorUnavailable

LONG_SIDE = 1024
"""Vision endpoints shrink larger pictures themselves, and charge for them."""
MAX_TOKENS = 2000
QUESTION = (
    "List the visible components of the piece of furniture in this photo, one entry for each instance. "
    f"Use these names where they fit: {', '.join(COMPONENTS)}. Materials: {', '.join(MATERIALS)}. "
    "Boxes are fractions of the picture's width and height from its top left corner, from 0 to 1."
)


class Found(BaseModel):
    """One component, as the endpoint must answer."""

    model_config = ConfigDict(extra="forbid")
    name: str
    material: str
    confidence: float = Field(ge=0, le=1)
    left: float
    top: float
    right: float
    bottom: float


class Answer(BaseModel):
    """The whole answer."""

    model_config = ConfigDict(extra="forbid")
    components: list[Found]


def detect(photo_srgb: Image, settings: OpenAISettings) -> Detection:
    """Ask the endpoint for the components of ``photo_srgb`` [H, W, 3] uint8.

    Raises:
        DetectorUnavailable: it does not answer, or is too busy, after the retries.
        DetectorFailed: it refused, or what it said is not what was asked for.
    """
    client = openai.OpenAI(
        base_url=settings.base_url,
        api_key=settings.api_key,
        timeout=settings.timeout_s,
        max_retries=settings.max_retries,
    )
    try:
        with client:
            completion = client.chat.completions.create(
                model=settings.model,
                max_completion_tokens=MAX_TOKENS,
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": QUESTION},
                            {"type": "image_url", "image_url": {"url": _data_url(photo_srgb)}},
                        ],
                    }
                ],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "components", "strict": True, "schema": Answer.model_json_schema()},
                },
            )
    except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
        raise DetectorUnavailable(f"the vision endpoint does not answer ({type(error).__name__})") from None
    except openai.APIStatusError as error:
        raise DetectorFailed(f"the vision endpoint refused the call with HTTP {error.status_code}") from None
    except openai.OpenAIError as error:
        raise DetectorFailed(f"the vision endpoint gave no usable answer ({type(error).__name__})") from None
    if not completion.choices:
        raise DetectorFailed("the vision endpoint gave an empty answer")
    message = completion.choices[0].message
    if message.refusal:
        raise DetectorFailed(f"the vision model refused: {message.refusal[:200]}")
    try:
        answer = Answer.model_validate_json(message.content or "")
    except ValidationError as error:
        raise DetectorFailed(
            f"the vision model's answer does not fit its schema in {error.error_count()} places"
        ) from None
    height, width = photo_srgb.shape[:2]
    prompts = tuple(_prompt(found, width, height) for found in answer.components if _has_area(found))
    usage = completion.usage
    return Detection(
        prompts, _cost(usage.prompt_tokens, usage.completion_tokens, settings) if usage else DetectorCost()
    )


def _prompt(found: Found, width: int, height: int) -> Prompt:
    left, top, right, bottom = _clipped(found)
    return Prompt(
        name=component_name(found.name),
        box=Box(left * width, top * height, right * width, bottom * height),
        material=material_name(found.material),
        confidence=found.confidence,
    )


def _clipped(found: Found) -> tuple[float, float, float, float]:
    left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in (found.left, found.top, found.right, found.bottom))
    return left, top, right, bottom


def _has_area(found: Found) -> bool:
    left, top, right, bottom = _clipped(found)
    return right - left > 0.005 and bottom - top > 0.005


def _cost(prompt_tokens: int, completion_tokens: int, settings: OpenAISettings) -> DetectorCost:
    usd = prompt_tokens * settings.usd_per_million_input + completion_tokens * settings.usd_per_million_output
    return DetectorCost(prompt_tokens, completion_tokens, usd / 1e6)


def _data_url(photo_srgb: Image) -> str:
    height, width = photo_srgb.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    small = cv2.resize(photo_srgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
