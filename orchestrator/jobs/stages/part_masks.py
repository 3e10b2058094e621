"""The parts and masks of an earlier segment job, with the edits of the caller, for the stain stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from orchestrator.domain.assets import Asset
from orchestrator.domain.images import Image
from orchestrator.domain.jobs import JobState
from orchestrator.domain.made_of import MadeOf, resolve_part
from orchestrator.domain.stain import FOREGROUND_MASK, WOOD_MASK, EditedMask, StainOptions
from orchestrator.errors import FailedPrecondition, InvalidInput
from orchestrator.jobs.assets import existing
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.documents import from_json
from orchestrator.jobs.stage import JobInput
from orchestrator.jobs.stages.segment import SEGMENT, Component, SegmentedPhoto, SegmentResult
from orchestrator.jobs.step import PhotoStep
from orchestrator.stages.mask_files import check_edited_mask, read_mask_of_size
from orchestrator.stages.stain.area import EVERYWHERE, EditedPart, StainArea, area_of_edits

JOB_FIELD = "stain.segment_job_id"


@dataclass(frozen=True)
class SegmentJob:
    """The result of a segment job, and what its caller stated about the materials."""

    result: SegmentResult
    made_of: MadeOf
    failed_photos: tuple[str, ...]  # asset ids of the photos that the job left out

    def resolve_part(self, field: str, text: str) -> str:
        """Return the name or the instance of the parts that the text names. Raises InvalidInput if there are none."""
        parts = [part for photo in self.result.photos for part in photo.components]
        if not parts:
            raise InvalidInput(field, f"{text[:40]!r} is unknown: the segment job found no parts; name another job")
        if text in {part.instance for part in parts}:
            return text
        return resolve_part(field, text, self.result.components)


def load_segment_job(dependencies: Dependencies, tenant: str, job_id: str) -> SegmentJob:
    """Return the segment result of a job of the tenant, which may be a pipeline.

    Raises:
        NotFound: the tenant has no such job.
        FailedPrecondition: the job has not succeeded.
        InvalidInput: the job has no segment result.
    """
    job = existing(dependencies.records.job(tenant, job_id), "job", job_id)
    if job.state is not JobState.SUCCEEDED:
        remedy = "create another one" if job.state.is_final else "wait until it has succeeded"
        raise FailedPrecondition(f"the segment job {job_id} is {job.state.value}; {remedy}", state=job.state.value)
    document = (job.result or {}).get(SEGMENT.name)
    if not document:
        raise InvalidInput(JOB_FIELD, f"{job_id} is a {job.kind} job without a segment result; name a segment job")
    options = job.options if job.kind == SEGMENT.name else job.options[SEGMENT.name]
    failed_photos = tuple(failure.photo_asset_id for failure in job.photo_failures)
    return SegmentJob(from_json(SegmentResult, document), from_json(SEGMENT.options, options).made_of, failed_photos)


def segmented_photo(dependencies: Dependencies, result: SegmentResult, photo: Asset, index: int) -> SegmentedPhoto:
    """Return the result for a photo: for the same file, or for one with the same content. Raises InvalidInput."""
    for other in sorted(range(len(result.photos)), key=lambda other: other != index):  # the same index first
        candidate = result.photos[other]
        if _is_same(dependencies, photo, candidate.photo_asset_id):
            return candidate
    problem = f"the segment job did not process photo {index} of the upload, {photo.name!r}"
    raise InvalidInput(JOB_FIELD, f"{problem}; name a job on the same photos, or segment this upload first")


def _is_same(dependencies: Dependencies, photo: Asset, other_id: str) -> bool:
    """Return whether another photo of the tenant is this one, or has the same content."""
    other = dependencies.records.asset(photo.tenant, other_id)
    return other_id == photo.id or (other is not None and other.sha256 == photo.sha256)


def check_edits(edits: tuple[EditedMask, ...], job: JobInput, segment_job: SegmentJob) -> None:
    """Check the photos of the job and the edited masks against the segment job. It may have left out photos.

    Raises:
        NotFound: the tenant has no such mask.
        InvalidInput: a photo or part is unknown, or a mask has the wrong kind, size or mode.
    """
    for index, photo in enumerate(job.assets):
        if not any(_is_same(job.dependencies, photo, failed) for failed in segment_job.failed_photos):
            segmented_photo(job.dependencies, segment_job.result, photo, index)
    edited: set[tuple[int, str]] = set()
    for number, edit in enumerate(edits):
        field = f"stain.masks[{number}]"
        if not 0 <= edit.photo < len(job.assets):
            rule = f"the upload has photos 0 to {len(job.assets) - 1}"
            raise InvalidInput(f"{field}.photo", f"{edit.photo} is not allowed; {rule}")
        masks = _masks(segmented_photo(job.dependencies, segment_job.result, job.assets[edit.photo], edit.photo))
        if edit.part not in masks:
            rule = f"photo {edit.photo} has the masks {', '.join(masks)}"
            raise InvalidInput(f"{field}.part", f"{edit.part[:40]!r} is unknown; {rule}")
        if (edit.photo, edit.part) in edited:
            raise InvalidInput(field, f"{edit.part!r} of photo {edit.photo} is replaced twice; send one mask for it")
        edited.add((edit.photo, edit.part))
        _check_mask_file(f"{field}.mask_asset_id", edit.mask_asset_id, masks[edit.part], job)


def _check_mask_file(field: str, edited_id: str, original_id: str, job: JobInput) -> None:
    records, blobs = job.dependencies.records, job.dependencies.blobs
    edited = existing(records.asset(job.tenant, edited_id), "asset", edited_id)
    original = existing(records.asset(job.tenant, original_id), "asset", original_id)
    if edited.kind != "mask":
        raise InvalidInput(field, f"{edited.name!r} is a {edited.kind}; upload it with the kind MASK")
    if (edited.width, edited.height) != (original.width, original.height):
        rule = f"it must have the size of the mask that it replaces, {original.width}×{original.height}"
        raise InvalidInput(field, f"the mask is {edited.width}×{edited.height} pixels; {rule}")
    check_edited_mask(blobs.get(job.tenant, edited.sha256), field, tenant=job.tenant)


def _masks(photo: SegmentedPhoto) -> dict[str, str]:
    """Return the asset ids of the masks of a photo, by the names that ``EditedMask.part`` may have."""
    parts = {part.instance: part.mask for part in photo.components}
    masks = {**parts, FOREGROUND_MASK: photo.foreground, WOOD_MASK: photo.wood}
    return {name: id for name, id in masks.items() if id}


@dataclass(frozen=True)
class PartMasks:
    """The masks of one photo of a segment job, with the edits of the caller. ``size`` is width and height in pixels."""

    photo: PhotoStep
    segmented: SegmentedPhoto | None  # None: there is no segment job
    edited: Mapping[str, str]  # asset id of the edited mask, by the name of the mask
    made_of: MadeOf  # takes precedence over the materials of the segment job

    def used(self, names: Collection[str]) -> list[tuple[str, str, str]]:
        """Return name, material and SHA-256 of each mask on which a result for the parts with these ``names`` depends.

        An edit depends on all masks of the photo: a pixel that was removed from one part may be in another one.
        """
        masks = [(part.instance, part.mask) for part in self._parts(names)]
        if self.segmented is not None and self.edited:
            masks = [*_masks(self.segmented).items(), *self.edited.items()]
        return [(mask, self._material(mask), self._sha256(id)) for mask, id in masks]

    def union(self, names: Collection[str], size: tuple[int, int]) -> Image:
        """Return the [H, W] uint8 mask of all parts with these names or instances; black if the photo shows none."""
        masks = (self._read(self._current(part), size) for part in self._parts(names))
        return reduce(np.maximum, masks, np.zeros(size[::-1], np.uint8))

    def by_name(self, names: Collection[str], size: tuple[int, int]) -> dict[str, Image]:
        """Return ``union`` for each of the names that the photo shows."""
        found = {part.name for part in self._parts(names)}
        return {name: self.union([name], size) for name in names if name in found}

    def edited_area(self, size: tuple[int, int]) -> StainArea:
        """Return the pixels that the edits add to the wood or exclude from it."""
        if self.segmented is None or not self.edited:
            return EVERYWHERE
        masks = _masks(self.segmented)
        edits = (
            EditedPart(self._material(mask), self._read(masks[mask], size), self._read(id, size))
            for mask, id in self.edited.items()
            if mask != WOOD_MASK
        )
        area = area_of_edits(edits, self.union([part.name for part in self.segmented.components], size))
        return replace(area, all_wood=self.edited_mask(WOOD_MASK, size))

    def edited_mask(self, mask: str, size: tuple[int, int]) -> Image | None:
        """Return an edited mask; None if the caller did not edit it."""
        return self._read(self.edited[mask], size) if mask in self.edited else None

    def _parts(self, names: Collection[str]) -> list[Component]:
        components = () if self.segmented is None else self.segmented.components
        return [part for part in components if part.name in names or part.instance in names]

    def _current(self, part: Component) -> str:
        """Return the asset id of a part's mask, or of the one that replaces it."""
        return self.edited.get(part.instance, part.mask)

    def _material(self, mask: str) -> str:
        """Return the material of a part; empty if the mask is not that of a part."""
        stated = {known.part: known.material for known in self.made_of}
        return next((stated.get(part.name, part.material) for part in self._parts([mask])), "")

    def _sha256(self, asset_id: str) -> str:
        return self.photo.step.asset(asset_id, "mask").sha256

    def _read(self, asset_id: str, size: tuple[int, int]) -> Image:
        step = self.photo.step
        return read_mask_of_size(step.read(self._sha256(asset_id)), "stain.masks", size, tenant=step.job.tenant)


def part_masks(photo: PhotoStep, options: StainOptions, pipeline: SegmentResult | None) -> PartMasks:
    """Return the masks that ``options`` name, else those of the same ``pipeline``, if it found any parts."""
    dependencies, segmented = photo.step.dependencies, None
    if options.segment_job_id:
        job = load_segment_job(dependencies, photo.step.job.tenant, options.segment_job_id)
        segmented = segmented_photo(dependencies, job.result, photo.asset, photo.index)
    elif pipeline is not None and pipeline.components:
        segmented = segmented_photo(dependencies, pipeline, photo.asset, photo.index)
    edited = {edit.part: edit.mask_asset_id for edit in options.masks if edit.photo == photo.index}
    return PartMasks(photo, segmented, edited, options.made_of)
