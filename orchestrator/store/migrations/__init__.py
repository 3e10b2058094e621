"""Alembic migrations of the records database; CONTRIBUTING.md explains how to add one."""
