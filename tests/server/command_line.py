"""`regulars`, as whoever runs the shop types it."""

import asyncio
from typing import Protocol

import asyncpg
from click.testing import Result

KEY = "9f2c41d7a6b85e03" * 4
INIT = [
    "init", "--programme", "Corner Club", "--zone", "Europe/London", "--currency", "GBP", "--per-minor", "100",
    "--expiry-days", "365", "--store-code", "corner", "--store-name", "The Corner", "--admin", "ana",
    "--admin-name", "Ana Flores",
]  # fmt: skip


class Run(Protocol):
    """Calls `regulars` with arguments, and with variables besides those of the shop."""

    def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> Result: ...


def query(database_url: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
    """Run one statement on a connection of its own."""

    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database_url)
        try:
            return await connection.fetch(sql, *arguments)
        finally:
            await connection.close()

    return asyncio.run(fetch())
