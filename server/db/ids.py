"""Identifiers: UUID version 7 (RFC 9562), so that rows made one after the other lie side by side in every index."""

import os
import threading
import time
from uuid import UUID

_COUNTER_MAX = 0xFFF
_RANDOM_BYTES = 10

_lock = threading.Lock()
_last_milliseconds = 0
_counter = 0


def new_id() -> UUID:
    """Return a fresh UUIDv7: 48 bits of Unix milliseconds, 12 of a counter, 62 random bits.

    Ids of one process rise even within a millisecond, or when the machine's clock is set back (RFC 9562, 6.2, method
    1), so that ordering by id is ordering by the time of writing.
    """
    return _make_id(os.urandom(_RANDOM_BYTES))


def new_ids(count: int) -> list[UUID]:
    """Return several fresh UUIDv7 in rising order; asks the system for randomness once."""
    random = os.urandom(_RANDOM_BYTES * count)
    return [_make_id(random[at : at + _RANDOM_BYTES]) for at in range(0, len(random), _RANDOM_BYTES)]


def _make_id(random: bytes) -> UUID:
    number = int.from_bytes(random, "big")
    milliseconds, counter = _next_tick(time.time_ns() // 1_000_000, number >> 69)
    number = (number & ((1 << 62) - 1)) | (counter << 64) | (milliseconds << 80)
    return UUID(int=number | (0x7 << 76) | (0x2 << 62))


def _next_tick(milliseconds: int, start: int) -> tuple[int, int]:
    """Return a time and count above all before; `start`, 11 random bits, leaves room to count up."""
    global _last_milliseconds, _counter  # noqa: PLW0603 - the one clock of this process's ids
    with _lock:
        if milliseconds > _last_milliseconds:
            _last_milliseconds, _counter = milliseconds, start
        elif _counter < _COUNTER_MAX:
            _counter += 1
        else:
            _last_milliseconds, _counter = _last_milliseconds + 1, 0
        return _last_milliseconds, _counter
