"""Databases of every age open with the schema of ``orchestrator.store.schema``, on SQLite and on PostgreSQL."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

from orchestrator.errors import FailedPrecondition
from orchestrator.store.database import MIGRATIONS, open_database
from orchestrator.store.deletions import Deletions
from orchestrator.store.schema import REVISION, metadata
from tests.support.records import RecordsWithFiles, marked, photo_asset

UNUSED = Path("/nonexistent/unused.sqlite")
OPEN_IN_CHILD = "import sys; from orchestrator.store.records import Records; Records.open(sys.argv[1], None).close()"
PROCESSES = 4


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def create_database_of_version_0_1_0(engine: Engine) -> None:
    """Create the tables as Heartwood 0.1.0 did, without Alembic, and a cached result."""
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("DROP TABLE alembic_version"))
        connection.execute(
            sa.text("INSERT INTO cache (tenant, key, value, create_time) VALUES ('shop', 'analysis', :value, :time)"),
            {"value": '{"blobs": ["maps", "maps", "mask"]}', "time": "2026-01-01 12:00:00"},
        )
        connection.execute(sa.text("INSERT INTO cache_sources VALUES ('shop', 'analysis', 'photo')"))


def schema_differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def tables(engine: Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def test_the_schema_names_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [REVISION]


def test_an_empty_database_gets_the_current_schema(database_url: str, engine: Engine) -> None:
    open_database(database_url, UNUSED).dispose()
    assert schema_differences(engine) == []


def test_a_database_of_version_0_1_0_gets_the_current_schema(database_url: str, engine: Engine) -> None:
    create_database_of_version_0_1_0(engine)
    open_database(database_url, UNUSED).dispose()
    assert schema_differences(engine) == []


def test_a_database_without_model_versions_of_assets_gets_that_column(database_url: str, engine: Engine) -> None:
    create_database_of_version_0_1_0(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE assets DROP COLUMN model_versions"))
    records = RecordsWithFiles.open(database_url, UNUSED)
    asset = records.add_asset(photo_asset("mask", model_versions={"segmentation": "2"}))
    assert records.asset("shop", asset.id) == asset
    assert schema_differences(engine) == []
    records.close()


def test_blobs_of_results_that_were_cached_before_an_upgrade_are_deleted_with_their_source(
    database_url: str, engine: Engine
) -> None:
    create_database_of_version_0_1_0(engine)
    records = RecordsWithFiles.open(database_url, UNUSED)
    photo = records.add_asset(photo_asset("photo"))
    Deletions(records.engine).delete_asset("shop", photo.id)
    assert marked(records) == ["maps", "mask", "photo"]
    records.close()


def test_opening_a_current_database_changes_nothing(database_url: str) -> None:
    records = RecordsWithFiles.open(database_url, UNUSED)
    asset = records.add_asset(photo_asset("photo"))
    records.close()
    records = RecordsWithFiles.open(database_url, UNUSED)
    assert records.asset("shop", asset.id) == asset
    records.close()


def test_a_database_with_a_newer_revision_is_refused(database_url: str, engine: Engine) -> None:
    open_database(database_url, UNUSED).dispose()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    url = sa.make_url(database_url)
    if url.get_backend_name() == "postgresql":
        url = url.set(password="hunter2")
    with pytest.raises(FailedPrecondition) as refusal:
        open_database(url.render_as_string(hide_password=False), UNUSED)
    assert f"{url.database} " in refusal.value.message or f"{url.database}?" in refusal.value.message
    assert "has schema revision 9999, which this version of Heartwood does not know" in refusal.value.message
    assert "Upgrade Heartwood, or restore a backup" in refusal.value.message
    assert "hunter2" not in refusal.value.message
    assert refusal.value.facts == {"revision": "9999", "newest_known": REVISION}


def test_an_upgrade_that_fails_leaves_the_database_unchanged(database_url: str, engine: Engine) -> None:
    create_database_of_version_0_1_0(engine)
    before = tables(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE cache SET value = '{}'"))  # lacks the list of blobs
    with pytest.raises(KeyError):
        open_database(database_url, UNUSED)
    assert tables(engine) == before
    with engine.begin() as connection:
        connection.execute(sa.text("""UPDATE cache SET value = '{"blobs": []}'"""))
    open_database(database_url, UNUSED).dispose()
    assert schema_differences(engine) == []


@pytest.mark.parametrize("is_new", [True, False])
def test_processes_that_open_a_database_at_the_same_time_upgrade_it_once(
    database_url: str, engine: Engine, is_new: bool
) -> None:
    if not is_new:
        create_database_of_version_0_1_0(engine)
    children = [
        subprocess.Popen([sys.executable, "-c", OPEN_IN_CHILD, database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0] * PROCESSES, errors
    assert schema_differences(engine) == []


def test_database_files_that_sqlite_creates_are_readable_only_by_their_owner(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    engine = open_database("", folder / "heartwood.sqlite")
    files = list(folder.iterdir())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
    engine.dispose()
    assert modes == dict.fromkeys(modes, 0o600)
