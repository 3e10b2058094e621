"""Settings of stores that commands get as environment variables."""

from __future__ import annotations

from orchestrator.settings import Settings


def settings_of(stores: dict[str, str]) -> Settings:
    """Return the settings with these environment variables."""
    return Settings(**{name.removeprefix("HEARTWOOD_").lower(): value for name, value in stores.items()})
