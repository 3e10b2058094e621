"""Configures structured logging to standard error."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(level: str) -> None:
    """Log events from ``level`` (such as ``info``) on: as coloured text to a terminal, otherwise as JSON lines."""
    json_lines = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    renderers = (structlog.dev.ConsoleRenderer(),) if sys.stderr.isatty() else json_lines
    time_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(
        processors=[structlog.processors.add_log_level, time_stamp, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
