"""Protos of the reconstruct stage."""

from __future__ import annotations

from orchestrator.api.convert import Codec
from orchestrator.protocol.heartwood.v1 import reconstruct_pb2

CODEC = Codec("reconstruct", reconstruct_pb2.ReconstructOptions, reconstruct_pb2.ReconstructResult, "model_id")
