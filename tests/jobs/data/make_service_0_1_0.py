"""Makes ``service-0.1.0.zip``, the data folder of a Heartwood 0.1.0 that was killed while it worked.

The folder contains a finished segment job, a finished stain job, a stain job that was killed during its last step, and
a queued segment job. Run it with a checkout of version 0.1.0 (commit 6bffd37):

    python tests/jobs/data/make_service_0_1_0.py CHECKOUT
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).resolve().parent / "service-0.1.0.zip"
DATABASES = ("heartwood.sqlite", "jobs.sqlite")
EXPECTED = [("segment", "SUCCEEDED"), ("stain", "SUCCEEDED"), ("stain", "RUNNING"), ("segment", "QUEUED")]


def main(checkout: Path) -> None:
    os.chdir(checkout)
    sys.path.insert(0, str(checkout))
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        run_jobs(data_dir, importlib.import_module("tests.running_service"), importlib.import_module("tests.pictures"))
        checkpoint(data_dir)
        write_archive(data_dir)


def run_jobs(data_dir: Path, running_service: Any, pictures: Any) -> None:
    """Run two jobs, then kill the service while a third one runs and a fourth one is queued."""
    service = running_service.RunningService(data_dir, workers=1)
    with service.client() as client:
        photo = pictures.jpeg(pictures.wood_photo(160, 120), 80)
        upload = client.upload_bytes(photo, "board.jpg").group_id
        client.wait(client.segment(upload).id)
        client.wait(client.stain(upload, stain="walnut").id)
        finished_stains = steps_started(service, "stain")
        second_photo = pictures.jpeg(pictures.wood_photo(160, 120, seed=1), 80)
        second_upload = client.upload_bytes(second_photo, "second-board.jpg").group_id
        client.stain(second_upload, stain="ebony")
        client.segment(second_upload)
        running_service.wait_for(lambda: steps_started(service, "stain") > finished_stains, 60, 0.002)
        service.kill()


def steps_started(service: Any, step: str) -> int:
    return sum(event["step"] == step for event in service.events("step_started"))


def checkpoint(data_dir: Path) -> None:
    """Move each write-ahead log into its database, and check that the jobs have the expected states."""
    for name in DATABASES:
        connection = sqlite3.connect(data_dir / name)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if name == DATABASES[0]:
            jobs = connection.execute("SELECT kind, state FROM jobs ORDER BY create_time").fetchall()
            assert jobs == EXPECTED, f"the jobs are {jobs}; run the script again"
        connection.close()


def write_archive(data_dir: Path) -> None:
    files = [data_dir / name for name in DATABASES]
    files += sorted(path for path in (data_dir / "blobs").rglob("*") if path.is_file())
    with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            archive.write(path, path.relative_to(data_dir))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
