"""Runs the tasks of background threads, which continue after an error."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from orchestrator.errors import HeartwoodError
from orchestrator.store.database import DATABASE_ERRORS

log = structlog.get_logger()


def attempt(task: Callable[[], object], event: str) -> bool:
    """Run a task, and log what it raises as ``event``. Return whether it raised nothing."""
    try:
        task()
    except HeartwoodError as error:
        log.warning(event, reason=error.reason)
    except DATABASE_ERRORS as error:  # of DBOS
        log.warning(event, reason="STORAGE_UNAVAILABLE", error=type(error).__name__)
    except Exception:
        log.exception(event)
    else:
        return True
    return False
