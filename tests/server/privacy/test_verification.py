"""`regulars verify` names what is left of whoever was erased."""

from uuid import UUID

import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.ledger.verification import verify
from tests.app import World
from tests.ledgers import assert_verified
from tests.server.privacy.desk import forget

_CHECK = "nothing names anybody who was erased"


@pytest.mark.parametrize(
    "sql",
    [
        "update customer set family_name = 'Flores' where id = $1",
        "insert into contact_point (id, customer, kind, value, key, status, is_primary, created_at, retired_at, retired_reason)"
        " values ('{id}', $1, 'email', 'a@b.test', 'a@b.test', 'retired', false, now(), now(), 'x')",
        "update card set customer = $1",
        "update email_change set new_email = 'a@b.test', customer = $1",
        "update erasure set state = 'cancelled', ended_at = now(), executed_at = null, done_at = null where customer = $1",
        "update customer set status = 'active' where id = $1",
        "update membership m set balance = 5 from membership_person p where p.membership = m.id and p.customer = $1",
    ],
)
async def test_what_was_tampered_with_is_named(world: World, sql: str) -> None:
    ana = await world.sign_up()
    ben = await world.sign_up("ben@shop.test", given_name="Ben")
    wish = {"new_email": "ben@new.test", "mode": "keep", "password": ben.password}
    await world.client.post("/v1/me/email-changes", json=wish, headers=ben.headers)
    await forget(world, ana)
    await assert_verified(world)
    await DB.fetch(sql.format(id=new_id()), UUID(str(ana.customer_id)))
    wrong = {outcome.name for outcome in [one async for one in verify(world.clock.now())] if not outcome.is_right}
    assert _CHECK in wrong
