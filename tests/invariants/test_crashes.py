"""Every act that changes who somebody is, broken off after any statement: all of it has happened, or nothing.

Nothing means that no row of any table is another, jobs and mails that wait included; and the same call then goes through.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from server.customers.store import insert_customer
from server.db.engine import DB
from server.db.ids import new_id
from server.errors import DatabaseBusy
from server.privacy import erasure_execution
from server.privacy.exports import MakeExport, make_export
from tests.app import SignedUp, World, expect
from tests.invariants.brittle_shop import BrittleConnection, Fuse
from tests.ledgers import assert_verified, credit
from tests.server.email_changes.builders import add_voucher, request
from tests.server.links.shop import Till, record, record_id
from tests.server.merges.desk import MergeDesk
from tests.server.sharing.desk import two_members
from tests.tills import push, sale

_STRIDE = 19
"""Every so many statements it breaks off in the short form of the test."""


class Broken(Exception):
    """A call that ended without an answer."""


class Act(NamedTuple):
    """A call that can be made again until it goes through, and what came of it then."""

    name: str
    call: Callable[[], Awaitable[Any]]
    is_keyed: bool = False
    tries_out: bool = False
    """It is tried out first, in a transaction that is taken back, for which it does not matter how it ends."""


class Town:
    """People with points, a desk and a till; `acts` is a story in which each act builds on those before it."""

    def __init__(self, world: World, desk: MergeDesk, ana: SignedUp, ben: SignedUp) -> None:
        self.world = world
        self.desk = desk
        self.ana = ana
        self.ben = ben
        self.answer: Any = None

    @classmethod
    async def open(cls, world: World) -> "Town":
        town = cls(world, await MergeDesk.open(world), *await two_members(world))
        await credit(world, town.ana.membership_id, 100, days=30)
        await town.desk.buy(town.ben.card_number, 60)
        return town

    async def acts(self) -> AsyncIterator[Act]:
        """Yield one act after the other; each has to be carried out before the next is asked for."""
        stories = (
            self._share,
            self._merge,
            self._claim,
            self._hand_out,
            self._copy,
            self._link,
            self._change_address,
            self._correct,
        )
        for story in stories:
            async for act in story():
                yield act
        async for act in self._forget():
            yield act

    async def _share(self) -> AsyncIterator[Act]:
        home = self.ana.membership_id
        eve = await insert_customer(self.world.ctx, given_name="Eve", family_name="Gray", source="till")
        path = f"/v1/staff/memberships/{home}"
        yield await self._command("join", f"{path}/join", {"customer_id": str(eve)})
        yield self._post("undo join", f"{path}/join/{self.answer['operation_id']}/undo", {"reason": "not wanted"})
        combine = {"other_membership_id": str(self.ben.membership_id)}
        yield await self._command("combine", f"{path}/combine", combine)
        yield await self._command("undo combine", f"{path}/combine/{self.answer['operation_id']}/undo", {})
        expect(await self.desk.combine(home, self.ben.membership_id), 201)
        yield await self._command("leave", f"{path}/leave", {"customer_id": str(self.ben.customer_id)})
        yield self._post("undo leave", f"{path}/leave/{self.answer['operation_id']}/undo", {"reason": "not wanted"})

    async def _merge(self) -> AsyncIterator[Act]:
        fay, gus = await self._member("fay"), await self._member("gus")
        stub = await self._stub("Fayette")
        wish = self.desk.wish(fay.customer_id, stub["id"], count_older_orders=True)
        yield await self._command("merge", "/v1/staff/merges", wish)
        yield await self._command("undo merge", f"/v1/staff/merges/{self.answer['id']}/undo", {})
        wish = self.desk.wish(fay.customer_id, gus.customer_id)
        yield await self._command("ask for a merge", "/v1/staff/merges", wish)
        path, second = f"/v1/staff/merges/{self.answer['id']}", await self.world.staff_headers("manager")
        shown = expect(await self.world.client.get(path, headers=second), 200)
        body = {"preview_hash": shown["preview_hash"]}
        yield self._post("approve a merge", f"{path}/approve", body, headers=second)
        (*_, notice) = await self.world.mails_to(gus.email)
        yield self._post("object to a merge", "/v1/account-merges/dispute", {"token": notice.token}, headers={})

    async def _claim(self) -> AsyncIterator[Act]:
        hal, stub = await self._member("hal"), await self._stub("Hally")
        issued = expect(await self.desk.post(f"/v1/staff/customers/{stub['id']}/claim-codes", None), 201)
        claim = "/v1/me/claims"
        yield self._post("claim an account", claim, {"code": issued["code"]}, headers=hal.headers)
        yield await self._command("undo a claim", f"/v1/staff/merges/{self.answer['merge_id']}/undo", {})
        sold = expect(await push(self.world, self.desk.key, sale(self.world)), 201)
        issued = expect(await self.desk.post(f"/v1/staff/orders/{sold['order_id']}/claim-codes", None), 201)
        yield self._post("claim a receipt", claim, {"code": issued["code"]}, headers=hal.headers)
        path = f"/v1/staff/orders/{sold['order_id']}/assignment"
        yield await self._command("give an order away", path, {"customer_id": str(self.ana.customer_id)})

    async def _hand_out(self) -> AsyncIterator[Act]:
        stub = await self._stub("Nana")
        yield self._post("make a claim code", f"/v1/staff/customers/{stub['id']}/claim-codes", None)
        sold = expect(await push(self.world, self.desk.key, sale(self.world)), 201)
        yield self._post("make a receipt's code", f"/v1/staff/orders/{sold['order_id']}/claim-codes", None)
        yield self._post("make a batch of codes", "/v1/staff/claim-batches", {"reissue": True})

    async def _copy(self) -> AsyncIterator[Act]:
        mia = await self._member("mia")
        yield self._post("ask for a copy", "/v1/me/exports", {}, headers=mia.headers)
        payload = msgspec.json.encode(MakeExport(export_id=UUID(self.answer["id"])))

        async def make() -> None:
            try:
                await make_export(self.world.tools, payload)
            except (DatabaseBusy, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
                raise Broken from error

        yield Act("make a copy", make)

    async def _link(self) -> AsyncIterator[Act]:
        ida, till = await self._member("ida"), await Till.of(self.world)
        for name in ("p-1", "p-2"):
            await till.send(record(name, email=None))
            await till.sell(name)
        path = f"/v1/staff/customers/{ida.customer_id}/links"
        wish = {"record_id": str(await record_id("p-1")), "attestation": "saw_id"}
        yield await self._command("link", path, wish)
        end = f"/v1/staff/links/{self.answer['link']['id']}/end"
        yield await self._command("unlink", end, {"take_back_orders": True})
        yield self._post("make a customer of a record", f"/v1/staff/pos-records/{await record_id('p-2')}/customer", {})

    async def _change_address(self) -> AsyncIterator[Act]:
        for mode in ("keep", "reissue"):
            member = await self._member(f"jo.{mode}")
            await add_voucher(member)
            expect(await request(self.world, member, f"new.{member.email}", mode), 202)
            proof = await self.world.mail_to(f"new.{member.email}", purpose="email-change")
            yield self._post(f"{mode}: prove", "/v1/email-changes/confirm", {"token": proof.token}, headers={})
            notice = await self.world.mail_to(member.email, purpose="not-me")
            yield self._post(f"{mode}: not me", "/v1/email-changes/cancel", {"token": notice.token}, headers={})
        member = await self._member("kim")
        await add_voucher(member)
        wish = {"new_email": "kim.new@shop.test", "mode": "reissue", "identity_attested": True}
        path = f"/v1/staff/customers/{member.customer_id}/email-changes"
        yield await self._command("reissue by staff", path, wish)
        yield self._post("undo a reissue", f"/v1/staff/email-changes/{self.answer['id']}/undo", {"reason": "a mistake"})

    async def _correct(self) -> AsyncIterator[Act]:
        form = {"given_name": "Lou", "email": "lou@shpo.test", "consents": {"email": True, "sms": False}}
        yield self._post("register", "/v1/staff/customers", form)
        customer_id = self.answer["id"]
        path = f"/v1/staff/customers/{customer_id}/corrections"
        yield await self._command("correct", path, {"new_email": "lou@shop.test"})
        undo = f"/v1/staff/email-changes/{self.answer['id']}/undo"
        yield self._post("undo a correction", undo, {"reason": "a mistake"})
        expect(await self.world.request_sign_up("lou@shpo.test"), 202)
        proof = await self.world.mail_to("lou@shpo.test", purpose="signup")
        yield self._post("take a till's customer over", "/v1/signup/confirm", {"token": proof.token}, headers={})
        assert self.answer["customer_id"] == customer_id

    async def _forget(self) -> AsyncIterator[Act]:
        path = f"/v1/staff/customers/{self.ana.customer_id}/erasure"
        ask = await self._command("ask for somebody to be forgotten", path, {"identity_attested": True})
        yield ask._replace(tries_out=True)
        path, second = f"/v1/staff/erasures/{self.answer['id']}", await self.world.staff_headers("manager")
        shown = expect(await self.world.client.get(path, headers=second), 200)
        body = {"preview_hash": shown["preview_hash"]}
        yield self._post("approve of it", f"{path}/approve", body, headers=second)._replace(tries_out=True)
        yield self._post("call it off", f"{path}/cancel", {"reason": "stays after all"})
        expect(await self.desk.combine(self.ana.membership_id, self.ben.membership_id), 201)
        yield self._post("ask to be forgotten", "/v1/me/erasure", {}, headers=self.ben.headers)._replace(tries_out=True)
        asked = self.answer
        self.world.advance(timedelta(days=8))

        async def execute() -> None:
            try:
                assert await erasure_execution.execute(self.world.ctx, UUID(asked["id"]))
            except DatabaseBusy as error:
                raise Broken from error

        yield Act("forget", execute)

    async def _member(self, name: str) -> SignedUp:
        member = await self.world.sign_up(f"{name}@shop.test", given_name=name)
        await self.desk.buy(member.card_number, 20)
        return member

    async def _stub(self, name: str) -> dict[str, Any]:
        form = {"given_name": name, "phone": f"+4420794600{len(name):02}"}
        stub: dict[str, Any] = expect(await self.desk.post("/v1/staff/customers", form), 201)
        await self.desk.buy(stub["card_number"], 30)
        return stub

    async def _command(self, name: str, path: str, body: dict[str, Any]) -> Act:
        """Look at what a command would do, and return the command."""
        body = {"reason": "as they asked"} | body
        shown = expect(await self.desk.post(f"{path}/preview", body), 200)
        assert not shown.get("blockers"), f"{name}: {shown}"
        agreed = {"agreed_by": shown["must_agree"]} if shown.get("must_agree") else {}
        return self._post(name, path, body | agreed | {"preview_hash": shown["preview_hash"]})

    def _post(self, name: str, path: str, body: object, *, headers: Mapping[str, str] | None = None) -> Act:
        headers = self.desk.headers if headers is None else headers
        keyed = dict(headers) | {"Idempotency-Key": f"one-key-for-all-{new_id()}"}

        async def call() -> httpx.Response:
            answer = await self.world.client.post(path, json=body, headers=keyed)
            # A mail that can be queued no more is no refusal; that nothing is left of it is what counts.
            if answer.status_code in (500, 503):
                raise Broken
            assert answer.is_success, f"{name}: {answer.text}"
            self.answer = answer.json()
            return answer

        return Act(name, call, is_keyed=bool(headers))


class Digest:
    """What every table holds, seen over a connection that nothing cuts."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", sql: str) -> None:
        self._connection = connection
        self._sql = sql

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator["Digest"]:
        connection = await asyncpg.connect(dsn)
        names = await connection.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
        parts = (f"select '{row[0]}', sum(hashtextextended(t::text, 0)) from \"{row[0]}\" t" for row in names)
        yield cls(connection, " union all ".join(parts))
        await connection.close()

    async def take(self) -> dict[str, int | None]:
        return {row[0]: row[1] for row in await self._connection.fetch(self._sql)}


@pytest.mark.timeout(1800)
async def test_a_crash_after_any_statement_of_any_act_leaves_all_or_nothing(
    world: World, request: pytest.FixtureRequest
) -> None:
    town = await Town.open(world)
    stride = 1 if request.config.getoption("--soak") else _STRIDE
    assert world.settings.database_url is not None
    await DB.close()
    await DB.open(world.settings.database_url, size=4, connection_class=BrittleConnection)
    broken: dict[str, int] = {}
    async with Digest.open(world.settings.database_url) as digest:
        async for act in town.acts():
            # Each act is broken off at other places than the one before it.
            broken[act.name] = await _break_off(act, digest, first=1 + len(broken) % 5, stride=stride)
            if act.is_keyed:
                after = await digest.take()
                again = await act.call()
                assert again.headers["idempotency-replayed"] == "true", act.name
                assert await digest.take() == after, act.name
    assert all(broken.values()), broken
    await assert_verified(world)


async def _break_off(act: Act, digest: Digest, *, first: int, stride: int) -> int:
    """Break an act off ever later, until it goes through; return how often it was broken off."""
    before = await digest.take()
    for times in itertools.count():
        fuse = BrittleConnection.fuse = Fuse(first + times * stride, everywhere=True)
        try:
            await act.call()
        except Broken:
            BrittleConnection.fuse = None
        else:
            BrittleConnection.fuse = None
            assert act.tries_out or not fuse.has_burnt, f"{act.name}: answered over a connection that was gone, {fuse}"
            assert await digest.take() != before, act.name
            return times
        assert fuse.has_burnt, act.name
        now = await digest.take()
        assert [name for name in now if now[name] != before[name]] == [], f"{act.name}: {fuse}"
    raise AssertionError("it goes through in the end")
