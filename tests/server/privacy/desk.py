"""A shop whose worker makes copies and forgets people, and a person who has left traces everywhere."""

import io
import json
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from server.db.engine import DB
from server.db.ids import new_id
from server.privacy import erasure_execution, exports
from shared.enums import Role
from tests.app import PASSWORD, SignedUp, World, expect
from tests.server.links.shop import Till, record, run_checks, since
from tests.server.merges.desk import MergeDesk

PLANTED = (
    "ana@shop.test", "Zerlina", "Quagliarella", "+442079460018", "anna.old@shop.test", "prefers oat milk", "told at the desk",
    "till-customer-77", "zerlina.work@shop.test", "for her broken cup", "invited@friend.test",
)  # fmt: skip
"""What names the person of `full_life`, besides the numbers of her cards."""


def keyed(headers: dict[str, str]) -> dict[str, str]:
    """Return headers with a fresh Idempotency-Key."""
    return headers | {"Idempotency-Key": f"privacy-{new_id()}"}


async def work(world: World) -> None:
    """Run what the worker would: jobs and sweeps."""
    world.jobs[exports.EXPORT_JOB] = exports.make_export
    world.jobs[erasure_execution.ERASE_JOB] = erasure_execution.erase_due
    await erasure_execution.sweep_erasures(world.tools)
    await exports.sweep_exports(world.tools)
    await world.run_jobs()
    await erasure_execution.sweep_erasures(world.tools)


async def ask(world: World, member: SignedUp, **fields: object) -> dict[str, Any]:
    """Ask to be forgotten, with the password."""
    body = {"password": PASSWORD, **fields}
    asked: dict[str, Any] = expect(
        await world.client.post("/v1/me/erasure", json=body, headers=keyed(member.headers)), 202
    )
    return asked


async def forget(world: World, member: SignedUp) -> dict[str, Any]:
    """Ask to be forgotten, and let the days go by."""
    asked = await ask(world, member)
    await let_days_pass(world)
    return asked


async def let_days_pass(world: World) -> None:
    """Let the days go by in which it could be taken back; everybody's consoles sign out meanwhile."""
    world.advance(timedelta(days=7, minutes=1))
    await work(world)


async def status_of(customer_id: UUID | str) -> object:
    """Return where a customer stands."""
    return await DB.fetch_value("select status from customer where id = $1", UUID(str(customer_id)))


async def erasure_of(customer_id: UUID) -> dict[str, Any]:
    """Return the newest wish of a customer as it is stored."""
    row = await DB.fetch_row(
        "select * from erasure where customer = $1 order by requested_at desc limit 1", customer_id
    )
    assert row is not None
    return dict(row)


_TEXTS = """
select table_name, column_name, data_type from information_schema.columns c
join information_schema.tables t using (table_schema, table_name)
where table_schema = 'public' and table_type = 'BASE TABLE'
  and data_type in ('text', 'character varying', 'character', 'json', 'jsonb', 'ARRAY', 'bytea', 'USER-DEFINED')
order by table_name, column_name
"""


async def find_traces(*texts: str) -> dict[str, list[str]]:
    """Return by text the columns of the whole database in which it stands, however it is written there."""
    tables: dict[str, list[tuple[str, str]]] = {}
    for row in await DB.fetch(_TEXTS):
        # Bytes are mostly text too, such as answers and payloads.
        value = (
            f"encode(\"{row['column_name']}\", 'escape')"
            if row["data_type"] == "bytea"
            else f'"{row["column_name"]}"::text'
        )
        tables.setdefault(row["table_name"], []).append((row["column_name"], value))
    assert sum(map(len, tables.values())) > 200, "everything is looked at"
    traces: dict[str, list[str]] = {text: [] for text in texts}
    for table, columns in tables.items():
        looks = [
            f"select {number}::int as n, t.needle from unnest($1::text[]) t(needle) "
            f'where exists (select from "{table}" where position(lower(t.needle) in lower({value})) > 0)'
            for number, (_, value) in enumerate(columns)
        ]
        for row in await DB.fetch(" union all ".join(looks), list(texts)):
            traces[row["needle"]].append(f"{table}.{columns[row['n']][0]}")
    return traces


async def find_everywhere(text: str) -> list[str]:
    """Return the tables in which a text occurs anywhere."""
    return sorted({column.partition(".")[0] for column in (await find_traces(text))[text]})


async def full_life(world: World) -> tuple[SignedUp, MergeDesk, list[str]]:
    """Let a member leave traces in every corner; return her, a manager's desk, and the numbers of her cards."""
    ana = await world.sign_up(
        "ana@shop.test", given_name="Zerlina", family_name="Quagliarella", phone="020 7946 0018",
        consents={"email": True, "sms": True},
    )  # fmt: skip
    desk = await MergeDesk.open(world)
    path = f"/v1/staff/customers/{ana.customer_id}"
    version = (await desk.customer(ana.customer_id))["version"]
    changed = await world.client.patch(
        path, json={"version": version, "notes": "prefers oat milk"}, headers=desk.headers
    )
    expect(changed, 200)
    await desk.buy(ana.card_number, 250)
    await _give(world, desk, ana)
    await _be_at_the_till(world)
    other = expect(
        await desk.post("/v1/staff/customers", {"given_name": "Zerlina", "email": "anna.old@shop.test"}), 201
    )
    await desk.merged(ana.customer_id, other["id"])
    signed_in = expect(await world.sign_in("ana@shop.test"), 201)
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    invite = {"email": "invited@friend.test", "password": PASSWORD}
    share = f"/v1/me/memberships/{ana.membership_id}/sharing-invitations"
    expect(await world.client.post(share, json=invite, headers=headers), 202)
    wish = {"new_email": "zerlina.work@shop.test", "mode": "keep", "password": PASSWORD}
    expect(await world.client.post("/v1/me/email-changes", json=wish, headers=headers), 202)
    mail = await world.mail_to("ana@shop.test", purpose="not-me")
    expect(await world.client.post("/v1/email-changes/cancel", json={"token": mail.token}), 200)
    await world.run_jobs()
    return ana, desk, [ana.card_number, other["card_number"]]


async def _give(world: World, desk: MergeDesk, ana: SignedUp) -> None:
    path = f"/v1/staff/customers/{ana.customer_id}/adjustments"
    wish = {"points": 30, "reason_code": "goodwill", "note": "for her broken cup", "visible": True}
    shown = expect(await desk.post(f"{path}/preview", wish), 200)
    expect(await desk.post(path, wish | {"preview_hash": shown["preview_hash"]}), 201)
    manager = await world.staff_headers(Role.MANAGER)
    reward = {"code": "one-off", "name": "1.00 off", "kind": "amount_off", "points_cost": 100, "value_minor": 100}
    made = expect(await world.client.post("/v1/staff/rewards", json=reward, headers=manager), 201)
    taken = {"reward_id": made["id"]}
    answer = await desk.post("/v1/me/vouchers", taken, headers=ana.headers)
    expect(answer, 201)


async def _be_at_the_till(world: World) -> None:
    till = await Till.of(world)
    await till.send(record("till-customer-77", given_name="Zerlina", family_name="Quagliarella", **since(world)))
    await run_checks(world)
    await till.sell("till-customer-77")


async def ask_by_staff(
    desk: MergeDesk, customer_id: UUID | str, *, headers: dict[str, str] | None = None, **fields: object
) -> httpx.Response:
    """Preview, and ask for a customer who stands there."""
    path = f"/v1/staff/customers/{customer_id}/erasure"
    shown = expect(await desk.world.client.post(f"{path}/preview", headers=headers or desk.headers), 200)
    body = {
        "identity_attested": True,
        "reason": "told at the desk",
        "preview_hash": shown["preview_hash"],
        **fields,
    }
    return await desk.world.client.post(path, json=body, headers=keyed(headers or desk.headers))


def unpack(answer: httpx.Response) -> tuple[dict[str, Any], str]:
    """Return the data of a copy, and its page."""
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return json.loads(archive.read("data.json")), archive.read("data.html").decode()
