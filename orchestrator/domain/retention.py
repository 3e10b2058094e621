"""How long files, results and jobs are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import Enum

from orchestrator.errors import InvalidInput

MAX_DAYS = 36_500.0


class Kept(str, Enum):
    """What expires."""

    UPLOADS = "uploads"  # since the upload
    RESULTS = "results"  # files that jobs made, since then
    CACHE = "cache"  # cached results of steps, since they were computed
    JOBS = "jobs"  # records and history of jobs, with their results, since the job ended
    WEBHOOKS = "webhooks"  # records of deliveries, since the last attempt


def lifetime(days: float) -> timedelta | None:
    """Return the time for which something is kept; None: for ever."""
    return timedelta(days=days) if days else None


def check_days(kind: Kept, days: float) -> None:
    """Raise InvalidInput unless this is a number of days."""
    if not 0 <= days <= MAX_DAYS:
        raise InvalidInput(kind.value, f"{days:g} days are not allowed; use 0 (for ever) to {MAX_DAYS:g}")


@dataclass(frozen=True)
class TenantRemoval:
    """What the deletion of a tenant removed."""

    jobs: int = 0
    assets: int = 0
    cached_results: int = 0
    files: int = 0
    file_bytes: int = 0
    webhook_deliveries: int = 0
    webhook_secrets: int = 0
    tokens: int = 0
    settings: int = 0  # quotas and retention of its own

    def __add__(self, other: TenantRemoval) -> TenantRemoval:
        mine, others = asdict(self), asdict(other)
        return TenantRemoval(**{name: mine[name] + others[name] for name in mine})
