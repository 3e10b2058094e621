"""An open-vocabulary model as a detector: the caller names parts, the model finds their boxes."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.detect.detector import Candidate, Detection
from orchestrator.domain.checks import Violations
from orchestrator.domain.images import Image
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.model_roles import PartFinder
from orchestrator.domain.progress import Progress
from orchestrator.domain.segment import Prompt, SegmentOptions
from orchestrator.domain.vocabulary import COMPONENTS, MAX_NAME, component_name
from orchestrator.errors import InvalidInput

MAX_PART_NAMES = 32
"""Maximum number of names in a request."""
NOT_SEARCHED = ("body", "hardware")
"""Components whose names describe no particular shape. DEFAULT_NAMES contains ``handle`` instead of ``hardware``."""
DEFAULT_NAMES = (*(name for name in COMPONENTS if name not in NOT_SEARCHED), "handle")
"""Names to search for if the caller gives none."""


class OpenVocabularyDetector:
    """Finds the parts that ``SegmentOptions.part_names`` names."""

    def __init__(self, finder: PartFinder) -> None:
        self._finder = finder

    def detect(
        self, photo_srgb: Image, maps: MaterialMaps, options: SegmentOptions, photo_index: int, progress: Progress
    ) -> Detection:
        """See ``Detector.detect``. Uses only ``photo_srgb`` and ``options.part_names``."""
        del maps, photo_index
        names = options.part_names or DEFAULT_NAMES
        progress(0.0, f"searching {len(names)} kinds of parts")
        found = self._finder.find(photo_srgb, names)
        candidates = (
            Candidate(
                component_name(part.name),
                part.confidence,
                prompt=Prompt(part.name, part.box, confidence=part.confidence),
            )
            for part in found
        )
        return Detection(tuple(candidates))


def check_part_names(names: Sequence[str]) -> None:
    """Raise InvalidInput if there are too many names, or a name is empty or too long."""
    field = "segment.part_names"
    if len(names) > MAX_PART_NAMES:
        raise InvalidInput(field, f"there are {len(names)} names; at most {MAX_PART_NAMES} are allowed")
    rule = f"a name has 1 to {MAX_NAME} characters, such as 'door handle'"
    with Violations() as violations:
        for index, name in enumerate(names):
            is_allowed = bool(name.strip()) and len(name) <= MAX_NAME
            violations.check(is_allowed, f"{field}[{index}]", f"{name[:80]!r} is not allowed; {rule}")
