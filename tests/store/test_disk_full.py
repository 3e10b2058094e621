"""A write to a full disk is reported as such, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
ON_SMALL_DISK = 'mount -t tmpfs -o size=2m small "$1" && exec "$2" -c "$3" "$1"'
WRITE = """
import sys
from pathlib import Path
import sqlalchemy as sa
from orchestrator.errors import DiskFull
from orchestrator.jobs.job import failure_of
from orchestrator.store.blobs import Blobs
from orchestrator.store.database import open_database

folder = Path(sys.argv[1])

def refused(write):
    try:
        write()
    except Exception as error:
        return failure_of(error, "job").reason
    return "nothing"

blobs = Blobs.open("", {}, folder / "blobs")
print(refused(lambda: blobs.put("shop", bytes(4 << 20))))
print(sum(path.is_file() for path in (folder / "blobs").rglob("*")))
engine = open_database("", folder / "records.sqlite")
row = sa.text("INSERT INTO webhook_secrets VALUES (:id, 'shop', :secret, '2026-01-01', NULL)")
def insert():
    with engine.begin() as connection:
        connection.execute(row, {"id": "1", "secret": "s" * (4 << 20)})
print(refused(insert))
print(refused(lambda: (folder / "log").write_bytes(bytes(4 << 20))))
"""


def test_a_full_disk_is_reported_and_leaves_no_file(tmp_path: Path) -> None:
    if subprocess.run([*MOUNT, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system forbids user namespaces")
    command = [*MOUNT, ON_SMALL_DISK, "sh", str(tmp_path), sys.executable, WRITE]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == ["DISK_FULL", "0", "DISK_FULL", "DISK_FULL"]
