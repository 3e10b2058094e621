"""AssetService: files in and out, in chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from grpc.aio import ServicerContext

from orchestrator.api import requests, responses
from orchestrator.api.chunks import chunks_of, header_of
from orchestrator.api.servicer import Servicer, call, in_thread, stream
from orchestrator.errors import InvalidInput
from orchestrator.protocol.heartwood.v1 import asset_pb2, asset_pb2_grpc


class AssetServicer(Servicer, asset_pb2_grpc.AssetServiceServicer):
    """See ``asset.proto``."""

    @call
    async def UploadAsset(
        self, messages: AsyncIterator[asset_pb2.UploadAssetRequest], _: ServicerContext, tenant: str
    ) -> asset_pb2.UploadAssetResponse:
        header: asset_pb2.UploadAssetRequest.Header = await header_of(messages)
        kind = requests.asset_kind("header.kind", header.kind, "photo")
        await in_thread(self.uploads.expect, tenant, header.upload_id, kind, header.size_bytes)
        data = bytearray()
        async for piece in chunks_of(messages, header.size_bytes):
            data += piece
            await in_thread(self.uploads.expect, tenant, "", kind, len(data))
        asset = await in_thread(
            self.uploads.add, tenant, header.upload_id, header.filename, kind, bytes(data), header.sha256
        )
        return asset_pb2.UploadAssetResponse(asset=responses.asset(asset), upload_id=asset.group_id)

    @stream
    async def DownloadAsset(
        self, request: asset_pb2.DownloadAssetRequest, _: ServicerContext, tenant: str
    ) -> AsyncIterator[asset_pb2.DownloadAssetResponse]:
        asset = await in_thread(self.uploads.get, tenant, request.asset_id)
        if not 0 <= request.offset <= asset.size_bytes:
            raise InvalidInput("offset", f"{request.offset} is not allowed; it must be from 0 to {asset.size_bytes}")
        yield asset_pb2.DownloadAssetResponse(asset=responses.asset(asset))
        pieces = self.parts.blobs.stream(tenant, asset.sha256, request.offset, asset.size_bytes)
        while True:
            piece = await in_thread(next, pieces, None)
            if piece is None:
                return
            yield asset_pb2.DownloadAssetResponse(data=piece)

    @call
    async def GetAsset(
        self, request: asset_pb2.GetAssetRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.GetAssetResponse:
        asset = await in_thread(self.uploads.get, tenant, request.asset_id)
        return asset_pb2.GetAssetResponse(asset=responses.asset(asset))

    @call
    async def ListAssets(
        self, request: asset_pb2.ListAssetsRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.ListAssetsResponse:
        size = requests.page_size(request.page_size)
        kind = requests.asset_kind("kind", request.kind, "")
        after = (requests.read_page_token(request.page_token, 1) or [""])[0]
        found = await in_thread(self.parts.records.list_assets, tenant, request.group_id, kind, after, size + 1)
        page = found[:size]
        token = requests.page_token([page[-1].id]) if len(found) > size else ""
        return asset_pb2.ListAssetsResponse(assets=[responses.asset(one) for one in page], next_page_token=token)

    @call
    async def DeleteAsset(
        self, request: asset_pb2.DeleteAssetRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.DeleteAssetResponse:
        await in_thread(self.uploads.delete, tenant, request.asset_id)
        return asset_pb2.DeleteAssetResponse()

    @call
    async def SignAssetUrl(
        self, request: asset_pb2.SignAssetUrlRequest, _: ServicerContext, tenant: str
    ) -> asset_pb2.SignAssetUrlResponse:
        lifetime = requests.lifetime(request.lifetime if request.HasField("lifetime") else None)
        asset = await in_thread(self.uploads.get, tenant, request.asset_id)
        url = await in_thread(self.parts.blobs.sign, tenant, asset.sha256, lifetime)
        return asset_pb2.SignAssetUrlResponse(url=url, expire_time=responses.stamp(datetime.now(UTC) + lifetime))
