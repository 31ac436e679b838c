"""Ports for services that tests and measurements start as programs of their own."""

import itertools
import os
import socket
from typing import Final

# Below all that systems hand out by themselves, to whoever listens at any port or calls somebody: nobody gets the port by
# chance before the service has it, or while it is killed and started anew.
_FIRST: Final = 20_000
_BLOCKS: Final = 150
_BLOCK_LENGTH: Final = 80
_turns = itertools.count()


def find_free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens at; processes that look at once look in blocks of their own."""
    first = _FIRST + os.getpid() % _BLOCKS * _BLOCK_LENGTH
    for turn in itertools.islice(_turns, _BLOCK_LENGTH):
        with socket.socket() as probe:
            # As a service does: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", first + turn % _BLOCK_LENGTH))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"There is no free port from {first} on.")
