"""A copy of everything, and being forgotten, at the desk and against the real service."""

from datetime import timedelta
from pathlib import Path

import pytest

from server.customers.store import insert_customer
from server.db.engine import DB
from server.privacy.exports import EXPORT_JOB, make_export
from shared.enums import Role
from tests.app import World, expect
from tests.ledgers import credit, figures
from tests.tui.shop import a_till, choose, previewed


def written(folder: Path) -> list[bytes]:
    """Return what was written to a folder."""
    return [file.read_bytes() for file in folder.glob("personal-data-*.zip")]


async def test_a_copy_is_asked_for_made_and_written_to_a_file_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world.jobs[EXPORT_JOB] = make_export
    await world.sign_up("ana@shop.test")
    async with a_till(world, Role.MANAGER, size=(80, 24)) as desk:
        await desk.open("ana@shop.test")
        await desk.press("P")
        await desk.until(lambda: desk.page == "privacy")
        await desk.shows("Nothing was asked for.")
        await desk.press("e")
        await desk.until(lambda: desk.page == "copy")
        await desk.press("ctrl+s")
        await desk.shows("Only for a customer who stands here", "Say why, in a few words")
        await choose(desk, "attested", "y")
        await desk.fill("reason", "asked at the till")
        await desk.press("ctrl+s")
        await desk.shows("The copy is being made.", "Copy of everything", "being made")
        await desk.press("w")
        await desk.shows("choose a copy that is ready")
        await world.run_jobs()
        await desk.press("f5")
        await desk.shows("ready")
        await desk.press("w")
        await desk.shows("Written to")
        assert [content[:2] for content in written(tmp_path)] == [b"PK"]
        await desk.press("w")
        await desk.shows("There is a file of this name.")


async def test_the_long_absent_are_shown_and_let_go_of_by_the_owner(world: World) -> None:
    async with a_till(world, Role.ADMIN, size=(80, 24)) as desk:
        await desk.press("ctrl+p")
        await desk.fill("palette-search", "asked to be forgotten")
        await desk.press("enter")
        await desk.until(lambda: desk.page == "privacy")
        await desk.press("l")
        await desk.shows("Everybody has come in the last 3 years")
        cy = await insert_customer(world.ctx, given_name="Cy", family_name="Gray", source="till")
        sql = "update customer set created_at = $2, updated_at = $2 where id = $1"
        await DB.fetch(sql, cy, world.clock.now() - timedelta(days=1_500))
        await desk.press("l")
        await desk.shows("Let go of the long absent", "1 customer: Cy Gray", "a mail reaches 0 of them")
        await desk.fill("reason", "tidying up")
        await desk.press("ctrl+s")
        await desk.shows("DANGER: Let go of the long absent")
        await desk.press(*"yes", "ctrl+s")
        await desk.shows("1 customer will be forgotten on", "will happen")


async def test_being_forgotten_is_shown_typed_approved_by_another_and_can_be_cancelled(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    await credit(world, ana.membership_id, 120)
    async with a_till(world, Role.MANAGER, size=(80, 24)) as desk:
        await desk.open("ana@shop.test")
        await desk.press("P", "x")
        await desk.until(lambda: desk.page == "erase")
        await choose(desk, "attested", "y")
        await desk.fill("reason", "asked at the till")
        await previewed(desk)
        await desk.shows("120 points are lost.", "1 card stops scanning.", "a second person must approve it")
        await desk.press("ctrl+s")
        await desk.shows("DANGER: Be forgotten")
        # Neither Enter nor a scan answers it.
        await desk.press("enter")
        await desk.scan(ana.card_number)
        await desk.shows("The scan was not used.")
        await desk.press(*ana.card_number[-4:], "ctrl+s")
        await desk.shows("Nothing has changed yet; a second person must approve it", "needs a yes")
        await desk.press("x")
        await desk.shows("this was asked for already")
        await desk.press("a")
        await desk.shows("Approve being forgotten", "1 card stops scanning.")
        await desk.press("ctrl+s")
        await desk.shows("DANGER: Approve being forgotten")
        await desk.press(*"yes", "ctrl+s")
        await desk.shows("You asked for this yourself: somebody else must decide.")
    world.advance(timedelta(days=40))
    headers = await world.staff_headers(Role.MANAGER)
    queue = expect(await world.client.get("/v1/staff/queue", headers=headers), 200)
    assert (queue["erasures"], queue["late_erasures"]) == (1, 1)
    async with a_till(world, Role.ADMIN, login="ada", size=(160, 50)) as desk:
        await desk.shows("1 wish to be forgotten is LATE (^P privacy)")
        await desk.press("ctrl+p")
        await desk.fill("palette-search", "privacy")
        await desk.press("enter")
        await desk.until(lambda: desk.page == "privacy")
        await desk.shows("Be forgotten: Ana Flores (asked by Mara)", "It has to be done by")
        await desk.press("a")
        await desk.shows("Ana Flores", "120 points are lost.")
        # What has changed by then is shown, and decided on once more.
        await credit(world, ana.membership_id, 5)
        await desk.press("ctrl+s")
        await desk.shows("DANGER: Approve being forgotten", "Ana Flores will be forgotten for good.")
        await desk.press(*"yes", "ctrl+s")
        await desk.shows("This changed since you looked", "! was 120 points are lost.", "! now 125 points are lost.")
        await desk.press("ctrl+s")
        await desk.press(*"yes", "ctrl+s")
        await desk.shows("They will be forgotten on", "LATE")
        await desk.press("c")
        await desk.until(lambda: desk.page == "reason")
        await desk.fill("reason", "they changed their mind")
        await desk.press("ctrl+s")
        await desk.shows("Cancelled. Nothing was erased.", "cancelled")
    assert (await figures(ana.membership_id))[0] == 125
