"""Changes files without knowledge of their format, and changes lists of the parts that a format consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

Part = TypeVar("Part")

MAX_INPUT_BYTES = 1 << 20
"""Maximum size of a mutated file, so that repeated insertions cannot exhaust the time of a run."""
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63)
"""Integers at which sizes and counts overflow."""
BLOCK_SIZES = (1, 1, 2, 4, 8, 16, 64, 300)


def changed_bytes(data: bytes, choice: Random, other: bytes) -> bytes:
    """Apply one to six changes, half of them in the first bytes, where the header is.

    Args:
        other: another file, from which blocks are copied.
    """
    changed = bytearray(data)
    for _ in range(choice.choice((1, 1, 1, 2, 3, 6))):
        choice.choice(CHANGES)(changed, choice, other)
    return bytes(changed[:MAX_INPUT_BYTES])


def changed_parts(parts: Sequence[Part], choice: Random, others: Sequence[Part]) -> list[Part]:
    """Remove, repeat, move or insert one of the parts of a file."""
    changed = list(parts)
    if not changed:
        return list(others)
    at, to = choice.randrange(len(changed)), choice.randrange(len(changed))
    operation = choice.randrange(5)
    if operation == 0:
        del changed[at]
    elif operation == 1:
        changed[to:to] = [changed[at]] * choice.choice((1, 1, 2, 60))
    elif operation == 2:
        changed[at], changed[to] = changed[to], changed[at]
    elif operation == 3 and others:
        changed.insert(to, choice.choice(others))
    elif others:
        changed[at] = choice.choice(others)
    return changed


def edge(choice: Random, size: int, order: str) -> bytes:
    """Return an integer of ``size`` bytes near an edge."""
    value = choice.choice(EDGES) + choice.choice((0, 0, -1, 1))
    return (value % (1 << 8 * size)).to_bytes(size, order)  # type: ignore[arg-type]


def _place(data: bytearray, choice: Random) -> int:
    return choice.randrange(min(len(data), choice.choice((16, 64, 256, MAX_INPUT_BYTES, MAX_INPUT_BYTES))) + 1)


def _flip_bit(data: bytearray, choice: Random, _: bytes) -> None:
    if data:
        data[min(_place(data, choice), len(data) - 1)] ^= 1 << choice.randrange(8)


def _overwrite(data: bytearray, choice: Random, _: bytes) -> None:
    at, size = _place(data, choice), choice.choice(BLOCK_SIZES)
    data[at : at + size] = choice.choice((choice.randbytes(size), b"\0" * size, b"\xff" * size))


def _write_edge(data: bytearray, choice: Random, _: bytes) -> None:
    size = choice.choice((1, 2, 4, 4, 8))
    at = _place(data, choice)
    data[at : at + size] = edge(choice, size, choice.choice(("big", "little")))


def _add_to_byte(data: bytearray, choice: Random, _: bytes) -> None:
    if data:
        at = min(_place(data, choice), len(data) - 1)
        data[at] = (data[at] + choice.randrange(-16, 17)) % 256


def _remove(data: bytearray, choice: Random, _: bytes) -> None:
    at = _place(data, choice)
    del data[at : at + choice.choice(BLOCK_SIZES)]


def _repeat(data: bytearray, choice: Random, _: bytes) -> None:
    at = _place(data, choice)
    block = data[at : at + choice.choice(BLOCK_SIZES)]
    data[at:at] = block * choice.choice((1, 1, 3, 100))


def _move(data: bytearray, choice: Random, _: bytes) -> None:
    start, size = _place(data, choice), choice.choice(BLOCK_SIZES)
    block = data[start : start + size]
    at = _place(data, choice)
    data[at : at + size] = block


def _insert_from_other(data: bytearray, choice: Random, other: bytes) -> None:
    start, at = choice.randrange(len(other) + 1), _place(data, choice)
    data[at:at] = other[start : start + choice.choice((4, 16, 300, 5000))]


def _join_with_other(data: bytearray, choice: Random, other: bytes) -> None:
    data[_place(data, choice) :] = other[choice.randrange(len(other) + 1) :]


def _cut(data: bytearray, choice: Random, _: bytes) -> None:
    del data[_place(data, choice) :]


def _append(data: bytearray, choice: Random, other: bytes) -> None:
    data += choice.choice((b"\0" * 64, choice.randbytes(64), other))


Change = Callable[[bytearray, Random, bytes], None]
CHANGES: tuple[Change, ...] = (
    *(_flip_bit, _flip_bit, _overwrite, _write_edge, _write_edge, _write_edge, _add_to_byte, _remove, _repeat, _move),
    *(_insert_from_other, _join_with_other, _cut, _append),
)
