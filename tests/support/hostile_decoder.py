"""A template of decoding processes with a task that runs code from its file, as an exploit of a decoder would."""

from __future__ import annotations

from orchestrator.decoding.__main__ import main
from orchestrator.decoding.result import TaskResult
from orchestrator.decoding.tasks import TASKS
from orchestrator.errors import InvalidInput


def attack(data: bytes, field: str, max_pixels: int) -> TaskResult:  # noqa: ARG001 - the signature of a photo task
    try:
        eval(data)  # noqa: S307
    except Exception:  # noqa: BLE001
        raise InvalidInput(field, "the attack reached nothing") from None
    raise InvalidInput(field, "the attack reached something")


TASKS["attack"] = attack

if __name__ == "__main__":
    main()
