"""Today's service on the data folder of Heartwood 0.1.0, which was killed while it worked.

``data/make_service_0_1_0.py`` made the folder. It contains a finished segment job, a finished stain job, a stain job
that was interrupted in its last step, and a queued segment job.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.client.client import Heartwood
from orchestrator.protocol.heartwood.v1 import asset_pb2, job_pb2, segment_pb2, stain_pb2
from tests.support.running_service import RunningService, wait_for

DATA = Path(__file__).parent / "data" / "service-0.1.0.zip"
STAIN_FILES = [field.name for field in stain_pb2.StainedPhoto.DESCRIPTOR.fields if field.message_type]
SEGMENT_FILES = ("foreground", "wood", "overlay", "document")
PNG = b"\x89PNG"
JOBS = 4
TIMES = {
    "assets": ["create_time"],
    "cache": ["create_time"],
    "jobs": ["create_time", "start_time", "end_time", "deadline"],
}
"""The columns of the database that contain times."""


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Iterator[RunningService]:
    data_dir = tmp_path_factory.mktemp("upgraded")
    with zipfile.ZipFile(DATA) as archive:
        archive.extractall(data_dir)
    move_times_to_now(data_dir)
    state_material_of_interrupted_stain(data_dir)
    service = RunningService(data_dir, triton_url, workers=1, blob_grace_s=1)
    yield service
    assert service.stop() == 0


@pytest.fixture
def client(upgraded: RunningService) -> Iterator[Heartwood]:
    with upgraded.client() as client:
        yield client


@pytest.fixture
def jobs(client: Heartwood) -> list[job_pb2.Job]:
    """The finished segment job, the finished stain job, the interrupted stain job, the queued segment job."""
    return list(reversed(list(client.jobs())))


def move_times_to_now(data_dir: Path) -> None:
    """Shift all times so that the last job was created now. Otherwise jobs have passed their deadlines."""
    with closing(sqlite3.connect(data_dir / "heartwood.sqlite")) as database, database:
        (age_s,) = database.execute("SELECT strftime('%s') - strftime('%s', max(create_time)) FROM jobs").fetchone()
        for table, columns in TIMES.items():
            for column in columns:
                shifted = f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '+{age_s} seconds')"
                database.execute(f"UPDATE {table} SET {column} = {shifted}")  # noqa: S608
    with closing(sqlite3.connect(data_dir / "jobs.sqlite")) as database, database:
        shifted = f"workflow_deadline_epoch_ms + {age_s * 1000}"
        database.execute(f"UPDATE workflow_status SET workflow_deadline_epoch_ms = {shifted}")  # noqa: S608


def state_material_of_interrupted_stain(data_dir: Path) -> None:
    """State that the piece is wooden: the photos show a board in the air, in which today's models find no wood."""
    with closing(sqlite3.connect(data_dir / "heartwood.sqlite")) as database, database:
        wood = json.dumps([{"material": "wood", "part": ""}])
        database.execute(
            "UPDATE jobs SET options = json_set(options, '$.made_of', json(?)) "
            "WHERE kind = 'stain' AND state = 'RUNNING'",
            (wood,),
        )


def segment_files(result: segment_pb2.SegmentResult) -> list[asset_pb2.Asset]:
    (photo,) = result.photos
    assert len(photo.components) > 0
    masks = [component.mask for component in photo.components]
    return [*masks, *(getattr(photo, name) for name in SEGMENT_FILES)]


def stain_files(result: stain_pb2.StainResult) -> list[asset_pb2.Asset]:
    (photo,) = result.photos
    return [getattr(photo, name) for name in STAIN_FILES]


def assert_downloadable(client: Heartwood, files: list[asset_pb2.Asset]) -> None:
    for file in files:
        content = b"".join(client.read(file))
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.name


def test_finished_jobs_keep_their_results_and_files(client: Heartwood, jobs: list[job_pb2.Job]) -> None:
    assert len(jobs) == JOBS
    segment, stain = jobs[:2]
    assert (segment.state, stain.state) == (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_SUCCEEDED)
    assert_downloadable(client, segment_files(segment.segment))
    assert_downloadable(client, stain_files(stain.stain))
    assert len(segment.segment.components) > 0
    assert (stain.stain.photos[0].width, stain.stain.photos[0].height) == (160, 120)
    assert stain.stain.photos[0].delta_e > 0
    assert stain.stain.model_versions["segmentation"] == segment.segment.model_versions["segmentation"] != ""
    for preview in [*segment.progress.preview_asset_ids, *stain.progress.preview_asset_ids]:
        assert b"".join(client.read(preview)).startswith(PNG)


def test_an_interrupted_job_succeeds(client: Heartwood, jobs: list[job_pb2.Job]) -> None:
    job = client.wait(jobs[2].id)
    assert_downloadable(client, stain_files(job.stain))


def test_a_queued_job_succeeds(client: Heartwood, jobs: list[job_pb2.Job]) -> None:
    job = client.wait(jobs[3].id)
    assert_downloadable(client, segment_files(job.segment))


def test_no_file_is_left_when_all_jobs_and_photos_are_deleted(
    upgraded: RunningService, client: Heartwood, jobs: list[job_pb2.Job]
) -> None:
    for job in jobs:
        client.wait(job.id)
        client.delete_job(job.id)
    for asset in list(client.list_assets()):
        client.delete_asset(asset.id)
    wait_for(lambda: [path for path in (upgraded.data_dir / "blobs").rglob("*") if path.is_file()] == [], 20)
