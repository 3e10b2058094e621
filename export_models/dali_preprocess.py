"""The model ``image_preprocess``: a DALI pipeline that decodes and resizes images, on a CPU or a GPU."""

from __future__ import annotations

from typing import Any

from nvidia import dali
from nvidia.dali import fn, types
from nvidia.dali._utils import dali_trace

MAX_BATCH = 8
THREADS = 2


@dali.pipeline_def(batch_size=MAX_BATCH, num_threads=THREADS, device_id=None)  # type: ignore[untyped-decorator]
def image_preprocess() -> Any:
    """Decode a JPEG, PNG or WebP file and resize it.

    Inputs: ``encoded`` uint8 [N], the bytes of the file; ``size`` int32 [2], height and width of the result.
    Output: ``image`` float32 [3, H, W], sRGB in [0, 1].
    """
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    size = fn.external_source(name="size", dtype=types.INT32, ndim=1)
    image = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
    image = fn.resize(image, size=fn.cast(size, dtype=types.FLOAT), interp_type=types.INTERP_LINEAR, antialias=True)
    return fn.transpose(fn.cast(image, dtype=types.FLOAT) / 255.0, perm=[2, 0, 1])


def serialize() -> bytes:
    """Return the pipeline as the content of ``model.dali``, identical on every machine."""
    dali_trace.set_tracing(enabled=False)  # otherwise DALI stores the path of this file and its lines in the pipeline
    data: bytes = image_preprocess().serialize()
    return data
