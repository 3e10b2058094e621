"""Alembic migrations of the records database, one file per schema revision in ``versions/``.

``orchestrator.store.database`` applies them when a database is opened. To change the schema, edit
``orchestrator.store.schema``, raise its ``REVISION``, and add a file to ``versions/`` that follows the latest one.
"""
