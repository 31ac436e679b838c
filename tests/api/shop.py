"""A shop with everybody in it: two members, staff of every role, a till, a customer from the till."""

import copy
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from server.db.engine import DB
from server.db.ids import new_id
from server.openapi.examples import EXAMPLES
from shared.endpoints import BY_OPERATION, Caller, Endpoint
from shared.enums import Role, Scope
from shared.permissions import may
from tests.api.conformity import Conformity
from tests.app import SignedUp, World, expect
from tests.ledgers import credit

# Tries are counted whatever becomes of them.
NOT_COMPARED = ("throttle_counter",)

Headers = Mapping[str, str]


class Shop:
    """The world with its people, and requests made from the route table."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = world.client
        self.staff: dict[Role, dict[str, str]] = {}
        self.staff_ids: dict[Role, UUID] = {}
        self.key: dict[str, str] = {}
        self.ana: SignedUp
        self.ben: SignedUp
        self.till_customer_id = UUID(int=0)
        self.contact_id = UUID(int=0)
        self.programme_id = UUID(int=0)
        self.reward_id = UUID(int=0)
        self.voucher_id = UUID(int=0)
        self.hold_id = UUID(int=0)
        self.record_id = UUID(int=0)
        self.link_id, self.asked_link_id, self.todo_id = new_id(), new_id(), new_id()
        self.order_id = UUID(int=0)
        self.change_id = new_id()

    async def fill(self) -> None:
        """Let everybody in; every answer from here on is checked."""
        self.client.event_hooks["response"].append(Conformity().check)
        self.ana = await self.world.sign_up("ana@shop.test")
        self.ben = await self.world.sign_up("ben@shop.test", given_name="Ben")
        for role in Role:
            self.staff_ids[role] = await self.world.add_staff(role)
            self.staff[role] = await self.world.staff_headers(role, staff_id=self.staff_ids[role])
        self.key = await self.world.pos_key()
        pushed = expect(await self.send("push_order", json=self.order("first")), 201)
        self.order_id = UUID(pushed["order_id"])
        registered = expect(
            await self.send("register_customer", json={"given_name": "Cy", "email": "cy@shop.test"}), 201
        )
        self.till_customer_id = UUID(registered["id"])
        self.programme_id = await self._id("select id from programme where is_default")
        self.contact_id = await self._id("select id from audience_contact where customer = $1", self.ana.customer_id)
        await self._fill_rewards()
        await self._fill_links()
        await self.world.run_jobs()

    def copied_to(self, world: World) -> "Shop":
        """Return this shop in another world, whose database is a copy of its own."""
        shop = copy.copy(self)
        shop.world, shop.client = world, world.client
        shop.client.event_hooks["response"].append(Conformity().check)
        return shop

    async def _fill_rewards(self) -> None:
        # Whom a till texts a code to has proven the number.
        sql = """
        insert into contact_point (id, customer, kind, value, key, status, is_primary, created_at, verified_at)
        values ($1, $2, 'phone', $3, $3, 'verified', true, $4, $4)
        """
        await DB.fetch(sql, new_id(), self.ana.customer_id, "+447700900123", self.world.clock.now())
        await credit(self.world, self.ana.membership_id, 5_000)
        expect(await self.send("put_redemption_terms", json=self.terms(card_daily_points=2_000)), 200)
        reward = {"code": "one-off", "name": "1.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 100}
        self.reward_id = UUID(expect(await self.send("create_reward", json=reward), 201)["id"])
        taken = expect(await self.send("issue_customer_voucher", json={"reward_id": str(self.reward_id)}), 201)
        self.voucher_id = UUID(taken["voucher"]["id"])
        self.hold_id = UUID(expect(await self.send("open_hold", json=self.hold("cart-1")), 201)["id"])

    async def _fill_links(self) -> None:
        """Let the till know a customer who is nobody's, and two who are Ben: by a link, and by a wish for one."""
        for external_id in ("free", "taken", "asked-for", "double"):
            expect(await self.send("push_pos_customer", json={"external_id": external_id, "given_name": "Dee"}), 200)
        self.record_id = await self._id("select id from pos_record where external_id = $1", "free")
        sql = """
        insert into pos_link (id, record, customer, state, method, actor_kind, actor_id, created_at, linked_at)
        select $1, r.id, $2, $3, 'staff_attest', 'staff', $4, $5, case when $3 = 'linked' then $5::timestamptz end
        from pos_record r where r.external_id = $6
        """
        cashier, now = self.staff_ids[Role.CASHIER], self.world.clock.now()
        await DB.fetch(sql, self.link_id, self.ben.customer_id, "linked", cashier, now, "taken")
        await DB.fetch(sql, new_id(), self.ben.customer_id, "linked", cashier, now, "double")
        await DB.fetch(sql, self.asked_link_id, self.ben.customer_id, "waiting", cashier, now, "asked-for")
        sql = """
        insert into pos_todo (id, kind, customer, kept_record, absorbed_record, state, created_at, error, note)
        select $1, 'merge', $2, k.id, a.id, 'open', $3, '', '' from pos_record k, pos_record a
        where k.external_id = 'taken' and a.external_id = 'double'
        """
        await DB.fetch(sql, self.todo_id, self.ben.customer_id, now)
        # A cashier asked for another address of Ben, who has proven his.
        sql = """
        insert into email_change (id, customer, old_email, old_email_key, new_email, new_email_key, mode, requested_by_kind,
                                  requested_by_id, requested_at, expires_at, is_override, reason)
        values ($1, $2, $3, $3, $4, $4, 'keep', 'staff', $5, $6, $7, true, 'left that firm')
        """
        till = timedelta(hours=24)
        await DB.fetch(
            sql, self.change_id, self.ben.customer_id, "ben@shop.test", "b@other.test", cashier, now, now + till
        )

    @staticmethod
    def terms(**fields: object) -> dict[str, Any]:
        """Return redemption settings."""
        terms: dict[str, Any] = {**EXAMPLES[BY_OPERATION["put_redemption_terms"].request]}  # type: ignore[index]
        return terms | fields

    def hold(self, order_reference: str) -> dict[str, Any]:
        """Return a wish to set aside what Ana's card alone may spend."""
        hold: dict[str, Any] = {**EXAMPLES[BY_OPERATION["open_hold"].request]}  # type: ignore[index]
        del hold["presence_code"]
        return hold | {"card_number": self.ana.card_number, "points": 100, "order_reference": order_reference}

    def quote(self) -> dict[str, Any]:
        """Return a question what Ana's points may pay."""
        quote: dict[str, Any] = {**EXAMPLES[BY_OPERATION["quote_redemption"].request]}  # type: ignore[index]
        return quote | {"card_number": self.ana.card_number}

    @staticmethod
    async def _id(sql: str, *values: object) -> UUID:
        found = await DB.fetch_value(sql, *values)
        assert isinstance(found, UUID)
        return found

    def order(self, external_id: str) -> dict[str, Any]:
        """Return a sale that earns Ana points."""
        sale: dict[str, Any] = {**EXAMPLES[BY_OPERATION["push_order"].request]}  # type: ignore[index]
        return sale | {"external_id": external_id, "customer": {"card_number": self.ana.card_number}}

    def question(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the query parameters without which an operation answers nothing."""
        questions = {
            "pos_lookup": {"card": self.ana.card_number},
            "find_orders": {"number": "000123"},
            "search_pos_records": {"q": "dee"},
        }
        return questions.get(endpoint.operation, {})

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the headers with which an endpoint lets one in, an Idempotency-Key of this call's own included."""
        headers = {"Idempotency-Key": f"test-{new_id()}"} if endpoint.idempotent else {}
        match endpoint.caller:
            case Caller.ANYONE:
                return headers
            case Caller.MEMBER:
                return headers | self.ana.headers
            case Caller.KEY:
                return headers | self.key
            case Caller.STAFF:
                assert endpoint.permission is not None
                able = [role for role in Role if may(role, endpoint.permission)]
                return headers | self.staff[Role.MANAGER if Role.MANAGER in able else able[0]]

    def has_all_of(self, endpoint: Endpoint) -> bool:
        """Return whether the shop has each thing that a path names."""
        return set(re.findall(r"\{(\w+)\}", endpoint.path)) <= self._known(endpoint).keys()

    def path(self, endpoint: Endpoint, **ids: object) -> str:
        """Return the path with the ids of Ana's things, unless others are given; those of nothing where she has none."""
        known = self._known(endpoint)
        return re.sub(r"\{(\w+)\}", lambda match: str((known | ids).get(match[1]) or new_id()), endpoint.path)

    def _known(self, endpoint: Endpoint) -> dict[str, object]:
        return {
            "customer_id": self.ana.customer_id,
            "membership_id": self.ana.membership_id,
            "session_id": self.ana.tokens["session_id"],
            "contact_id": self.contact_id,
            "programme_id": self.programme_id,
            "reward_id": self.reward_id,
            "voucher_id": self.voucher_id,
            "hold_id": self.hold_id,
            "record_id": self.record_id,
            "todo_id": self.todo_id,
            "link_id": self.asked_link_id if "/approve" in endpoint.path else self.link_id,
            "order_id": self.order_id,
            "change_id": self.change_id,
            "purpose": "signup",
            "name": "points" if "/reports/" in endpoint.path else "links.css",
        }

    async def send(
        self,
        endpoint: Endpoint | str,
        *,
        headers: Headers | None = None,
        path: str | None = None,
        add: Headers | None = None,
        **options: Any,  # noqa: ANN401 - what httpx takes
    ) -> httpx.Response:
        """Send a request as the table describes it.

        Args:
            headers: Instead of the right credential and key.
            path: Instead of the path with Ana's ids.
            add: Headers besides these.
            options: For httpx; the example of the API's description is the body unless there is one.
        """
        row = BY_OPERATION[endpoint] if isinstance(endpoint, str) else endpoint
        if row.request is not None and not {"json", "content"} & set(options):
            options["json"] = EXAMPLES[row.request]
        chosen = dict(self.headers(row) if headers is None else headers)
        return await self.client.request(
            row.method, path or self.path(row), headers=chosen | dict(add or {}), **options
        )

    async def snapshot(self) -> dict[str, str]:
        """Return a checksum of every table but the counters of tries."""
        tables = await DB.fetch("select tablename from pg_tables where schemaname = 'public' order by tablename")
        names = [row["tablename"] for row in tables if row["tablename"] not in NOT_COMPARED]
        parts = (
            f"select '{name}' as name, md5(string_agg(t::text, '|' order by t::text)) as sum from \"{name}\" t"
            for name in names
        )
        return {row["name"]: row["sum"] for row in await DB.fetch(" union all ".join(parts))}

    async def add_key(self, scopes: list[Scope], **fields: object) -> dict[str, str]:
        """Return the headers of another key; `fields` overwrite columns of its row."""
        headers = await self.world.pos_key(scopes=scopes)
        for name, value in fields.items():
            await DB.fetch(
                f"update api_key set {name} = $1 where id = (select max(id::text)::uuid from api_key)", value
            )
        return headers

    def later(self, **step: float) -> None:
        """Move the clock."""
        self.world.advance(timedelta(**step))
