from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from orchestrator.domain.assets import Asset
from orchestrator.store.deletions import Deletions
from orchestrator.store.records import IDS_PER_QUERY, Records
from tests.support.records import executed_statements, marked, photo_asset


def delete(records: Records, asset: Asset) -> None:
    assert Deletions(records.engine).delete_asset(asset.tenant, asset.id)


def test_an_asset_is_read_as_it_was_added(records: Records) -> None:
    asset = records.add_asset(photo_asset("mask", model_versions={"segmentation": "2"}, width=4, height=3))
    assert asset.create_time is not None
    assert records.asset("shop", asset.id) == asset
    assert records.asset("other", asset.id) is None


def test_an_asset_that_is_added_again_is_replaced(records: Records) -> None:
    asset = photo_asset("mask")
    records.add_asset(asset, "job")
    again = records.add_asset(asset, "job")
    assert records.list_assets("shop", "", "", "", 10) == [again]


def test_concurrent_uploads_do_not_exceed_the_storage_of_a_tenant(records: Records) -> None:
    assert records.add_upload(photo_asset("other", tenant="other"), 3)
    photos = [photo_asset(str(index)) for index in range(40)]
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda photo: records.add_upload(photo, 10), photos))
    assert len(records.list_assets("shop", "", "", "", 100)) == 40 - stored.count(None) == 3


def test_assets_are_listed_by_group_and_kind_in_pages(records: Records) -> None:
    photos = [records.add_asset(photo_asset(str(index), id=f"photo-{index}")) for index in range(3)]
    mask = records.add_asset(photo_asset("mask", id="z", kind="mask", group_id="masks"))
    assert records.list_assets("shop", "", "", "", 10) == [*photos, mask]
    assert records.list_assets("shop", "", "", "photo-0", 1) == [photos[1]]
    assert records.list_assets("shop", "masks", "", "", 10) == [mask]
    assert records.list_assets("shop", "", "photo", "", 10) == photos
    assert records.group("shop", "upload", "photo") == photos
    assert records.group("shop", "upload", "mask") == []
    assert records.list_assets("other", "", "", "", 10) == []


def test_the_assets_of_many_jobs_take_one_query_for_each_batch_of_jobs(records: Records) -> None:
    made = [records.add_asset(photo_asset(str(index)), f"job-{index % 2}") for index in range(6)]
    records.add_asset(photo_asset("uploaded"))
    records.add_asset(photo_asset("foreign", tenant="other"), "job-0")
    with executed_statements(records.engine) as statements:
        assets = records.assets_of_jobs("shop", [f"job-{index}" for index in range(IDS_PER_QUERY)])
    assert assets == {asset.id: asset for asset in made}
    assert len(statements) == 1
    with executed_statements(records.engine) as statements:
        records.assets_of_jobs("shop", [f"job-{index}" for index in range(IDS_PER_QUERY + 1)])
    assert len(statements) == 2


def test_deleting_the_last_asset_of_a_photo_deletes_what_was_computed_from_it(records: Records) -> None:
    photo, same_photo = photo_asset("photo"), photo_asset("photo")
    for asset in (photo, same_photo, photo_asset("shared", kind="texture")):
        records.add_asset(asset)
    records.keep("shop", "analysis", ["photo"], ["maps", "shared"], {"width": 4})
    delete(records, photo)
    assert marked(records) == []
    assert records.cached("shop", "analysis") == {"width": 4}
    delete(records, same_photo)
    assert marked(records) == ["maps", "photo"]
    assert records.cached("shop", "analysis") is None


def test_a_blob_is_kept_while_another_cached_result_refers_to_it(records: Records) -> None:
    photo, other_photo = photo_asset("photo"), photo_asset("other photo")
    for asset in (photo, other_photo):
        records.add_asset(asset)
    records.keep("shop", "first", ["photo"], ["maps"], {})
    records.keep("shop", "second", ["other photo"], ["maps"], {})
    delete(records, photo)
    assert marked(records) == ["photo"]
    delete(records, other_photo)
    assert marked(records) == ["maps", "other photo", "photo"]


def test_a_cached_result_belongs_to_one_tenant(records: Records) -> None:
    photo = records.add_asset(photo_asset("photo"))
    for tenant in ("shop", "other"):
        records.keep(tenant, "analysis", ["photo"], ["maps"], {"tenant": tenant})
    delete(records, photo)
    assert marked(records) == ["maps", "photo"]
    assert marked(records, "other") == []
    assert records.cached("other", "analysis") == {"tenant": "other"}


def test_keeping_a_result_again_replaces_its_value_sources_and_blobs(records: Records) -> None:
    photo, other_photo = photo_asset("photo"), photo_asset("other photo")
    for asset in (photo, other_photo):
        records.add_asset(asset)
    records.keep("shop", "analysis", ["photo"], ["old"], {"version": 1})
    records.keep("shop", "analysis", ["other photo", "other photo"], ["new", "new"], {"version": 2})
    records.keep("shop", "analysis without blobs", ["other photo"], [], {})
    delete(records, photo)
    assert marked(records) == ["old", "photo"]
    assert records.cached("shop", "analysis") == {"version": 2}
    delete(records, other_photo)
    assert marked(records) == ["new", "old", "other photo", "photo"]
