"""A typed client of the service, for Python programs and for the command line.

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
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.client.errors import ApiError
from orchestrator.client.models import Models
from orchestrator.protocol.heartwood.v1 import (
    asset_pb2,
    asset_pb2_grpc,
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

CHUNK = 1 << 20
FINAL_STATES = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELED)
RETRY = {
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


class Heartwood:
    """One connection to the service. Safe from many threads; every method raises ``ApiError``.

    ``models`` is for operators: it replaces the models' versions.
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
        options = [("grpc.service_config", json.dumps(RETRY)), ("grpc.enable_retries", 1)]
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

    def upload(self, photos: Sequence[str | os.PathLike[str]], *, sent: Callable[[int], None] | None = None) -> str:
        """Upload the photos of one piece and return the upload's id; ``sent`` is told the bytes of each chunk."""
        upload_id = ""
        for photo in photos:
            path = Path(photo)
            upload_id = self.upload_bytes(path.read_bytes(), path.name, upload_id=upload_id, sent=sent).group_id
        return upload_id

    def upload_model(self, model: str | os.PathLike[str], *, sent: Callable[[int], None] | None = None) -> str:
        """Upload a 3D model and return its id: GLB, glTF (zip), FBX, OBJ (zip), STL, PLY or USDZ."""
        path = Path(model)
        kind = asset_pb2.ASSET_KIND_MODEL
        return self.upload_bytes(path.read_bytes(), path.name, kind=kind, sent=sent).group_id

    def upload_bytes(
        self,
        data: bytes,
        filename: str,
        *,
        upload_id: str = "",
        kind: asset_pb2.AssetKind.ValueType = asset_pb2.ASSET_KIND_PHOTO,
        sent: Callable[[int], None] | None = None,
    ) -> asset_pb2.Asset:
        """Upload one file; an empty ``upload_id`` starts a new upload, the asset's ``group_id``."""

        def messages() -> Iterator[asset_pb2.UploadAssetRequest]:
            header = asset_pb2.UploadAssetRequest.Header(
                upload_id=upload_id,
                filename=filename,
                kind=kind,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            yield asset_pb2.UploadAssetRequest(header=header)
            for offset in range(0, len(data), CHUNK):
                piece = data[offset : offset + CHUNK]
                chunk = asset_pb2.UploadAssetRequest.Chunk(offset=offset, data=piece)
                yield asset_pb2.UploadAssetRequest(chunk=chunk)
                if sent is not None:
                    sent(len(piece))

        answer: asset_pb2.UploadAssetResponse = self._call(self._assets.UploadAsset, messages(), timeout_s=600.0)
        return answer.asset

    def download(self, asset: asset_pb2.Asset | str, path: str | os.PathLike[str]) -> Path:
        """Write an asset to ``path``, whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with scratch.open("wb") as file:
                for piece in self.read(asset):
                    file.write(piece)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
        return target

    def read(self, asset: asset_pb2.Asset | str) -> Iterator[bytes]:
        """Yield an asset's bytes in pieces."""
        id = asset if isinstance(asset, str) else asset.id
        try:
            for message in self._assets.DownloadAsset(
                asset_pb2.DownloadAssetRequest(asset_id=id), metadata=self._metadata, timeout=600.0
            ):
                if message.WhichOneof("part") == "data":
                    yield message.data
        except grpc.RpcError as error:
            raise ApiError.of_call(error) from None

    def list_assets(self, group_id: str = "") -> Iterator[asset_pb2.Asset]:
        """Yield the files of an upload or of a job (its texture_id, model_id, …); of all where none is named."""
        token = ""
        while True:
            request = asset_pb2.ListAssetsRequest(group_id=group_id, page_token=token)
            answer = self._call(self._assets.ListAssets, request)
            yield from answer.assets
            token = answer.next_page_token
            if not token:
                return

    def delete_asset(self, asset_id: str) -> None:
        """Delete a file."""
        self._call(self._assets.DeleteAsset, asset_pb2.DeleteAssetRequest(asset_id=asset_id))

    def sign_url(self, asset_id: str, lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return a URL that reads the file without a token."""
        duration = Duration()
        duration.FromTimedelta(lifetime)
        request = asset_pb2.SignAssetUrlRequest(asset_id=asset_id, lifetime=duration)
        url: str = self._call(self._assets.SignAssetUrl, request).url
        return url

    # ---- jobs

    def segment(self, upload_id: str, options: segment_pb2.SegmentOptions | None = None, **job: Any) -> job_pb2.Job:
        """Create a segment job; ``job`` as ``create_job`` takes it."""
        return self.create_job(job_pb2.JobSpec(segment=options or segment_pb2.SegmentOptions()), upload_id, **job)

    def stain(
        self,
        upload_id: str,
        *,
        color: str = "",
        stain: str = "",
        options: stain_pb2.StainOptions | None = None,
        **job: Any,
    ) -> job_pb2.Job:
        """Create a stain job to ``color`` (#RRGGBB) or to a named ``stain``."""
        said = stain_pb2.StainOptions()
        said.CopyFrom(options or stain_pb2.StainOptions())
        if color:
            said.color = color
        if stain:
            said.stain = stain
        return self.create_job(job_pb2.JobSpec(stain=said), upload_id, **job)

    def reconstruct(
        self, upload_id: str, options: reconstruct_pb2.ReconstructOptions | None = None, **job: Any
    ) -> job_pb2.Job:
        """Create a job that makes a 3D model of an upload."""
        said = options or reconstruct_pb2.ReconstructOptions()
        return self.create_job(job_pb2.JobSpec(reconstruct=said), upload_id, **job)

    def render(self, model_id: str, options: render_pb2.RenderOptions | None = None, **job: Any) -> job_pb2.Job:
        """Create a job that renders the turntable of a model."""
        said = render_pb2.RenderOptions(model_id=model_id)
        said.MergeFrom(options or render_pb2.RenderOptions())
        return self.create_job(job_pb2.JobSpec(render=said), **job)

    def export(self, model_id: str, options: export_pb2.ExportOptions | None = None, **job: Any) -> job_pb2.Job:
        """Create a job that writes a model's files."""
        said = export_pb2.ExportOptions(model_id=model_id)
        said.MergeFrom(options or export_pb2.ExportOptions())
        return self.create_job(job_pb2.JobSpec(export=said), **job)

    def run(self, upload_id: str, options: pipeline_pb2.PipelineOptions, **job: Any) -> job_pb2.Job:
        """Create a job of all stages that ``options`` set."""
        return self.create_job(job_pb2.JobSpec(pipeline=options), upload_id, **job)

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
        """Create a job. A ``request_id`` is made where none is given, so that the client's own retries are harmless."""
        spec.upload_id = upload_id
        spec.quality, spec.priority, spec.webhook_url = quality, priority, webhook_url
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
        """The job as it is now."""
        job: job_pb2.Job = self._call(self._jobs.GetJob, job_pb2.GetJobRequest(job_id=job_id)).job
        return job

    def jobs(
        self, states: Sequence[job_pb2.JobState.ValueType] = (), labels: Mapping[str, str] | None = None
    ) -> Iterator[job_pb2.Job]:
        """Yield jobs, newest first."""
        token = ""
        while True:
            request = job_pb2.ListJobsRequest(states=states, labels=labels, page_token=token)
            answer = self._call(self._jobs.ListJobs, request)
            yield from answer.jobs
            token = answer.next_page_token
            if not token:
                return

    def watch(self, job_id: str) -> Iterator[job_pb2.Job]:
        """Yield the job now and after each change, until it has ended."""
        try:
            for message in self._jobs.WatchJob(job_pb2.WatchJobRequest(job_id=job_id), metadata=self._metadata):
                yield message.job
        except grpc.RpcError as error:
            raise ApiError.of_call(error) from None

    def wait(self, job_id: str) -> job_pb2.Job:
        """Return the job once it has succeeded.

        Raises:
            ApiError: it failed or was canceled.
        """
        *_, job = self.watch(job_id)
        if job.state == job_pb2.JOB_STATE_CANCELED:
            raise ApiError(grpc.StatusCode.CANCELLED, "CANCELED", f"job {job_id} was canceled")
        if job.state != job_pb2.JOB_STATE_SUCCEEDED:
            raise ApiError.of_status(job.error)
        return job

    def cancel(self, job_id: str) -> job_pb2.Job:
        """Ask a job to stop."""
        job: job_pb2.Job = self._call(self._jobs.CancelJob, job_pb2.CancelJobRequest(job_id=job_id)).job
        return job

    def delete_job(self, job_id: str) -> None:
        """Delete a job that has ended, and its files."""
        self._call(self._jobs.DeleteJob, job_pb2.DeleteJobRequest(job_id=job_id))

    def stains(self) -> list[stain_pb2.NamedStain]:
        """The named stains."""
        return list(self._call(self._jobs.ListStains, job_pb2.ListStainsRequest()).stains)

    def _call(self, method: Any, request: Any, timeout_s: float | None = None) -> Any:
        try:
            return method(request, metadata=self._metadata, timeout=timeout_s or self._timeout_s)
        except grpc.RpcError as error:
            raise ApiError.of_call(error) from None
