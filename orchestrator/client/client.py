"""The typed client of the gRPC API. Python programs import it with ``from heartwood import Heartwood``."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict, Unpack

import grpc
from google.protobuf.message import Message

from orchestrator.client.api_error import ApiError
from orchestrator.client.models import Models
from orchestrator.client.uploads import upload_requests
from orchestrator.client.webhooks import Webhooks
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2,
    asset_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    model_pb2_grpc,
    tenant_pb2,
    tenant_pb2_grpc,
    webhook_pb2_grpc,
)
from orchestrator.protocol.heartwood.v1.asset_pb2 import Asset
from orchestrator.protocol.heartwood.v1.cutout_pb2 import CutoutOptions
from orchestrator.protocol.heartwood.v1.export_pb2 import ExportOptions
from orchestrator.protocol.heartwood.v1.job_pb2 import Job, JobSpec
from orchestrator.protocol.heartwood.v1.made_of_pb2 import PartMaterial
from orchestrator.protocol.heartwood.v1.pipeline_pb2 import PipelineOptions
from orchestrator.protocol.heartwood.v1.reconstruct_pb2 import ReconstructOptions
from orchestrator.protocol.heartwood.v1.render_pb2 import RenderOptions
from orchestrator.protocol.heartwood.v1.segment_pb2 import DetectorKind, SegmentOptions
from orchestrator.protocol.heartwood.v1.stain_pb2 import NamedStain, StainOptions
from orchestrator.protocol.heartwood.v1.tenant_pb2 import GetUsageResponse

TRANSFER_TIMEOUT_S = 600.0  # of a call that uploads or downloads a file; not tuned
MAX_RECONNECTIONS = 2
RECONNECTION_DELAY_S = 0.1
"""Delay before ``watch`` connects again, which each failure doubles. With RETRY_POLICY, it tries for about 7 s."""
RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}
"""gRPC's retry policy. The service states for each RESOURCE_EXHAUSTED whether and when the call is repeated."""
SERVICE_CONFIG = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": RETRY_POLICY}]})


class JobSettings(TypedDict, total=False):
    """The settings that every kind of job accepts."""

    quality: job_pb2.Quality.ValueType  # default: QUALITY_FINAL
    priority: job_pb2.Priority.ValueType  # default: PRIORITY_NORMAL
    deadline: datetime | None  # the job fails if it has not ended by then; UTC if it has no time zone
    webhook_url: str  # the https URL that receives a POST when the job has ended
    labels: Mapping[str, str] | None
    request_id: str | None  # calls with the same id create one job; default: a random id for each call


class Heartwood:
    """A thread-safe connection to the service at ``address`` (host:port) with the bearer ``token`` of a tenant.

    Every method raises ``ApiError`` if the call fails. The attributes ``models`` and ``webhooks`` manage the served
    models and the webhooks.

    Args:
        root_certificates: PEM certificates to verify the server with; implies ``tls``.
        client_certificate, client_key: PEM certificate chain and key, if the server asks for one; imply ``tls``.
        timeout_s: timeout of a call that transfers no file.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:8500",
        token: str = "",
        *,
        root_certificates: bytes | None = None,
        client_certificate: bytes | None = None,
        client_key: bytes | None = None,
        tls: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        options = [("grpc.service_config", SERVICE_CONFIG), ("grpc.enable_retries", 1)]
        if tls or root_certificates is not None or client_certificate is not None:
            credentials = grpc.ssl_channel_credentials(root_certificates, client_key, client_certificate)
            self._channel = grpc.secure_channel(address, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._timeout_s = timeout_s
        self._assets = asset_pb2_grpc.AssetServiceStub(self._channel)
        self._jobs = job_pb2_grpc.JobServiceStub(self._channel)
        self._tenant = tenant_pb2_grpc.TenantServiceStub(self._channel)
        self.webhooks = Webhooks(webhook_pb2_grpc.WebhookServiceStub(self._channel), self._call, self._pages)
        self.models = Models(model_pb2_grpc.ModelServiceStub(self._channel), self._call, self._stream)

    def __enter__(self) -> Heartwood:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    # ---- files

    def upload(self, photos: Sequence[str | os.PathLike[str]], *, on_sent: Callable[[int], None] | None = None) -> str:
        """Upload the photos of one piece and return the id of the upload. See ``upload_bytes`` for ``on_sent``."""
        upload_id = ""
        for path in map(Path, photos):
            asset = self.upload_bytes(path.read_bytes(), path.name, upload_id=upload_id, on_sent=on_sent)
            upload_id = asset.group_id
        return upload_id

    def upload_model(self, file: str | os.PathLike[str], *, on_sent: Callable[[int], None] | None = None) -> str:
        """Upload a 3D model (GLB, glTF as zip, FBX, OBJ as zip, STL, PLY or USDZ) and return its id."""
        path = Path(file)
        data = path.read_bytes()
        return self.upload_bytes(data, path.name, kind=asset_pb2.ASSET_KIND_MODEL, on_sent=on_sent).group_id

    def upload_mask(self, file: str | os.PathLike[str]) -> str:
        """Upload a greyscale mask, white inside, and return its asset id for ``StainOptions``."""
        path = Path(file)
        return self.upload_bytes(path.read_bytes(), path.name, kind=asset_pb2.ASSET_KIND_MASK).id

    def upload_bytes(
        self,
        data: bytes,
        filename: str,
        *,
        upload_id: str = "",
        kind: asset_pb2.AssetKind.ValueType = asset_pb2.ASSET_KIND_PHOTO,
        on_sent: Callable[[int], None] | None = None,
    ) -> Asset:
        """Upload one file.

        Args:
            upload_id: the upload to add the file to. Empty starts a new one, whose id is the asset's ``group_id``.
            on_sent: called with the size of each chunk in bytes after it has been sent, to show the progress.
        """
        name = filename.encode(errors="replace").decode()  # a file name in Linux may contain invalid UTF-8
        header = {"upload_id": upload_id, "filename": name, "kind": kind}
        requests = upload_requests(asset_pb2.UploadAssetRequest, data, on_sent, **header)
        asset: Asset = self._call(self._assets.UploadAsset, requests, timeout_s=TRANSFER_TIMEOUT_S).asset
        return asset

    def download(self, asset: Asset | str, path: str | os.PathLike[str]) -> Path:
        """Write an asset to ``path``. A failed download leaves no partial file."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with scratch.open("wb") as file:
                for chunk in self.read(asset):
                    file.write(chunk)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
        return target

    def read(self, asset: Asset | str) -> Iterator[bytes]:
        """Yield the bytes of an asset in chunks."""
        request = asset_pb2.DownloadAssetRequest(asset_id=asset if isinstance(asset, str) else asset.id)
        for response in self._stream(self._assets.DownloadAsset, request, TRANSFER_TIMEOUT_S):
            if response.WhichOneof("part") == "data":
                yield response.data

    def list_assets(self, group_id: str = "") -> Iterator[Asset]:
        """Yield the files of an upload or a result, whose id (such as ``texture_id``) is ``group_id``, or all files."""
        for page in self._pages(self._assets.ListAssets, asset_pb2.ListAssetsRequest(group_id=group_id)):
            yield from page.assets

    def delete_asset(self, asset_id: str) -> None:
        """Delete a file."""
        self._call(self._assets.DeleteAsset, asset_pb2.DeleteAssetRequest(asset_id=asset_id))

    def delete_upload(self, upload_id: str) -> int:
        """Delete all files of an upload and return their number. If an unfinished job uses one, none is deleted."""
        request = asset_pb2.DeleteUploadRequest(upload_id=upload_id)
        return int(self._call(self._assets.DeleteUpload, request).deleted_files)

    def sign_url(self, asset_id: str, lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return a URL that downloads the file without a token."""
        request = asset_pb2.SignAssetUrlRequest(asset_id=asset_id)
        request.lifetime.FromTimedelta(lifetime)
        url: str = self._call(self._assets.SignAssetUrl, request).url
        return url

    # ---- jobs

    def segment(
        self,
        upload_id: str,
        options: SegmentOptions | None = None,
        *,
        made_of: str | Mapping[str, str] = "",
        part_names: Sequence[str] = (),
        **settings: Unpack[JobSettings],
    ) -> Job:
        """Create a job that finds the parts and the wood in the photos of an upload.

        Args:
            made_of: the known material of the piece, such as "wood", or of parts, such as {"leg": "metal"}.
            part_names: find these parts, such as "door handle", with the detector ``open_vocabulary``.
        """
        spec = JobSpec(segment=options or SegmentOptions())
        spec.segment.made_of.extend(_part_materials(made_of))
        if part_names:
            spec.segment.detector = DetectorKind.DETECTOR_KIND_OPEN_VOCABULARY
            spec.segment.part_names.extend(part_names)
        return self.create_job(spec, upload_id, **settings)

    def stain(
        self,
        upload_id: str,
        *,
        color: str = "",
        stain: str = "",
        made_of: str | Mapping[str, str] = "",
        parts: Sequence[str] = (),
        options: StainOptions | None = None,
        **settings: Unpack[JobSettings],
    ) -> Job:
        """Create a job that stains the wood to ``color`` (#RRGGBB) or with the named ``stain``.

        Args:
            made_of: see ``segment``.
            parts: stain only these parts, such as "top". Default: all.
        """
        spec = JobSpec(stain=options or StainOptions())
        spec.stain.made_of.extend(_part_materials(made_of))
        spec.stain.parts.extend(parts)
        if color:
            spec.stain.color = color
        if stain:
            spec.stain.stain = stain
        return self.create_job(spec, upload_id, **settings)

    def cutout(self, upload_id: str, options: CutoutOptions | None = None, **settings: Unpack[JobSettings]) -> Job:
        """Create a job that puts the piece on a transparent or coloured background."""
        return self.create_job(JobSpec(cutout=options or CutoutOptions()), upload_id, **settings)

    def reconstruct(
        self, upload_id: str, options: ReconstructOptions | None = None, **settings: Unpack[JobSettings]
    ) -> Job:
        """Create a job that reconstructs a 3D model from the photos of an upload."""
        return self.create_job(JobSpec(reconstruct=options or ReconstructOptions()), upload_id, **settings)

    def render(self, model_id: str, options: RenderOptions | None = None, **settings: Unpack[JobSettings]) -> Job:
        """Create a job that renders a turntable of a 3D model."""
        spec = JobSpec(render=RenderOptions(model_id=model_id))
        spec.render.MergeFrom(options or RenderOptions())
        return self.create_job(spec, **settings)

    def export(self, model_id: str, options: ExportOptions | None = None, **settings: Unpack[JobSettings]) -> Job:
        """Create a job that converts a 3D model to other file formats."""
        spec = JobSpec(export=ExportOptions(model_id=model_id))
        spec.export.MergeFrom(options or ExportOptions())
        return self.create_job(spec, **settings)

    def run(self, upload_id: str, options: PipelineOptions, **settings: Unpack[JobSettings]) -> Job:
        """Create a pipeline: one job that runs every stage whose options are set."""
        return self.create_job(JobSpec(pipeline=options), upload_id, **settings)

    def create_job(self, spec: JobSpec, upload_id: str = "", **settings: Unpack[JobSettings]) -> Job:
        """Create a job of the stage in ``spec``. ``upload_id`` is empty for jobs that process a 3D model."""
        spec.upload_id = upload_id
        spec.quality = settings.get("quality", job_pb2.QUALITY_FINAL)
        spec.priority = settings.get("priority", job_pb2.PRIORITY_NORMAL)
        spec.webhook_url = settings.get("webhook_url", "")
        spec.labels.update(settings.get("labels") or {})
        if deadline := settings.get("deadline"):
            spec.deadline.FromDatetime(deadline)
        request_id = settings.get("request_id")
        request_id = str(uuid.uuid4()) if request_id is None else request_id
        return self._job(self._jobs.CreateJob, job_pb2.CreateJobRequest(spec=spec, request_id=request_id))

    def job(self, job_id: str) -> Job:
        """Return the current state of a job."""
        return self._job(self._jobs.GetJob, job_pb2.GetJobRequest(job_id=job_id))

    def jobs(
        self, states: Sequence[job_pb2.JobState.ValueType] = (), labels: Mapping[str, str] | None = None
    ) -> Iterator[Job]:
        """Yield jobs, newest first."""
        for page in self._pages(self._jobs.ListJobs, job_pb2.ListJobsRequest(states=states, labels=labels)):
            yield from page.jobs

    def watch(self, job_id: str) -> Iterator[Job]:
        """Yield the job now and after each change until it has ended. Connects again if the connection is lost."""
        last, failures = None, 0
        while True:
            try:
                for response in self._stream(self._jobs.WatchJob, job_pb2.WatchJobRequest(job_id=job_id)):
                    if response.job != last:
                        yield response.job
                    last, failures = response.job, 0
                return
            except ApiError as error:
                failures += 1
                if error.code != grpc.StatusCode.UNAVAILABLE or failures > MAX_RECONNECTIONS:
                    raise
                time.sleep(RECONNECTION_DELAY_S * 2**failures)

    def watch_jobs(self, labels: Mapping[str, str] | None = None) -> Iterator[Job]:
        """Yield the unfinished and recent jobs with these labels, and then each job after each change, for ever."""
        for response in self._stream(self._jobs.WatchJobs, job_pb2.WatchJobsRequest(labels=labels)):
            yield response.job

    def wait(self, job_id: str) -> Job:
        """Wait until the job has succeeded and return it. Raises ``ApiError`` if it failed or was canceled."""
        *_, job = self.watch(job_id)
        if job.state == job_pb2.JOB_STATE_CANCELED:
            raise ApiError(grpc.StatusCode.CANCELLED, "CANCELED", f"job {job_id} was canceled")
        if job.state != job_pb2.JOB_STATE_SUCCEEDED:
            raise ApiError.from_status(job.error)
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel a job. A running job stops at its next check for cancellation."""
        return self._job(self._jobs.CancelJob, job_pb2.CancelJobRequest(job_id=job_id))

    def delete_job(self, job_id: str) -> None:
        """Delete a job that has ended, and its result files."""
        self._call(self._jobs.DeleteJob, job_pb2.DeleteJobRequest(job_id=job_id))

    def stains(self) -> list[NamedStain]:
        """Return the named stains of the service's catalogue."""
        return list(self._call(self._jobs.ListStains, job_pb2.ListStainsRequest()).stains)

    def usage(self) -> GetUsageResponse:
        """Return the quotas of the tenant and what it uses."""
        response: GetUsageResponse = self._call(self._tenant.GetUsage, tenant_pb2.GetUsageRequest())
        return response

    def _job(self, method: Any, request: Message) -> Job:
        """Call a method and return the job in its response."""
        job: Job = self._call(method, request).job
        return job

    def _pages(self, method: Any, request: Any) -> Iterator[Any]:
        """Call a method that lists objects, once for each page."""
        while True:
            response = self._call(method, request)
            yield response
            request.page_token = response.next_page_token
            if not request.page_token:
                return

    def _call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        try:
            return method(request, metadata=self._metadata, timeout=timeout_s or self._timeout_s)
        except grpc.RpcError as error:
            raise ApiError.from_call(error) from None

    def _stream(self, method: Any, request: Any, timeout_s: float | None = None) -> Generator[Any, None, None]:
        """Call a method and yield its responses. The call is canceled if the generator is closed before its end."""
        call = method(request, metadata=self._metadata, timeout=timeout_s)
        try:
            yield from call
        except grpc.RpcError as error:
            raise ApiError.from_call(error) from None
        finally:
            call.cancel()


def _part_materials(made_of: str | Mapping[str, str]) -> list[PartMaterial]:
    """Return the message of each statement about a material. A text is the material of the whole piece."""
    materials = {"": made_of} if isinstance(made_of, str) else made_of
    return [PartMaterial(part=part, material=material) for part, material in materials.items() if part or material]
