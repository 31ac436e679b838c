"""Claim codes at the desk, against the real service: made, shown once, looked up, ended."""

from pathlib import Path

import pytest

from server.db.engine import DB
from shared.enums import Role
from tests.app import World, expect
from tests.ledgers import credit, figures
from tests.server.claims.desk import ClaimDesk
from tests.tui.desk import Till
from tests.tui.shop import a_till, choose, previewed, sell
from tui.screens.claims import IssuedPage
from tui.widgets.field import Field


async def test_a_code_is_shown_once_found_again_used_and_ended(world: World) -> None:
    counter = await ClaimDesk.open(world)
    body = {"given_name": "Old", "family_name": "Card [/]", "phone": "+44 20 7946 0018"}
    stub = expect(await counter.post("/v1/staff/customers", body), 201)
    async with a_till(world, Role.CASHIER, login="carl", size=(80, 24)) as desk:
        await desk.open(stub["card_number"])
        await desk.press("C")
        await desk.until(lambda: desk.page == "claims")
        # Whom no mail reaches has been invited by text.
        await desk.shows("texted")
        await desk.press("n")
        await desk.shows("A code of theirs is still good.")
        for _ in range(3):
            # The key pressed again while the code is made would make another one, which ends it.
            desk.console.perform("claims.issue")
        await desk.until(lambda: desk.page == "claim-issued")
        assert await DB.fetch_value("select count(*) from claim_code") == 2
        page = desk.console.screen
        assert isinstance(page, IssuedPage)
        first = page._issued.code
        await desk.shows(first, "Old Card [/]", "To print and hand over:", "It is shown this once")
        await desk.press("escape")
        await desk.shows("The code is not shown again.")
        assert desk.page == "claim-issued"
        await desk.press("escape")
        await desk.shows("made at the till", "good")
        assert first not in desk.screen_text()
        # Another one ends the first, and asks before.
        await desk.press("n")
        await desk.shows("A code of theirs is still good.")
        await desk.press("n")
        await desk.until(lambda: desk.page == "claim-issued")
        second = desk.console.screen._issued.code  # type: ignore[attr-defined]
        await desk.press("c", "escape")
        await desk.shows("ended")
        for code, words in ((first, "✗ It was ended"), (second, "✓ This code can be used")):
            desk.console.perform("app.claim")
            await desk.until(lambda: desk.page == "claim-lookup")
            await desk.fill("code", code.lower())
            await desk.press("ctrl+s")
            await desk.shows(words, "For Old Card [/].", "F2 Open customer")
            await desk.press("escape")
        await desk.press("enter")
        await desk.shows("a newer one was made")
        await scan_on_any_page(desk, good=second, ended=first, card=stub["card_number"])
        await desk.press("C")
        await desk.shows("made at the till", "good")
        await desk.press("home", "x")
        await desk.until(lambda: desk.page == "reason")
        await desk.fill("reason", "lost the paper")
        await desk.press("ctrl+s")
        await desk.shows("The code is over.")


async def scan_on_any_page(desk: Till, *, good: str, ended: str, card: str) -> None:
    """A code, or the link in a letter, is looked up wherever it is scanned; a card leads on from there."""
    link = f"https://shop.test/links/claim#{ended}"
    for scanned, words in ((good, "✓ This code can be used"), (link, "✗ It was ended")):
        await desk.scan(scanned)
        await desk.until(lambda: desk.page == "claim-lookup")
        await desk.shows(words)
        await desk.press("f2")
        await desk.until(lambda: desk.page == "customer")
    await desk.scan("7K2M-9XQ4-HDTE")
    await desk.shows("This is a voucher's code.")
    desk.console.perform("app.claim")
    await desk.until(lambda: desk.page == "claim-lookup")
    await desk.scan(card)
    await desk.until(lambda: getattr(desk.console.screen, "detail", None) is not None, "the customer, read")


async def test_a_sale_to_nobody_gets_a_code_and_who_signs_in_needs_none(world: World) -> None:
    ana = await world.sign_up("ana@shop.test")
    await credit(world, ana.membership_id, 5)
    await sell(world, number="R-1")
    async with a_till(world, Role.MANAGER) as desk:
        await desk.press("f4")
        await desk.shows("R-1", "nobody")
        await desk.press("k")
        await desk.until(lambda: desk.page == "claim-issued")
        await desk.shows("sale R-1")
        await desk.press("escape", "escape")
        await desk.open("ana@shop.test")
        await desk.press("C")
        await desk.until(lambda: desk.page == "claims")
        await desk.shows("No claim code yet.")
        await desk.press("n")
        await desk.shows("this customer can sign in already")
    assert (await figures(ana.membership_id))[0] == 5


async def test_letters_are_counted_made_and_written_once_and_ended_after_a_question(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    counter = await ClaimDesk.open(world)
    for number, address in enumerate(("1 Quay Street, Galway", "")):
        body = {"given_name": f"Old {number}", "phone": f"+44 20 7946 001{number}", "postal_address": address}
        expect(await counter.post("/v1/staff/customers", body), 201)
    async with a_till(world, Role.MANAGER, size=(80, 24)) as desk:
        desk.console.perform("app.claim_letters")
        await desk.shows("No claim letters yet.")
        await desk.press("n")
        await previewed(desk)
        # Whom a text has reached has a code that works, and is passed over.
        await desk.shows("0 people get a code", "2 people have a code that works: they are passed over.")
        await desk.press("ctrl+s")
        await desk.shows("! Make the codes: Nobody needs a letter")
        await choose(desk, "reissue", "y")
        await previewed(desk)
        await desk.shows("2 people get a code for a letter.", "1 of them has no postal address")
        await desk.press("ctrl+s")
        await desk.shows("DANGER: Make all codes anew", "2 codes that people hold stop working")
        await desk.press(*"yes", "ctrl+s")
        await desk.shows("2 codes are made.", "not yet")
        await desk.press("w")
        await desk.until(lambda: desk.page == "claim-file")
        name = desk.console.screen.query_one("#path", Field).value
        (tmp_path / name).write_text("mine")
        await desk.press("ctrl+s")
        await desk.shows("There is a file of this name.")
        (tmp_path / name).unlink()
        await desk.press("ctrl+s")
        await desk.shows("Written to", "written")
        assert (tmp_path / name).read_bytes()[:4] == b"%PDF"
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
        await desk.press("w")
        await desk.until(lambda: desk.page == "claim-file")
        listed = tmp_path / desk.console.screen.query_one("#path", Field).value
        await desk.press("ctrl+s")
        await desk.shows("Written to")
        assert b"Quay Street" in listed.read_bytes()
        await desk.press("w")
        await desk.shows("both files were written")
        await desk.press("x")
        await desk.until(lambda: desk.page == "reason")
        await desk.fill("reason", "the post lost them")
        await desk.press("ctrl+s")
        await desk.shows("2 letters stop working.")
        await desk.press(*"yes", "ctrl+s")
        await desk.shows("The codes of this batch are over.", "ended")
