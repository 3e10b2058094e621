"""A vision model behind an OpenAI-compatible endpoint as a detector."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import cv2
from pydantic import BaseModel, Field, ValidationError

from orchestrator.detect.detector import Candidate, Detection
from orchestrator.domain.images import Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress
from orchestrator.domain.segment import Box, DetectorCost, OpenAISettings, Prompt, SegmentOptions
from orchestrator.domain.vocabulary import COMPONENTS, MATERIALS, component_name, material_name
from orchestrator.errors import DetectorFailed, DetectorUnavailable
from orchestrator.imaging.filters import shrink

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

LONG_SIDE = 1024
"""Longest side of the image that is sent. Vision endpoints shrink larger images and charge for them."""
JPEG_QUALITY = 85
"""Quality of the image that is sent. Not tuned."""
MAX_TOKENS = 2000
"""Maximum length of the answer in tokens. Not tuned."""
MIN_SIDE = 0.005
"""Smallest width and height of a box, as a share of the image. Smaller boxes are dropped. Not tuned."""
INSTRUCTION = (
    "List the visible components of the piece of furniture in this photo, one entry for each instance. "
    "Use these names where they fit: {names}. "
    f"Materials: {', '.join(MATERIALS)}. "
    "Boxes are fractions of the picture's width and height from its top left corner, from 0 to 1."
)


# The docstrings of these two classes are part of the JSON schema that is sent to the endpoint.
class AnswerComponent(BaseModel, extra="forbid"):
    """One component in the answer of the endpoint. The sides are shares of the image's width and height."""

    name: str
    material: str
    confidence: float = Field(ge=0, le=1)
    left: float
    top: float
    right: float
    bottom: float


class Answer(BaseModel, extra="forbid"):
    """The answer of the endpoint. Its JSON schema is part of the request."""

    components: list[AnswerComponent]


class OpenAIDetector:
    """Sends the photo to the endpoint and reads named boxes from its answer."""

    def __init__(self, settings: OpenAISettings) -> None:
        self._settings = settings

    def detect(
        self, photo_srgb: Image, maps: MaterialMaps, options: SegmentOptions, photo_index: int, progress: Progress
    ) -> Detection:
        """See ``Detector.detect``. Uses only ``photo_srgb`` and the part names in ``options.made_of``."""
        del maps, photo_index
        progress(0.0, "waiting for the vision endpoint")
        known_parts = (known.part for known in options.made_of if known.part)
        completion = self._complete(photo_srgb, tuple(dict.fromkeys((*COMPONENTS, *known_parts))))
        height, width = photo_srgb.shape[:2]
        cost = self._cost(completion)
        try:
            components = _read_answer(completion).components
        except DetectorFailed as error:
            error.usd = cost.usd
            raise
        candidates = (_candidate(component, width, height) for component in components)
        return Detection(tuple(candidate for candidate in candidates if candidate is not None), cost)

    def _complete(self, photo_srgb: Image, names: tuple[str, ...]) -> ChatCompletion:
        """Ask for components, preferably with these names. Retries if the endpoint does not answer or is overloaded."""
        import openai  # imported here because it takes 0.8 s

        settings = self._settings
        instruction = INSTRUCTION.format(names=", ".join(names))
        image: Any = {"type": "image_url", "image_url": {"url": _data_url(photo_srgb)}}
        schema: Any = {"name": "components", "strict": True, "schema": Answer.model_json_schema()}
        try:
            with openai.OpenAI(
                base_url=settings.base_url,
                api_key=settings.api_key,
                timeout=settings.timeout_s,
                max_retries=settings.max_retries,
            ) as client:
                return client.chat.completions.create(
                    model=settings.model,
                    max_completion_tokens=MAX_TOKENS,
                    messages=[{"role": "user", "content": [{"type": "text", "text": instruction}, image]}],
                    response_format={"type": "json_schema", "json_schema": schema},
                )
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            problem = f"the vision endpoint is unavailable ({type(error).__name__})"
            raise DetectorUnavailable(f"{problem}; try again later") from None
        except openai.APIStatusError as error:
            problem = f"the vision endpoint rejected the request with HTTP status {error.status_code}"
            raise DetectorFailed(f"{problem}; check the endpoint's URL, key and model in the settings") from None
        except openai.OpenAIError as error:
            raise DetectorFailed(f"the request to the vision endpoint failed ({type(error).__name__})") from None

    def _cost(self, completion: ChatCompletion) -> DetectorCost:
        usage, settings = completion.usage, self._settings
        if usage is None:
            return DetectorCost()
        sent, received = usage.prompt_tokens, usage.completion_tokens
        usd = sent * settings.usd_per_million_input + received * settings.usd_per_million_output
        return DetectorCost(sent, received, usd / 1e6)


def _read_answer(completion: ChatCompletion) -> Answer:
    """Parse the answer. Raises DetectorFailed if it is empty or a refusal, or does not match the schema."""
    if not completion.choices:
        raise DetectorFailed("the vision endpoint returned an empty answer")
    message = completion.choices[0].message
    if message.refusal:
        raise DetectorFailed(f"the vision model refused to answer: {message.refusal[:200]}")
    try:
        return Answer.model_validate_json(message.content or "")
    except ValidationError as error:
        problem = "the vision model's answer does not match the requested JSON schema"
        raise DetectorFailed(f"{problem} ({error.error_count()} errors)") from None


def _candidate(component: AnswerComponent, width: int, height: int) -> Candidate | None:
    """Convert a component of the answer, or return None if its box, clipped to the image, is too small."""
    sides = (component.left, component.top, component.right, component.bottom)
    left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in sides)
    if right - left <= MIN_SIDE or bottom - top <= MIN_SIDE:
        return None
    name, material = component_name(component.name), material_name(component.material)
    box = Box(left * width, top * height, right * width, bottom * height)
    return Candidate(name, component.confidence, material, prompt=Prompt(name, box))


def _data_url(photo_srgb: Image) -> str:
    bgr = cv2.cvtColor(shrink(photo_srgb, LONG_SIDE), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
