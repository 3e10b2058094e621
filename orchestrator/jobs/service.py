"""Create, look at, cancel and delete jobs: what the job service does."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from orchestrator.domain.assets import Asset
from orchestrator.domain.export import ExportOptions
from orchestrator.domain.jobs import Failure, JobState
from orchestrator.domain.reconstruct import Provider, ReconstructOptions
from orchestrator.domain.render import RenderOptions
from orchestrator.domain.stain import StainOptions
from orchestrator.errors import AlreadyExists, FailedPrecondition, InvalidInput, NotFound, ResourceExhausted
from orchestrator.jobs.assets import Uploads
from orchestrator.jobs.dependencies import Parts
from orchestrator.jobs.spec import JobRequest, Kind, Options, PipelineOptions, kind_of, options_to_json
from orchestrator.jobs.webhook import check_webhook_url
from orchestrator.stages.reconstruct.reconstruct import needed_photos, resolved_mode
from orchestrator.stages.segment.segment import check_prompts

MAX_LABELS, MAX_LABEL_KEY, MAX_LABEL_VALUE = 32, 63, 255
MAX_REQUEST_ID = 128


class Queue(Protocol):
    """Where a job goes to be run; ``jobs.runner.Runner`` is the real one."""

    def enqueue(self, job: dict[str, Any]) -> None:
        """Put the job on the queue; a job that is there already stays there once."""

    def drop(self, job_id: str) -> None:
        """Take a queued job off."""


class Jobs:
    """The jobs of every tenant. A job is given as its row (see ``store.schema``)."""

    def __init__(self, parts: Parts, queue: Queue) -> None:
        self.parts = parts
        self.queue = queue
        self.uploads = Uploads(parts)

    def create(self, tenant: str, request: JobRequest) -> dict[str, Any]:
        """Queue a job, or return the one that the same ``request_id`` made before.

        Raises:
            InvalidInput: a value of the request is not allowed.
            NotFound: the upload, model or texture is not the tenant's.
            AlreadyExists: the ``request_id`` came before with another request.
            ResourceExhausted: the tenant has too many jobs that have not ended.
        """
        if len(request.request_id) > MAX_REQUEST_ID:
            raise InvalidInput("request_id", f"{len(request.request_id)} characters; at most {MAX_REQUEST_ID}")
        known = self.parts.records.job_of_request(tenant, request.request_id) if request.request_id else None
        if known is None:
            row = {**self._checked(tenant, request), "id": str(uuid.uuid4()), "tenant": tenant}
            known, is_new = self.parts.records.add_job(row, self.parts.settings.max_active_jobs)
            if not known:
                most = self.parts.settings.max_active_jobs
                raise ResourceExhausted(
                    f"{most} jobs are queued or running, the most that a tenant may have", most=most
                )
            if is_new:
                self.queue.enqueue(known)
                return known
        if known["fingerprint"] != request.fingerprint:
            raise AlreadyExists(
                f"request_id {request.request_id!r} was used for another request, job {known['id']}", job=known["id"]
            )
        return known

    def _checked(self, tenant: str, request: JobRequest) -> dict[str, Any]:
        now = datetime.now(UTC)
        if request.deadline is not None and request.deadline <= now:
            raise InvalidInput("deadline", f"{request.deadline.isoformat()} has passed; it is {now.isoformat()}")
        _check_labels(request.labels)
        if request.webhook_url:
            check_webhook_url(request.webhook_url, "webhook_url")
        options, inputs = self._resolved(tenant, request)
        return {
            "kind": request.kind.value,
            "state": JobState.QUEUED.value,
            "upload_id": request.upload_id,
            "inputs": [asset.id for asset in inputs],
            "options": options_to_json(options),
            "quality": request.quality.value,
            "priority": int(request.priority),
            "deadline": request.deadline,
            "labels": dict(request.labels),
            "webhook_url": request.webhook_url,
            "request_id": request.request_id or None,
            "fingerprint": request.fingerprint,
            "create_time": now,
        }

    def _resolved(self, tenant: str, request: JobRequest) -> tuple[Options, list[Asset]]:
        """The options with everything chosen that was left to us, and the files to work on."""
        options = request.options
        if isinstance(options, RenderOptions | ExportOptions):
            field = f"{request.kind.value}.model_id"
            if request.upload_id:
                raise InvalidInput("upload_id", f"a {request.kind.value} job works on a model; name it in {field}")
            self._check_texture(tenant, options)
            return options, [self.uploads.model(tenant, options.model_id, field)]
        photos = self.uploads.photos(tenant, request.upload_id)
        if not photos:
            raise InvalidInput("upload_id", f"upload {request.upload_id!r} holds no photo")
        stages: dict[Kind, Any] = {kind_of(options): options}
        if isinstance(options, PipelineOptions):
            reconstruct = self._ready(options.reconstruct, len(photos))
            options = replace(options, reconstruct=reconstruct)
            stages = {kind: getattr(options, kind.value) for kind in options.stages}
        elif isinstance(options, ReconstructOptions):
            options = self._ready(options, len(photos))
        sizes = [(photo.width, photo.height) for photo in photos]
        if Kind.SEGMENT in stages:
            check_prompts(stages[Kind.SEGMENT], sizes, openai=self.parts.openai)
        if Kind.STAIN in stages:
            self._check_mask(tenant, stages[Kind.STAIN], sizes)
        if Kind.RENDER in stages:
            self._check_texture(tenant, stages[Kind.RENDER])
        return options, photos

    def _ready(self, options: ReconstructOptions, photos: int) -> ReconstructOptions:
        mode = resolved_mode(options.mode, photos)
        needed = needed_photos(mode)
        if photos < needed:
            raise InvalidInput(
                "reconstruct.mode", f"{mode.value} needs at least {needed} photos; the upload has {photos}"
            )
        if options.provider is Provider.TRELLIS and not self.parts.settings.trellis_url:
            raise InvalidInput("reconstruct.provider", "'trellis' is not set up on this service; allowed is local")
        return replace(options, mode=mode)

    def _check_texture(self, tenant: str, options: RenderOptions | ExportOptions) -> None:
        if isinstance(options, RenderOptions) and options.texture_id:
            maps = self.parts.records.group(tenant, options.texture_id, "texture")
            if not any(asset.name.startswith("photo-0/albedo.") for asset in maps):
                raise NotFound("texture", options.texture_id)

    def _check_mask(self, tenant: str, options: StainOptions, sizes: list[tuple[int, int]]) -> None:
        if not options.mask_asset_id:
            return
        mask = self.parts.records.asset(tenant, options.mask_asset_id)
        if mask is None:
            raise NotFound("asset", options.mask_asset_id)
        for width, height in sizes:
            if (mask.width, mask.height) != (width, height):
                raise InvalidInput(
                    "stain.mask_asset_id",
                    f"the mask is {mask.width}×{mask.height}; it must have the photo's size, {width}×{height}",
                )

    def get(self, tenant: str, job_id: str) -> dict[str, Any]:
        """The job.

        Raises:
            NotFound: the tenant has no such job.
        """
        row = self.parts.records.job(tenant, job_id)
        if row is None:
            raise NotFound("job", job_id)
        return row

    def cancel(self, tenant: str, job_id: str) -> dict[str, Any]:
        """Ask the job to stop: a queued one ends at once, a running one when its work has; an ended one stays.

        Raises:
            NotFound: the tenant has no such job.
        """
        self.get(tenant, job_id)
        ended = self.parts.records.change_job(
            job_id,
            (JobState.QUEUED,),
            state=JobState.CANCELED.value,
            cancel_requested=True,
            end_time=datetime.now(UTC),
            message="canceled before it started",
        )
        if ended:
            self.queue.drop(job_id)
        else:
            self.parts.records.change_job(job_id, (JobState.RUNNING,), cancel_requested=True)
        return self.get(tenant, job_id)

    def delete(self, tenant: str, job_id: str) -> None:
        """Forget a job that has ended, and its files.

        Raises:
            NotFound: the tenant has no such job.
            FailedPrecondition: it has not ended.
        """
        row = self.get(tenant, job_id)
        if not JobState(row["state"]).is_final:
            raise FailedPrecondition(f"the job is {row['state']}; cancel it first", state=row["state"])
        for sha256 in self.parts.records.delete_job(tenant, job_id):
            self.parts.blobs.delete(tenant, sha256)

    def expire(self) -> None:
        """Fail the queued jobs whose deadline has passed; a running job sees its own."""
        now = datetime.now(UTC)
        for row in self.parts.records.active_jobs():
            if row["deadline"] is None or row["deadline"] > now or row["state"] != JobState.QUEUED.value:
                continue
            failure = Failure("DEADLINE_EXCEEDED", "the job's deadline passed before it could start")
            values = {"state": JobState.FAILED.value, "end_time": now, "failure": failure.__dict__}
            if self.parts.records.change_job(row["id"], (JobState.QUEUED,), **values):
                self.queue.drop(row["id"])


def _check_labels(labels: dict[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise InvalidInput("labels", f"{len(labels)} labels; at most {MAX_LABELS} are allowed")
    for key, value in labels.items():
        if not key or len(key) > MAX_LABEL_KEY:
            raise InvalidInput(
                "labels", f"the key {key[:80]!r} has {len(key)} characters; allowed are 1 to {MAX_LABEL_KEY}"
            )
        if len(value) > MAX_LABEL_VALUE:
            raise InvalidInput("labels", f"the value of {key!r} has {len(value)} characters; at most {MAX_LABEL_VALUE}")
