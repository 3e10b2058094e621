"""``AssetService``: uploads, downloads, lists and deletes files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from grpc.aio import ServicerContext

from orchestrator.api import fields
from orchestrator.api.chunks import chunks_of, header_of
from orchestrator.api.servicer import Servicer, call, in_thread, stream
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2, asset_pb2_grpc


class AssetServicer(Servicer, asset_pb2_grpc.AssetServiceServicer):
    """Implements ``AssetService`` of ``asset.proto``."""

    @call
    async def UploadAsset(
        self, messages: AsyncIterator[asset_pb2.UploadAssetRequest], _: ServicerContext, tenant: str
    ) -> asset_pb2.UploadAssetResponse:
        header: asset_pb2.UploadAssetRequest.Header = await header_of(messages)
        kind = fields.asset_kind("header.kind", header.kind, "photo")
        await in_thread(self.assets.check_upload, tenant, header.upload_id, kind, header.size_bytes)
        data = bytearray()
        async for chunk in chunks_of(messages, header.size_bytes):
            data += chunk
            await in_thread(self.assets.check_upload, tenant, "", kind, len(data))
        asset = await in_thread(
            self.assets.upload, tenant, header.upload_id, header.filename, kind, bytes(data), header.sha256
        )
        return asset_pb2.UploadAssetResponse(asset=fields.write_asset(asset), upload_id=asset.group_id)

    @stream
    async def DownloadAsset(
        self, request: asset_pb2.DownloadAssetRequest, _: ServicerContext, tenant: str
    ) -> AsyncIterator[asset_pb2.DownloadAssetResponse]:
        asset = await in_thread(self.assets.get, tenant, request.asset_id)
        if not 0 <= request.offset <= asset.size_bytes:
            raise InvalidInput("offset", f"{request.offset} is not allowed; it must be from 0 to {asset.size_bytes}")
        yield asset_pb2.DownloadAssetResponse(asset=fields.write_asset(asset))
        chunks = self.assets.read(asset, request.offset)
        while (chunk := await in_thread(next, chunks, None)) is not None:
            yield asset_pb2.DownloadAssetResponse(data=chunk)

    @call
    async def GetAsset(
        self, request: asset_pb2.GetAssetRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.GetAssetResponse:
        asset = await in_thread(self.assets.get, tenant, request.asset_id)
        return asset_pb2.GetAssetResponse(asset=fields.write_asset(asset))

    @call
    async def ListAssets(
        self, request: asset_pb2.ListAssetsRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.ListAssetsResponse:
        size = fields.page_size(request.page_size)
        kind = fields.asset_kind("kind", request.kind, "")
        after = (fields.read_page_token(request.page_token, 1) or [""])[0]
        assets = await in_thread(self.assets.page, tenant, request.group_id, kind, after, size + 1)
        page = assets[:size]
        token = fields.write_page_token([page[-1].id]) if len(assets) > size else ""
        return asset_pb2.ListAssetsResponse(assets=[fields.write_asset(asset) for asset in page], next_page_token=token)

    @call
    async def DeleteAsset(
        self, request: asset_pb2.DeleteAssetRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.DeleteAssetResponse:
        await in_thread(self.assets.delete, tenant, request.asset_id)
        return asset_pb2.DeleteAssetResponse()

    @call
    async def SignAssetUrl(
        self, request: asset_pb2.SignAssetUrlRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.SignAssetUrlResponse:
        lifetime = fields.lifetime(request.lifetime if request.HasField("lifetime") else None)
        asset = await in_thread(self.assets.get, tenant, request.asset_id)
        url = await in_thread(self.assets.sign, asset, lifetime)
        return asset_pb2.SignAssetUrlResponse(url=url, expire_time=fields.write_time(datetime.now(UTC) + lifetime))
