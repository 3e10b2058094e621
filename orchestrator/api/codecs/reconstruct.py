"""Protos of the reconstruct stage."""

from __future__ import annotations

from orchestrator.api.convert import Codec

CODEC = Codec("reconstruct", "model_id")
