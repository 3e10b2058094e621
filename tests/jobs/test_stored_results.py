"""A step publishes only files that exist, and uses only cached results that are complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain.jobs import JobState
from orchestrator.errors import DiskFull
from orchestrator.jobs.collector import Collector
from orchestrator.jobs.dependencies import Dependencies
from orchestrator.jobs.step import WHOLE, Cached, Step
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.deletions import Deletions
from orchestrator.store.records import Records
from tests.support.postgresql import new_database
from tests.support.records import job_record, photo_asset

OWNER = "replica-1"


@pytest.fixture(params=["sqlite", "postgresql"])
def dependencies(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dependencies]:
    url = new_database(request.getfixturevalue("postgresql")) if request.param == "postgresql" else ""
    records = Records.open(url, tmp_path / "records.sqlite")
    blobs = Blobs.open("", {}, tmp_path / "blobs")
    settings = Settings(data_dir=tmp_path)
    yield Dependencies(settings, records, blobs, models=None, quotas=None, executor_id=OWNER)  # type: ignore[arg-type]
    records.close()


@pytest.fixture
def step(dependencies: Dependencies) -> Step:
    """A step of a running job."""
    job = job_record(state=JobState.RUNNING, owner=OWNER)
    dependencies.records.add_job(job, max_active=1)
    return Step(dependencies, job, "stain", WHOLE, OWNER)


def sweep(dependencies: Dependencies) -> None:
    """Remove what nothing uses, without a grace period."""
    dependencies.blob_records.release_holds()
    collector = Collector(dependencies.blob_records, dependencies.blobs, timedelta(0))
    collector.collect()
    collector.collect()


def counted(step: Step, calls: list[int]) -> Callable[[], Cached[None]]:
    """Return a ``make`` that appends to ``calls``."""

    def make() -> Cached[None]:
        calls.append(1)
        return Cached({"preview": step.store(b"stained", "image/png")}, None)

    return make


def test_a_step_publishes_an_existing_file_although_the_only_other_asset_with_its_content_is_deleted(
    dependencies: Dependencies, step: Step
) -> None:
    earlier = step.store(b"stained", "image/png")
    asset = dependencies.records.add_asset(photo_asset(earlier.sha256))
    file = step.store(b"stained", "image/png")  # the object store has it already
    Deletions(dependencies.records.engine).delete_asset("shop", asset.id)
    sweep(dependencies)
    id = step.publish("preview.png", file, "preview")
    assert step.read(step.asset(id).sha256) == b"stained"


def test_a_cached_result_is_kept_for_a_job_that_has_read_it(dependencies: Dependencies, step: Step) -> None:
    photo = dependencies.records.add_asset(photo_asset(step.store(b"photo", "image/jpeg").sha256))
    other = Step(dependencies, job_record(state=JobState.SUCCEEDED), "stain", WHOLE, OWNER)
    calls: list[int] = []
    other.cached("key", [photo.sha256], Cached[None], counted(other, calls))
    file = step.cached("key", [photo.sha256], Cached[None], counted(step, calls)).files["preview"]
    Deletions(dependencies.records.engine).delete_asset("shop", photo.id)  # deletes the cached result
    sweep(dependencies)
    id = step.publish("preview.png", file, "preview")
    assert step.read(step.asset(id).sha256) == b"stained"
    assert len(calls) == 1


def test_a_cached_result_without_its_file_is_computed_again(dependencies: Dependencies, step: Step) -> None:
    calls: list[int] = []
    file = step.cached("key", [], Cached[None], counted(step, calls)).files["preview"]
    dependencies.blobs.delete("shop", file.sha256)
    assert step.cached("key", [], Cached[None], counted(step, calls)).files["preview"] == file
    assert step.read(file.sha256) == b"stained"
    step.cached("key", [], Cached[None], counted(step, calls))
    assert len(calls) == 2


def test_a_step_stores_nothing_when_disk_space_is_low(dependencies: Dependencies, step: Step, tmp_path: Path) -> None:
    object.__setattr__(dependencies, "settings", Settings(data_dir=tmp_path, min_free_disk_mb=1 << 40))
    with pytest.raises(DiskFull, match="free disk space"):
        step.store(b"stained", "image/png")
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
