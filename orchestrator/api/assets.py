"""``AssetService``: uploads, downloads, lists and deletes files."""

from __future__ import annotations

from asyncio import get_running_loop, to_thread, wrap_future
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TypeAlias

from orchestrator.api import fields
from orchestrator.api.convert import write_asset
from orchestrator.api.servicer import Servicer, call, stream
from orchestrator.domain.assets import FileInfo
from orchestrator.domain.file_names import file_name
from orchestrator.errors import InvalidInput
from orchestrator.jobs.spool import SpooledFile
from orchestrator.protocol.heartwood.v1 import asset_pb2, asset_pb2_grpc

DEFAULT_LIFETIME = timedelta(hours=1)
MIN_LIFETIME = timedelta(seconds=1)
MAX_LIFETIME = timedelta(days=7)
CheckToken: TypeAlias = Callable[[], Awaitable[object]]


class AssetServicer(Servicer, asset_pb2_grpc.AssetServiceServicer):
    """Implements ``AssetService`` of ``asset.proto``."""

    @call
    async def UploadAsset(
        self, messages: AsyncIterator[asset_pb2.UploadAssetRequest], tenant: str, check_token: CheckToken
    ) -> asset_pb2.UploadAssetResponse:
        with self.limits.upload(tenant, (await self.quotas_of(tenant)).uploads):
            return await self._receive(messages, tenant, check_token)

    async def _receive(
        self, messages: AsyncIterator[asset_pb2.UploadAssetRequest], tenant: str, check_token: CheckToken
    ) -> asset_pb2.UploadAssetResponse:
        messages = fields.without_pauses(messages, self.jobs.dependencies.settings.upload_idle_s)
        header: asset_pb2.UploadAssetRequest.Header = await fields.header_of(messages)
        kind = fields.asset_kind("header.kind", header.kind, "photo")
        await to_thread(self.assets.check_upload, tenant, header.upload_id, kind, header.size_bytes)
        file = self.assets.receive(tenant, kind)  # not in a thread: a call that ends meanwhile would not remove it
        try:
            async for chunk in fields.chunks_of(messages, header.size_bytes):
                await check_token()  # the service remembers a token for a short time, so this is cheap
                await to_thread(file.write, chunk)
            fields.check_sha256(header.sha256, file.sha256)
            info = await self._check(tenant, header.filename, kind, file)
            await check_token()  # nothing is stored for a tenant that was deleted meanwhile
            asset = await to_thread(self.assets.store, tenant, header.upload_id, header.filename, kind, file, info)
        finally:
            get_running_loop().run_in_executor(None, file.remove)
        return asset_pb2.UploadAssetResponse(asset=write_asset(asset), upload_id=asset.group_id)

    async def _check(self, tenant: str, filename: str, kind: str, file: SpooledFile) -> FileInfo:
        """Validate a received file. While it waits for its turn, it occupies no thread."""
        canceled = Event()
        try:
            return await wrap_future(self.assets.start_check(tenant, filename, kind, file, canceled))
        except InvalidInput as error:  # an upload has many files, so the error names this one
            raise InvalidInput(error.field, f"{file_name(filename, kind)}: {error.description}") from None
        finally:
            canceled.set()

    @stream
    async def DownloadAsset(
        self, request: asset_pb2.DownloadAssetRequest, tenant: str
    ) -> AsyncGenerator[asset_pb2.DownloadAssetResponse, None]:
        asset = await to_thread(self.assets.get, tenant, request.asset_id)
        if not 0 <= request.offset <= asset.size_bytes:
            raise InvalidInput("offset", f"{request.offset} is not allowed; it must be from 0 to {asset.size_bytes}")
        yield asset_pb2.DownloadAssetResponse(asset=write_asset(asset))
        chunks = self.assets.read(asset, request.offset)
        while (chunk := await to_thread(next, chunks, None)) is not None:
            yield asset_pb2.DownloadAssetResponse(data=chunk)

    @call
    def GetAsset(self, request: asset_pb2.GetAssetRequest, tenant: str) -> asset_pb2.GetAssetResponse:
        return asset_pb2.GetAssetResponse(asset=write_asset(self.assets.get(tenant, request.asset_id)))

    @call
    def ListAssets(self, request: asset_pb2.ListAssetsRequest, tenant: str) -> asset_pb2.ListAssetsResponse:
        size = fields.page_size(request.page_size)
        kind = fields.asset_kind("kind", request.kind, "")
        last_key = fields.read_page_token(request.page_token, tuple[str]) or ("",)
        assets = self.assets.page(tenant, request.group_id, kind, last_key[0], size + 1)
        token = fields.next_page_token(assets, size, lambda asset: (asset.id,))
        return asset_pb2.ListAssetsResponse(assets=map(write_asset, assets[:size]), next_page_token=token)

    @call
    def DeleteAsset(self, request: asset_pb2.DeleteAssetRequest, tenant: str) -> asset_pb2.DeleteAssetResponse:
        self.assets.delete(tenant, request.asset_id)
        return asset_pb2.DeleteAssetResponse()

    @call
    def DeleteUpload(self, request: asset_pb2.DeleteUploadRequest, tenant: str) -> asset_pb2.DeleteUploadResponse:
        return asset_pb2.DeleteUploadResponse(deleted_files=self.assets.delete_upload(tenant, request.upload_id))

    @call
    def SignAssetUrl(self, request: asset_pb2.SignAssetUrlRequest, tenant: str) -> asset_pb2.SignAssetUrlResponse:
        lifetime = DEFAULT_LIFETIME
        if request.HasField("lifetime"):
            lifetime = fields.read_duration("lifetime", request.lifetime, MIN_LIFETIME, MAX_LIFETIME)
        url = self.assets.sign(self.assets.get(tenant, request.asset_id), lifetime)
        response = asset_pb2.SignAssetUrlResponse(url=url)
        response.expire_time.FromDatetime(datetime.now(UTC) + lifetime)
        return response
