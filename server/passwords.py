"""Argon2id in a small, niced pool beside the event loop.

Hashing on the loop stalls everybody: twenty sign-ins at once held other requests up for six seconds. One or two
threads of lower priority with a bounded queue keep the rest of the service at 70 % of its speed or better.
"""

import asyncio
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.errors import Busy
from shared.limits import PASSWORD_BYTES_MAX

_T = TypeVar("_T")

_NICENESS = 10
_WAITING_PER_THREAD_MAX = 25  # At 4 hashes a second the last one in the queue waits six seconds.


class PasswordsBusy(Busy):
    """Too many passwords are waiting to be checked."""


class Passwords:
    """Hashes and verifies passwords.

    Args:
        time_cost: Argon2 passes.
        memory_kib: Argon2 memory in KiB.
        parallelism: Argon2 lanes.
        threads: Passwords hashed at once.
    """

    def __init__(self, *, time_cost: int, memory_kib: int, parallelism: int, threads: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._pool = ThreadPoolExecutor(threads, "argon2", initializer=_be_nice)
        self._waiting = 0
        self._waiting_max = threads * _WAITING_PER_THREAD_MAX
        # Checked against when there is no account, so that a stranger's address takes as long as a member's.
        self._nobody = self._hasher.hash(os.urandom(16))

    async def hash(self, password: str) -> str:
        """Return the Argon2id hash of a password.

        Raises:
            PasswordsBusy: The queue is full.
        """
        return await self._run(self._hasher.hash, _bytes(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Return whether a password is the one hashed; None for `stored` costs the same and is never right.

        Raises:
            PasswordsBusy: The queue is full.
        """
        right = await self._run(self._verify, stored or self._nobody, _bytes(password))
        return right and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Return whether a hash was made with weaker settings than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., _T], *arguments: object) -> _T:
        if self._waiting >= self._waiting_max:
            raise PasswordsBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._waiting -= 1


def _be_nice() -> None:
    if hasattr(os, "nice"):
        os.nice(_NICENESS)


def _bytes(password: str) -> bytes:
    # NFC, so that the same word typed on two keyboards is the same password.
    return unicodedata.normalize("NFC", password).encode()[:PASSWORD_BYTES_MAX]
