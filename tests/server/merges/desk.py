"""Merging through the API, as the console does: preview, then the command with its hash."""

from typing import Any
from uuid import UUID

import httpx

from shared.enums import Role
from tests.app import World, expect
from tests.server.sharing.desk import Desk


class MergeDesk(Desk):
    """A manager at a console, and a till beside it."""

    @classmethod
    async def open(cls, world: World, role: Role = Role.MANAGER) -> "MergeDesk":
        return cls(world, await world.staff_headers(role), await world.pos_key())

    @staticmethod
    def wish(survivor: UUID | str, absorbed: UUID | str, **choices: object) -> dict[str, Any]:
        return {
            "survivor_id": str(survivor),
            "absorbed_id": str(absorbed),
            "choices": choices,
            "reason": "registered twice",
        }

    async def preview(self, survivor: UUID | str, absorbed: UUID | str, **choices: object) -> dict[str, Any]:
        """Ask what a merge would do."""
        shown: dict[str, Any] = expect(
            await self.post("/v1/staff/merges/preview", self.wish(survivor, absorbed, **choices)), 200
        )
        return shown

    async def merge(self, survivor: UUID | str, absorbed: UUID | str, **choices: object) -> httpx.Response:
        """Preview and merge."""
        shown = await self.preview(survivor, absorbed, **choices)
        body = self.wish(survivor, absorbed, **choices) | {"preview_hash": shown["preview_hash"]}
        return await self.post("/v1/staff/merges", body)

    async def merged(self, survivor: UUID | str, absorbed: UUID | str, **choices: object) -> dict[str, Any]:
        """Merge and return what it did; a second person approves where one is needed."""
        done: dict[str, Any] = expect(await self.merge(survivor, absorbed, **choices), 201)
        if done["state"] == "waiting":
            done = expect(await self.approve(done["id"]), 200)
        assert done["state"] == "done"
        return done

    async def approve(self, merge_id: str, role: Role = Role.MANAGER) -> httpx.Response:
        """Let another person approve what waits."""
        headers = await self.world.staff_headers(role)
        path = f"/v1/staff/merges/{merge_id}"
        shown = expect(await self.world.client.get(path, headers=headers), 200)
        return await self.post(f"{path}/approve", {"preview_hash": shown["preview_hash"]}, headers=headers)

    async def unmerge(self, merge_id: str) -> httpx.Response:
        """Preview and take back."""
        path = f"/v1/staff/merges/{merge_id}/undo"
        body = {"reason": "two people"}
        shown = expect(await self.post(f"{path}/preview", body), 200)
        return await self.post(path, body | {"preview_hash": shown["preview_hash"]})

    async def customer(self, customer_id: UUID | str) -> dict[str, Any]:
        """Open a customer."""
        shown: dict[str, Any] = expect(
            await self.world.client.get(f"/v1/staff/customers/{customer_id}", headers=self.headers), 200
        )
        return shown
