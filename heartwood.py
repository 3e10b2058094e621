"""The Python client of Heartwood.

from heartwood import Heartwood

with Heartwood("127.0.0.1:8500", token) as heartwood:
    upload = heartwood.upload(["chair.jpg"])
    job = heartwood.wait(heartwood.stain(upload, stain="walnut").id)
    heartwood.download(job.stain.photos[0].preview, "chair-walnut.png")
"""

from __future__ import annotations

from orchestrator.client.api_error import ApiError
from orchestrator.client.client import Heartwood

__all__ = ["ApiError", "Heartwood"]
