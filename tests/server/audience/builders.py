"""A shop with an audience: customers made by SQL, the real SDK, and the stand-in for Mailchimp over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from server.audience import marks
from server.audience.gateway import Mailchimp
from server.audience.pusher import Pusher
from server.clock import ManualClock
from server.context import Context, Tools, system_context
from server.db.engine import DB
from server.db.ids import new_id
from server.passwords import Passwords
from server.settings import Settings
from server.tokens import Tokens
from tests.standins.mailchimp import ContactView, MailchimpStandIn

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
LIVE = ("subscribed", "pending", "transactional")


def shop_settings(database_url: str, standin: MailchimpStandIn, **overrides: object) -> Settings:
    values: dict[str, Any] = {
        "database_url": database_url,
        "data_dir": Path("unused"),
        "secret_key": "9f2c41d7a6b85e03" * 4,
        "audience": "mailchimp",
        "mailchimp_api_key": standin.api_key,
        "mailchimp_list_id": standin.list_id,
        "mailchimp_base_url": standin.url,
        "argon2_memory_kib": 8,
        "argon2_time_cost": 1,
        "test_profile": True,
        **overrides,
    }
    return Settings(**values)


def new_tools(settings: Settings, clock: ManualClock) -> Tools:
    passwords = Passwords(time_cost=1, memory_kib=8, parallelism=1, threads=1)
    return Tools(settings=settings, clock=clock, tokens=Tokens(b"k" * 32), passwords=passwords)


class CutGateway(Mailchimp):
    """The real gateway; the n-th call of a kind ends as if the process had died before or after it."""

    def __init__(
        self, settings: Settings, *, cut: str = "", after: bool = False, count: int = 1, **more: float
    ) -> None:
        super().__init__(settings, **more)
        self.cut, self.after, self.count = cut, after, count
        self.calls: list[str] = []

    async def _call(self, name: str, function: Callable[..., object], *arguments: object, **named: object) -> object:
        self.calls.append(name)
        is_cut = name == self.cut and self.calls.count(name) == self.count
        if is_cut and not self.after:
            raise Killed
        answer = await super()._call(name, function, *arguments, **named)
        if is_cut:
            raise Killed
        return answer


class Killed(BaseException):
    """The process is gone."""


class Shop:
    """One shop, its database, its clock and its audience."""

    def __init__(self, tools: Tools, clock: ManualClock, mailchimp: MailchimpStandIn) -> None:
        self.tools = tools
        self.clock = clock
        self.mailchimp = mailchimp
        self.programme_id = new_id()

    @property
    def ctx(self) -> Context:
        return system_context(self.tools)

    def gateway(self, **more: float) -> Mailchimp:
        return Mailchimp(self.tools.settings, **more)

    def pusher(self, gateway: Mailchimp | None = None) -> Pusher:
        return Pusher(self.tools, gateway or self.gateway(read_seconds=60), jitter=lambda: 1.0)

    async def push(self, gateway: Mailchimp | None = None) -> int:
        """Run a worker's round of its own, as a process that has just started."""
        return await self.pusher(gateway).push_due()

    async def add_programme(self, zone: str = "Europe/London") -> None:
        await DB.fetch(
            "insert into programme (id, code, name, zone, currency, launch_at, is_default, created_at) "
            "values ($1, 'rewards', 'Rewards', $2, 'GBP', $3, true, $3)",
            self.programme_id, zone, NOW - timedelta(days=400),
        )  # fmt: skip

    async def add_customer(
        self,
        email: str = "ana@shop.test",
        *,
        opted_in: bool | None = True,
        points: int = 120,
        given_name: str = "Ana",
        family_name: str = "Flores",
        card: str = "",
        marked: bool = True,
    ) -> UUID:
        """Add a member with a card and a proven address. `opted_in` None means never asked."""
        customer_id, membership_id = new_id(), new_id()
        joined_at = NOW - timedelta(days=30)
        await DB.fetch(
            "insert into customer (id, given_name, family_name, enrolled_source, created_at, updated_at) "
            "values ($1, $2, $3, 'app', $4, $4)",
            customer_id, given_name, family_name, joined_at,
        )  # fmt: skip
        await self.add_address(customer_id, email)
        await DB.fetch(
            "insert into membership (id, programme, enrolled_at, balance, available, tier, created_at) "
            "values ($1, $2, $3, $4, $4, 'Gold', $3)",
            membership_id, self.programme_id, joined_at, points,
        )  # fmt: skip
        await self.join(customer_id, membership_id, role="owner")
        code = card or f"29{customer_id.int % 10**12:012d}"
        await DB.fetch(
            "insert into card (id, code, membership, customer, issued_at) values ($1, $2, $3, $4, $5)",
            new_id(), code, membership_id, customer_id, joined_at,
        )  # fmt: skip
        if opted_in is not None:
            await self.choose(customer_id, email, opted_in=opted_in, marked=False)
        if marked:
            await self.in_transaction(
                lambda: marks.ensure_contact(self.ctx, customer_id=customer_id, email=email, email_key=email.lower())
            )
        return customer_id

    async def join(self, customer_id: UUID, membership_id: UUID, *, role: str = "sharer") -> None:
        await DB.fetch(
            "insert into membership_person (id, membership, programme, customer, role, joined_at, eligible_from) "
            "values ($1, $2, $3, $4, $5, $6, $6)",
            new_id(), membership_id, self.programme_id, customer_id, role, NOW - timedelta(days=30),
        )  # fmt: skip

    async def add_address(self, customer_id: UUID, email: str, *, verified: bool = True) -> None:
        await DB.fetch("update contact_point set is_primary = false where customer = $1", customer_id)
        await DB.fetch(
            "insert into contact_point (id, customer, kind, value, key, status, created_at) "
            "values ($1, $2, 'email', $3, $4, $5, $6) on conflict do nothing",
            new_id(), customer_id, email, email.lower(), "verified" if verified else "unverified", NOW,
        )  # fmt: skip

    async def choose(
        self, customer_id: UUID, email: str, *, opted_in: bool, source: str = "app", marked: bool = True
    ) -> None:
        """Let the person say yes or no to mail at an address."""
        self.clock.advance(timedelta(milliseconds=1))
        await DB.fetch(
            "insert into consent_event (id, customer, channel, address_key, state, source, actor_kind, at) "
            "values ($1, $2, 'email', $3, $4, $5, 'member', $6)",
            new_id(), customer_id, email.lower(), "opted_in" if opted_in else "opted_out", source, self.clock.now(),
        )  # fmt: skip
        if marked:
            await self.mark(customer_id)

    async def mark(self, customer_id: UUID) -> None:
        await self.in_transaction(lambda: marks.mark_customers(self.ctx, [customer_id]))

    async def set_points(self, customer_id: UUID, points: int) -> None:
        async with DB.transaction():
            membership_id = await DB.fetch_value(
                "select membership from membership_person where customer = $1 and left_at is null", customer_id
            )
            await DB.fetch("update membership set available = $2, balance = $2 where id = $1", membership_id, points)
            assert isinstance(membership_id, UUID)
            await marks.mark_membership(self.ctx, membership_id)

    async def move(self, customer_id: UUID, old: str, new: str, *, carried: bool | None = True) -> None:
        """Change an address as an email change does; `carried` is the consent taken along."""
        await self.add_address(customer_id, new)
        if carried is not None:
            await self.choose(customer_id, new, opted_in=carried, source="email_change", marked=False)
        await self.in_transaction(
            lambda: marks.move_contact(
                self.ctx,
                customer_id=customer_id,
                old_email_key=old.lower(),
                new_email=new,
                new_email_key=new.lower(),
            )
        )

    async def in_transaction(self, work: Callable[[], Any]) -> None:
        async with DB.transaction():
            await work()

    async def row(self, email: str) -> dict[str, Any]:
        """Return our row of an address."""
        row = await DB.fetch_row(
            "select *, dirty_seq > pushed_seq as is_dirty from audience_contact where email_key = $1", email.lower()
        )
        assert row is not None
        return dict(row)

    async def state(self) -> dict[str, Any]:
        row = await DB.fetch_row("select * from audience_state")
        assert row is not None
        return dict(row)

    def live(self) -> list[ContactView]:
        """Return the contacts that can still get mail or be taken for somebody's present one."""
        return [
            one for one in self.mailchimp.contacts() if one.status in LIVE and one.merge_fields.get("STATE") != "moved"
        ]

    def writes(self) -> list[tuple[str, str]]:
        """Return what was asked of Mailchimp besides reading."""
        return [(one.method, one.path) for one in self.mailchimp.requests() if one.method != "GET"]
