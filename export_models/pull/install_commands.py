"""Commands that install what the conversions need."""

from __future__ import annotations

LOCAL = "pip install 'heartwood[local]'"
PULL = "pip install 'heartwood[pull]'"
MOGE = (
    f"{PULL} && pip install --no-deps dlr-moge==2.0.0 dlr-utils3d==1.3 dlr-pipeline==1.0.0 (their other dependencies "
    "include a second OpenCV and are not needed)"
)
