"""The typed client of the gRPC API. Python programs import it with ``from heartwood import Heartwood``.

with Heartwood("127.0.0.1:8500", token) as heartwood:
    upload = heartwood.upload(["chair.jpg"])
    job = heartwood.stain(upload, stain="walnut")
    job = heartwood.wait(job.id)
    heartwood.download(job.stain.photos[0].preview, "chair-walnut.png")
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict, Unpack

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.client.errors import ApiError
from orchestrator.client.models import Models
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2,
    asset_pb2_grpc,
    cutout_pb2,
    export_pb2,
    job_pb2,
    job_pb2_grpc,
    model_pb2_grpc,
    pipeline_pb2,
    reconstruct_pb2,
    render_pb2,
    segment_pb2,
    stain_pb2,
)

__all__ = ["ApiError", "Heartwood"]

CHUNK_BYTES = 1 << 20
TRANSFER_TIMEOUT_S = 600.0
RETRY_POLICY = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class JobSettings(TypedDict, total=False):
    """The settings that every kind of job accepts; see :meth:`Heartwood.create_job`."""

    quality: job_pb2.Quality.ValueType
    priority: job_pb2.Priority.ValueType
    deadline: datetime
    webhook_url: str
    labels: Mapping[str, str]
    request_id: str


class Heartwood:
    """A connection to the service. It is thread-safe. Every method raises ``ApiError`` if the call fails.

    Args:
        address: host:port of the service.
        token: the bearer token of the tenant.
        root_certificates: PEM certificates to verify the server with; implies ``tls``.
        tls: whether to connect with TLS.
        timeout_s: the timeout of one call, transfers of files excepted.

    Attributes:
        models: deploys and promotes versions of the served models. Only operators may use it.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:8500",
        token: str = "",
        *,
        root_certificates: bytes | None = None,
        tls: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        options = [("grpc.service_config", json.dumps(RETRY_POLICY)), ("grpc.enable_retries", 1)]
        if tls or root_certificates is not None:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(address, credentials, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._timeout_s = timeout_s
        self._assets = asset_pb2_grpc.AssetServiceStub(self._channel)
        self._jobs = job_pb2_grpc.JobServiceStub(self._channel)
        self.models = Models(model_pb2_grpc.ModelServiceStub(self._channel), self._metadata, self._call)

    def __enter__(self) -> Heartwood:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    # ---- files

    def upload(self, photos: Sequence[str | os.PathLike[str]], *, on_sent: Callable[[int], None] | None = None) -> str:
        """Upload the photos of one piece and return the id of the upload.

        Args:
            on_sent: called with the size of each chunk after it was sent, in bytes.
        """
        upload_id = ""
        for photo in photos:
            path = Path(photo)
            upload_id = self.upload_bytes(path.read_bytes(), path.name, upload_id=upload_id, on_sent=on_sent).group_id
        return upload_id

    def upload_model(self, file: str | os.PathLike[str], *, on_sent: Callable[[int], None] | None = None) -> str:
        """Upload a 3D model (GLB, glTF as zip, FBX, OBJ as zip, STL, PLY or USDZ) and return its id."""
        path = Path(file)
        return self.upload_bytes(
            path.read_bytes(), path.name, kind=asset_pb2.ASSET_KIND_MODEL, on_sent=on_sent
        ).group_id

    def upload_bytes(
        self,
        data: bytes,
        filename: str,
        *,
        upload_id: str = "",
        kind: asset_pb2.AssetKind.ValueType = asset_pb2.ASSET_KIND_PHOTO,
        on_sent: Callable[[int], None] | None = None,
    ) -> asset_pb2.Asset:
        """Upload one file. An empty ``upload_id`` starts a new upload, whose id is the ``group_id`` of the asset."""
        header = asset_pb2.UploadAssetRequest.Header(
            upload_id=upload_id,
            filename=filename,
            kind=kind,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        requests = _upload_requests(header, data, on_sent)
        response: asset_pb2.UploadAssetResponse = self._call(
            self._assets.UploadAsset, requests, timeout_s=TRANSFER_TIMEOUT_S
        )
        return response.asset

    def download(self, asset: asset_pb2.Asset | str, path: str | os.PathLike[str]) -> Path:
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

    def read(self, asset: asset_pb2.Asset | str) -> Iterator[bytes]:
        """Yield the bytes of an asset in chunks."""
        request = asset_pb2.DownloadAssetRequest(asset_id=asset if isinstance(asset, str) else asset.id)
        try:
            for message in self._assets.DownloadAsset(request, metadata=self._metadata, timeout=TRANSFER_TIMEOUT_S):
                if message.WhichOneof("part") == "data":
                    yield message.data
        except grpc.RpcError as error:
            raise ApiError.from_call(error) from None

    def list_assets(self, group_id: str = "") -> Iterator[asset_pb2.Asset]:
        """Yield the files of an upload or of a result, such as a ``texture_id``; all files if ``group_id`` is empty."""
        token = ""
        while True:
            request = asset_pb2.ListAssetsRequest(group_id=group_id, page_token=token)
            response = self._call(self._assets.ListAssets, request)
            yield from response.assets
            token = response.next_page_token
            if not token:
                return

    def delete_asset(self, asset_id: str) -> None:
        """Delete a file."""
        self._call(self._assets.DeleteAsset, asset_pb2.DeleteAssetRequest(asset_id=asset_id))

    def sign_url(self, asset_id: str, lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return a URL that downloads the file without a token."""
        duration = Duration()
        duration.FromTimedelta(lifetime)
        request = asset_pb2.SignAssetUrlRequest(asset_id=asset_id, lifetime=duration)
        url: str = self._call(self._assets.SignAssetUrl, request).url
        return url

    # ---- jobs

    def segment(
        self, upload_id: str, options: segment_pb2.SegmentOptions | None = None, **settings: Unpack[JobSettings]
    ) -> job_pb2.Job:
        """Create a job that finds the parts and the wood in the photos of an upload."""
        spec = job_pb2.JobSpec(segment=options or segment_pb2.SegmentOptions())
        return self.create_job(spec, upload_id, **settings)

    def stain(
        self,
        upload_id: str,
        *,
        color: str = "",
        stain: str = "",
        options: stain_pb2.StainOptions | None = None,
        **settings: Unpack[JobSettings],
    ) -> job_pb2.Job:
        """Create a job that stains the wood to ``color`` (#RRGGBB) or with the named ``stain``."""
        stain_options = stain_pb2.StainOptions()
        stain_options.CopyFrom(options or stain_pb2.StainOptions())
        if color:
            stain_options.color = color
        if stain:
            stain_options.stain = stain
        return self.create_job(job_pb2.JobSpec(stain=stain_options), upload_id, **settings)

    def cutout(
        self, upload_id: str, options: cutout_pb2.CutoutOptions | None = None, **settings: Unpack[JobSettings]
    ) -> job_pb2.Job:
        """Create a job that puts the piece on a transparent or coloured background."""
        spec = job_pb2.JobSpec(cutout=options or cutout_pb2.CutoutOptions())
        return self.create_job(spec, upload_id, **settings)

    def reconstruct(
        self, upload_id: str, options: reconstruct_pb2.ReconstructOptions | None = None, **settings: Unpack[JobSettings]
    ) -> job_pb2.Job:
        """Create a job that reconstructs a 3D model from the photos of an upload."""
        spec = job_pb2.JobSpec(reconstruct=options or reconstruct_pb2.ReconstructOptions())
        return self.create_job(spec, upload_id, **settings)

    def render(
        self, model_id: str, options: render_pb2.RenderOptions | None = None, **settings: Unpack[JobSettings]
    ) -> job_pb2.Job:
        """Create a job that renders a turntable of a 3D model."""
        render_options = render_pb2.RenderOptions(model_id=model_id)
        render_options.MergeFrom(options or render_pb2.RenderOptions())
        return self.create_job(job_pb2.JobSpec(render=render_options), **settings)

    def export(
        self, model_id: str, options: export_pb2.ExportOptions | None = None, **settings: Unpack[JobSettings]
    ) -> job_pb2.Job:
        """Create a job that converts a 3D model to other file formats."""
        export_options = export_pb2.ExportOptions(model_id=model_id)
        export_options.MergeFrom(options or export_pb2.ExportOptions())
        return self.create_job(job_pb2.JobSpec(export=export_options), **settings)

    def run(
        self, upload_id: str, options: pipeline_pb2.PipelineOptions, **settings: Unpack[JobSettings]
    ) -> job_pb2.Job:
        """Create a pipeline: one job that runs every stage whose options are set."""
        return self.create_job(job_pb2.JobSpec(pipeline=options), upload_id, **settings)

    def create_job(
        self,
        spec: job_pb2.JobSpec,
        upload_id: str = "",
        *,
        quality: job_pb2.Quality.ValueType = job_pb2.QUALITY_FINAL,
        priority: job_pb2.Priority.ValueType = job_pb2.PRIORITY_NORMAL,
        deadline: datetime | None = None,
        webhook_url: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> job_pb2.Job:
        """Create a job.

        Args:
            spec: the stage to run and its options. The other arguments are written into it.
            upload_id: the upload to process; empty for jobs that process a 3D model.
            deadline: the job fails if it has not ended by then; UTC if it has no time zone.
            webhook_url: the https URL that receives a POST when the job has ended.
            request_id: calls with the same id create one job. Default: a random id, which makes the retries of this
                call safe.
        """
        spec.upload_id = upload_id
        spec.quality = quality
        spec.priority = priority
        spec.webhook_url = webhook_url
        spec.labels.update(labels or {})
        if deadline is not None:
            stamp = Timestamp()
            stamp.FromDatetime(deadline)
            spec.deadline.CopyFrom(stamp)
        request = job_pb2.CreateJobRequest(
            spec=spec, request_id=str(uuid.uuid4()) if request_id is None else request_id
        )
        job: job_pb2.Job = self._call(self._jobs.CreateJob, request).job
        return job

    def job(self, job_id: str) -> job_pb2.Job:
        """Return the current state of a job."""
        job: job_pb2.Job = self._call(self._jobs.GetJob, job_pb2.GetJobRequest(job_id=job_id)).job
        return job

    def jobs(
        self, states: Sequence[job_pb2.JobState.ValueType] = (), labels: Mapping[str, str] | None = None
    ) -> Iterator[job_pb2.Job]:
        """Yield jobs, newest first."""
        token = ""
        while True:
            request = job_pb2.ListJobsRequest(states=states, labels=labels, page_token=token)
            response = self._call(self._jobs.ListJobs, request)
            yield from response.jobs
            token = response.next_page_token
            if not token:
                return

    def watch(self, job_id: str) -> Iterator[job_pb2.Job]:
        """Yield the job now and after each change until it has ended."""
        try:
            for message in self._jobs.WatchJob(job_pb2.WatchJobRequest(job_id=job_id), metadata=self._metadata):
                yield message.job
        except grpc.RpcError as error:
            raise ApiError.from_call(error) from None

    def wait(self, job_id: str) -> job_pb2.Job:
        """Wait until the job has succeeded and return it.

        Raises:
            ApiError: the job failed or was canceled.
        """
        *_, job = self.watch(job_id)
        if job.state == job_pb2.JOB_STATE_CANCELED:
            raise ApiError(grpc.StatusCode.CANCELLED, "CANCELED", f"job {job_id} was canceled")
        if job.state != job_pb2.JOB_STATE_SUCCEEDED:
            raise ApiError.from_status(job.error)
        return job

    def cancel(self, job_id: str) -> job_pb2.Job:
        """Cancel a job. A running job stops at the next point where it can."""
        job: job_pb2.Job = self._call(self._jobs.CancelJob, job_pb2.CancelJobRequest(job_id=job_id)).job
        return job

    def delete_job(self, job_id: str) -> None:
        """Delete a job that has ended, and its result files."""
        self._call(self._jobs.DeleteJob, job_pb2.DeleteJobRequest(job_id=job_id))

    def stains(self) -> list[stain_pb2.NamedStain]:
        """Return the named stains that the service knows."""
        return list(self._call(self._jobs.ListStains, job_pb2.ListStainsRequest()).stains)

    def _call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        try:
            return method(request, metadata=self._metadata, timeout=timeout_s or self._timeout_s)
        except grpc.RpcError as error:
            raise ApiError.from_call(error) from None


def _upload_requests(
    header: asset_pb2.UploadAssetRequest.Header, data: bytes, on_sent: Callable[[int], None] | None
) -> Iterator[asset_pb2.UploadAssetRequest]:
    """Yield the header, then the data in chunks."""
    yield asset_pb2.UploadAssetRequest(header=header)
    for offset in range(0, len(data), CHUNK_BYTES):
        chunk = asset_pb2.UploadAssetRequest.Chunk(offset=offset, data=data[offset : offset + CHUNK_BYTES])
        yield asset_pb2.UploadAssetRequest(chunk=chunk)
        if on_sent is not None:
            on_sent(len(chunk.data))
