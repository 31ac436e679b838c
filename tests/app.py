"""A whole service for one test: the real app on a real database, with a clock that stands still and mail in files.

    async def test_a_rule(world: World) -> None:
        member = await world.sign_up("ana@shop.test")
        answer = await world.client.get("/v1/me", headers=member.headers)

Requests go through the app's own ASGI interface; jobs run when a test asks for them (`run_jobs`, `mails_to`).
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
from litestar import Litestar

from server.app import create_routes, equip
from server.clock import ManualClock
from server.context import Context, Tools, system_context
from server.db.engine import DB
from server.db.ids import new_id
from server.edge import Edge
from server.messages.service import SendMail, send_mail
from server.programmes import store as programmes
from server.settings import Settings
from server.tokens import hash_token
from shared.enums import Role, Scope
from shared.programmes import EarningRules

START_AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
PASSWORD = "wandering-teapot-71-gulls"
_LINK = re.compile(r"https?://\S+/links/(?P<purpose>[a-z-]+)#(?P<token>\S+)")

Job = Callable[[Tools, bytes], Awaitable[object]]


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as it lies in the file mailbox."""

    message: EmailMessage
    text: str
    html: str

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def link(self) -> str:
        """Return the one link with a token."""
        found = _LINK.search(self.text)
        assert found, f"no link in {self.text!r}"
        return found[0]

    @property
    def purpose(self) -> str:
        return self.link.partition("#")[0].rpartition("/")[2]

    @property
    def token(self) -> str:
        return self.link.partition("#")[2]


class SignedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A member made through the front door, signed in once."""

    email: str
    password: str
    customer_id: UUID
    membership_id: UUID
    card_number: str
    tokens: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


class World:
    """The service, its clock, a client, and the steps that tests have in common."""

    def __init__(self, settings: Settings, clock: ManualClock, app: Edge, client: httpx.AsyncClient) -> None:
        self.settings = settings
        self.clock = clock
        self.app = app
        self.client = client
        # What the worker would run, by the name the job was enqueued under; tests add their own.
        self.jobs: dict[str, Job] = {"mail.send": _send_mail}

    @property
    def tools(self) -> Tools:
        """What the app works with."""
        tools: Tools = self._state.tools
        return tools

    def replace_tools(self, **changes: object) -> None:
        """Give the app other tools from now on, such as a counting password hasher."""
        self._state.tools = msgspec.structs.replace(self.tools, **changes)

    @property
    def _state(self) -> Any:  # noqa: ANN401 - Litestar's state
        return self.app.app.state  # type: ignore[attr-defined]

    @asynccontextmanager
    async def client_at(self, address: str) -> AsyncIterator[httpx.AsyncClient]:
        """Yield a client of another network address than the world's own, which is 198.51.100.7."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client

    @property
    def ctx(self) -> Context:
        """A context of the program itself, at the clock's present."""
        return system_context(self.tools)

    def advance(self, step: timedelta) -> None:
        """Move the clock forward."""
        self.clock.advance(step)

    # Members ----------------------------------------------------------------------------------------------------------

    async def request_sign_up(self, email: str, password: str = PASSWORD, **fields: object) -> httpx.Response:
        """Send the sign-up form."""
        form = {"email": email, "password": password, "given_name": "Ana", "family_name": "Flores", **fields}
        return await self.client.post("/v1/signup", json=form)

    async def confirm_sign_up(self, email: str) -> httpx.Response:
        """Use the link of the newest sign-up mail of an address."""
        mail = await self.mail_to(email, purpose="signup")
        return await self.client.post("/v1/signup/confirm", json={"token": mail.token})

    async def sign_in(self, email: str, password: str = PASSWORD, **fields: object) -> httpx.Response:
        """Sign in."""
        return await self.client.post("/v1/sessions", json={"email": email, "password": password, **fields})

    async def sign_up(self, email: str = "ana@shop.test", password: str = PASSWORD, **fields: object) -> SignedUp:
        """Sign up, prove the address and sign in."""
        expect(await self.request_sign_up(email, password, **fields), 202)
        confirmed = expect(await self.confirm_sign_up(email), 201)
        tokens = expect(await self.sign_in(email, password), 201)
        return SignedUp(
            email=email,
            password=password,
            customer_id=UUID(confirmed["customer_id"]),
            membership_id=UUID(confirmed["membership_id"]),
            card_number=confirmed["card_number"],
            tokens=tokens,
        )

    async def member_headers(self, email: str = "ana@shop.test", **fields: object) -> dict[str, str]:
        """Make a member and return the headers of the signed-in device."""
        return (await self.sign_up(email, **fields)).headers

    # Staff and tills --------------------------------------------------------------------------------------------------

    async def add_store(self, code: str = "high-street", *, zone: str = "Europe/London") -> UUID:
        """Return the store with this code; it is added unless it is there."""
        sql = """
        insert into store (id, code, name, zone, created_at) values ($1, $2, $3, $4, $5)
        on conflict (code) do update set code = excluded.code returning id
        """
        name = code.replace("-", " ").title()
        row = await DB.fetch_row(sql, new_id(), code, name, zone, self.clock.now())
        assert row is not None
        return UUID(str(row["id"]))

    async def add_staff(self, role: Role | str = Role.CASHIER, *, login: str = "", name: str = "Sam Till") -> UUID:
        """Add an active staff member of the high-street store, whose password is PASSWORD."""
        staff_id = new_id()
        sql = """
        insert into staff_member (id, login, name, role, store, password_hash, status, created_at)
        values ($1, $2, $3, $4, $5, $6, 'active', $7)
        """
        password_hash = await self.tools.passwords.hash(PASSWORD)
        store_id = await self.add_store()
        await DB.fetch(
            sql, staff_id, login or f"{Role(role)}-{staff_id.hex[-8:]}", name, Role(role), store_id, password_hash,
            self.clock.now(),
        )  # fmt: skip
        return staff_id

    async def staff_headers(self, role: Role | str = Role.CASHIER, *, staff_id: UUID | None = None) -> dict[str, str]:
        """Return the headers of a staff member at a console; a new staff member unless one is named."""
        token = self.tools.tokens.new()
        now = self.clock.now()
        sql = """
        insert into staff_session (id, staff_member, token_hash, created_at, last_used_at, expires_at)
        values ($1, $2, $3, $4, $4, $5)
        """
        staff_id = staff_id or await self.add_staff(role)
        await DB.fetch(sql, new_id(), staff_id, hash_token(token), now, now + timedelta(hours=8))
        return {"Authorization": f"Bearer {token}"}

    async def pos_key(
        self,
        *,
        connection: str = "till",
        scopes: Sequence[Scope] = tuple(Scope),
        stores: Sequence[str] = ("high-street",),
    ) -> dict[str, str]:
        """Return the headers of a till's API key for these stores."""
        for code in stores:
            await self.add_store(code)
        sql = """
        with connection as (
            insert into pos_connection (id, code, name, created_at) values ($1, $2, $2, $3)
            on conflict (code) do update set code = excluded.code returning id
        )
        insert into api_key (id, name, connection, token_hash, scopes, stores, created_at, expires_at)
        select $4, 'test', id, $5, $6, $7, $3, $8 from connection
        """
        token, now = self.tools.tokens.new(), self.clock.now()
        await DB.fetch(
            sql, new_id(), connection, now, new_id(), hash_token(token), [str(scope) for scope in scopes],
            list(stores), now + timedelta(days=365),
        )  # fmt: skip
        return {"Authorization": f"Bearer {token}"}

    # Jobs and mail ----------------------------------------------------------------------------------------------------

    async def run_jobs(self) -> int:
        """Run every queued job that this world knows, and those they add; return how many ran."""
        count = 0
        sql = """
        delete from pgqueuer where id = (
            select id from pgqueuer where entrypoint = any($1::text[]) order by priority desc, id limit 1
        ) returning entrypoint, payload
        """
        while job := await DB.fetch_row(sql, list(self.jobs)):
            await self.jobs[job["entrypoint"]](self.tools, job["payload"] or b"")
            count += 1
        return count

    async def mails_to(self, address: str) -> list[Mail]:
        """Send what is queued and return the mails of an address, oldest first."""
        await self.run_jobs()
        mails = [_read_mail(path) for path in sorted(self.settings.mail_folder.glob("*.eml"))]
        return [mail for mail in mails if address.lower() in str(mail.message["To"]).lower()]

    async def mail_to(self, address: str, *, purpose: str) -> Mail:
        """Return the newest mail of an address with a link for a purpose."""
        mails = await self.mails_to(address)
        found = [mail for mail in mails if (match := _LINK.search(mail.text)) and match["purpose"] == purpose]
        assert found, f"no mail with a {purpose} link; there are: {[mail.subject for mail in mails]}"
        return found[-1]


@asynccontextmanager
async def open_world(
    database_url: str, data_dir: Path, *, is_new: bool = True, **overrides: object
) -> AsyncIterator[World]:
    """Start the app on a migrated database, to which a new world adds a default programme, and stop it at the end."""
    clock = ManualClock(START_AT)
    settings = test_settings(database_url, data_dir, **overrides)
    edge = equip(_routes(), settings, clock=clock)
    async with edge.app.lifespan():  # type: ignore[attr-defined]
        transport = httpx.ASGITransport(app=edge, client=("198.51.100.7", 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            world = World(settings, clock, edge, client)
            if is_new:
                await _add_programme(world.ctx)
            yield world


@cache
def _routes() -> Litestar:
    # Making them takes ten times as long as the rest of a world, and they hold nothing that a test could change.
    return create_routes()


def test_settings(database_url: str, data_dir: Path, **overrides: object) -> Settings:
    """Return the settings of the test profile: Argon2 as cheap as it gets, file mail, no worker."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "data_dir": data_dir,
        "secret_key": "9f2c41d7a6b85e03" * 4,
        "public_url": "https://rewards.test",
        "mail_from": "rewards@shop.test",
        "argon2_time_cost": 1,
        "argon2_memory_kib": 8,
        "run_worker": False,
        "test_profile": True,
        # Nobody of many at once is sent away because the machine that runs the tests is slow.
        "database_wait_seconds": 60.0,
        **overrides,
    }
    return Settings(**values)


test_settings.__test__ = False  # type: ignore[attr-defined]


def expect(answer: httpx.Response, status: int) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of an answer that must have this status."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    return answer.json() if answer.content else None


def problem(answer: httpx.Response) -> tuple[int, str, Sequence[str]]:
    """Return status, code and the named fields of a refusal."""
    body: Mapping[str, Any] = answer.json()
    return answer.status_code, body["code"], [field["field"] for field in body.get("errors", ())]


async def _add_programme(ctx: Context) -> None:
    programme_id = await programmes.insert_programme(
        ctx,
        code="rewards",
        name="Rewards",
        zone="Europe/London",
        currency="GBP",
        launch_at=START_AT - timedelta(days=365),
    )
    rules = EarningRules(points=1, per_minor=100)
    await programmes.insert_rules(ctx, programme_id, rules, valid_from=START_AT - timedelta(days=365))


async def _send_mail(tools: Tools, payload: bytes) -> object:
    return await send_mail(tools, msgspec.json.decode(payload, type=SendMail).message_id)


def _read_mail(path: Path) -> Mail:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    parts = {kind: message.get_body(preferencelist=(kind,)) for kind in ("plain", "html")}
    texts = {kind: "" if part is None else str(part.get_content()) for kind, part in parts.items()}
    return Mail(message=message, text=texts["plain"], html=texts["html"])
