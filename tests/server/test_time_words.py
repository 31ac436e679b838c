"""Times as customers read them are those of the shop, and say so."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from server.db.engine import DB
from server.programmes.service import get_default_programme
from server.time_words import say_day, say_moment, say_time
from tests.app import World, expect

LONDON = ZoneInfo("Europe/London")


def test_a_time_is_the_shops_with_its_name_and_without_a_leading_zero() -> None:
    at = datetime(2026, 7, 4, 23, 5, tzinfo=UTC)
    assert say_day(at, LONDON) == "5 July 2026"
    assert say_time(at, LONDON) == "5 July 2026, 00:05"
    assert say_moment(at, LONDON) == "5 July 2026, 00:05 (Europe/London)"


async def test_mails_tell_the_shops_time(world: World) -> None:
    member = await world.sign_up()
    await DB.fetch("update programme set zone = 'Asia/Kolkata'")
    await get_default_programme(fresh=True)
    body = {"phone": "+44 20 7946 0018", "password": member.password}
    expect(await world.client.patch("/v1/me", json=body, headers=member.headers), 200)
    told = (await world.mails_to(member.email))[-1]
    assert "on 2 March 2026, 15:30 (Asia/Kolkata)" in " ".join(told.text.split())
