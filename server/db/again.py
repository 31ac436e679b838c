"""Work in one transaction that is tried again while others are in its way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from server.errors import Busy

_TRIES_MAX: Final = 5
_FIRST_WAIT_SECONDS: Final = 0.2
_T = TypeVar("_T")


async def again_while_busy(work: Callable[[], Awaitable[_T]]) -> _T:
    """Return what some work comes to, which opens its own transaction, so that nothing stays of a try that failed.

    Raises:
        Busy: Others are in its way still, after some seconds.
    """
    wait_seconds = _FIRST_WAIT_SECONDS
    for _ in range(_TRIES_MAX - 1):
        try:
            return await work()
        except Busy:
            await asyncio.sleep(wait_seconds)
            wait_seconds *= 2
    return await work()
