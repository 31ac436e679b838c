"""Identifiers: UUID version 7 (RFC 9562), so that rows made one after the other lie side by side in every index."""

import os
import struct
import threading
import time
from uuid import UUID

from asyncpg.pgproto import pgproto

_COUNTER_BITS = 12
_COUNTER_MAX = (1 << _COUNTER_BITS) - 1
_START_MAX = _COUNTER_MAX >> 1
_VERSION = 0x7 << _COUNTER_BITS
_VARIANT = 0b10 << 62
_pack_halves = struct.Struct(">QQ").pack
# The driver's own UUID is made in a twelfth of the time; it is one as any other, and all that is read has it.
_make = pgproto.UUID

_lock = threading.Lock()
# Milliseconds and count of the last id as one number, so that a count that is used up carries into the milliseconds.
_last_tick = 0


def new_id() -> UUID:
    """Return a fresh UUIDv7: 48 bits of Unix milliseconds, 12 of a counter, 62 random bits.

    Ids of one process rise even within a millisecond, or when the machine's clock is set back (RFC 9562, 6.2, method
    1), so that ordering by id is ordering by the time of writing.
    """
    return new_ids(1)[0]


def new_ids(count: int) -> list[UUID]:
    """Return several fresh UUIDv7 in rising order; asks the system for randomness once."""
    # Two random bytes for where the count starts, and eight for each id.
    start, *randoms = struct.unpack(f">H{count}Q", os.urandom(2 + 8 * count))
    first = _take_ticks(count, start & _START_MAX)
    return [
        _make(
            _pack_halves(
                (tick >> _COUNTER_BITS << 16) | _VERSION | (tick & _COUNTER_MAX),
                _VARIANT | (random >> 2),
            )
        )
        for tick, random in enumerate(randoms, first)
    ]


def _take_ticks(count: int, start: int) -> int:
    """Return the first of so many times and counts above all before; `start`, 11 random bits, leaves room to count up."""
    global _last_tick  # noqa: PLW0603 - the one clock of this process's ids
    now = (time.time_ns() // 1_000_000) << _COUNTER_BITS | start
    with _lock:
        first = max(now, _last_tick + 1)
        _last_tick = first + count - 1
    return first
