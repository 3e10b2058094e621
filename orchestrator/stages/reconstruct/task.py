"""The input that all reconstruction methods share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import NO_PROGRAMS, ReconstructOptions, ReconstructPrograms


@dataclass(frozen=True)
class ReconstructTask:
    """Photos of one piece, and how and where to reconstruct it.

    Methods with several photos write their finished intermediate results to ``folder``. A repeated call with the same
    folder, for example after a crash, continues after the last finished one. ``single_image`` starts again.
    """

    photos: Sequence[Path]  # upright, in any format that Pillow reads, with the focal length in EXIF if known
    masks: Sequence[Path]  # 8-bit grey of the photos' sizes, 255 on the piece
    options: ReconstructOptions
    quality: Quality
    folder: Path
    color_photos: Sequence[Path] = ()  # photos of the same sizes that give the texture, such as stained ones
    maps: MaterialMaps | None = None  # model outputs for the first photo; only single_image uses them
    programs: ReconstructPrograms = NO_PROGRAMS
    limits: Limits = DEFAULT_LIMITS
    progress: Progress = no_progress
