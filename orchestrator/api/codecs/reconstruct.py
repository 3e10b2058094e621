"""Protos of the reconstruct stage."""

from orchestrator.api.convert import Codec
from orchestrator.protocol.heartwood.v1 import reconstruct_pb2

CODEC = Codec("reconstruct", reconstruct_pb2.ReconstructOptions, reconstruct_pb2.ReconstructResult, "model_id")
