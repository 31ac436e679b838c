"""Codes for everybody whom no email reaches: a list and letters, each written once, and a second check for what the post brings."""

import asyncio
import contextvars
import csv
import io
import re
import zlib
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from server.claims import batches
from server.claims.letters import Letter, render_letters
from server.claims.rules import Subject, is_known_to
from server.customers.store import lock_customers
from server.db.engine import DB
from shared.enums import Role
from tests.app import World, expect, problem
from tests.server.claims.desk import ClaimDesk


async def make_batch(desk: ClaimDesk, *, reissue: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = expect(await desk.post("/v1/staff/claim-batches", {"reissue": reissue}), 201)
    return made


async def read_csv(desk: ClaimDesk, batch_id: str) -> list[dict[str, str]]:
    answer = await desk.post(f"/v1/staff/claim-batches/{batch_id}/csv")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


async def test_everybody_whom_no_email_reaches_gets_one_letter(world: World) -> None:
    desk = await ClaimDesk.open(world, Role.MANAGER)
    bea = await desk.register(post_code="SW1A 1AA", postal_address="1 High Street, London", family_name="=Okafor")
    cy = await desk.register(given_name="Cy", family_name="")
    await desk.register(given_name="Dee", email="dee@shop.test")
    await world.sign_up("ana@shop.test")
    seen = expect(await desk.post("/v1/staff/claim-batches/preview", {}), 200)
    # Both got a text with a code, which is live; only a reissue takes its place.
    assert (seen["customers"], seen["with_live_code"]) == (0, 2)
    assert problem(await desk.post("/v1/staff/claim-batches", {}))[:2] == (404, "NOT_FOUND")
    seen = expect(await desk.post("/v1/staff/claim-batches/preview", {"reissue": True}), 200)
    assert (seen["customers"], seen["without_address"]) == (2, 1)
    made = await make_batch(desk, reissue=True)
    assert (made["codes"], made["used"], made["csv_written_at"]) == (2, 0, None)
    rows = await read_csv(desk, made["id"])
    assert [(row["name"], row["address"], row["post_code"]) for row in rows] == [
        ("Bea =Okafor", "1 High Street, London", "SW1A 1AA"),
        ("Cy", "", ""),
    ]
    assert rows[0]["family_name"] == "'=Okafor", "no cell is a formula"
    assert rows[1]["check"] == "the last four digits of your phone number"
    # They lapse on the 31st at ten, so that the 30th is the last day on which they surely work.
    assert (made["expires_at"], rows[0]["valid_until"]) == ("2026-05-31T10:00:00Z", "2026-05-30")
    assert rows[0]["link"].endswith(f"/links/claim#{rows[0]['code']}")
    again = await desk.post(f"/v1/staff/claim-batches/{made['id']}/csv")
    assert problem(again)[:2] == (409, "CLAIM_CLOSED"), "the list is written once"
    letters = await desk.post(f"/v1/staff/claim-batches/{made['id']}/letters")
    assert (letters.status_code, letters.headers["Content-Type"]) == (200, "application/pdf")
    assert rows[0]["code"] in read_pdf(letters.content)
    assert problem(await desk.post(f"/v1/staff/claim-batches/{made['id']}/letters"))[:2] == (409, "CLAIM_CLOSED")
    kept = " ".join([str(dict(row)) for row in await DB.fetch("select * from claim_code")])
    assert rows[0]["code"].replace("-", "") not in kept
    states = [one["state"] for one in (await desk.get(f"/v1/staff/customers/{bea['id']}/claim-codes"))["codes"]]
    assert states == ["live", "revoked"]
    shown = await desk.get(f"/v1/staff/customers/{cy['id']}")
    assert (shown["invitation"]["channel"], shown["invitation"]["state"]) == ("code", "handed_over")
    cashier = await world.staff_headers(Role.CASHIER)
    assert problem(await desk.post("/v1/staff/claim-batches", {}, headers=cashier))[:2] == (403, "NOT_PERMITTED")


async def test_a_batch_holds_whoever_gets_a_letter_of_it_and_nobody_else(world: World) -> None:
    desk = await ClaimDesk.open(world, Role.MANAGER)
    bea, cy = await desk.stub(), await desk.stub()
    # Hers is void, so that she gets a letter; his code is live, so that he gets none.
    await DB.fetch(
        "update claim_code set revoked_at = issued_at, revoked_reason = 'staff' where customer = $1", UUID(bea["id"])
    )
    async with asyncio.TaskGroup() as group, DB.transaction():
        made = await batches.make(world.ctx, None, reissue=False, most=None)
        can_have = {
            one["id"]: group.create_task(can_be_locked(UUID(one["id"])), context=contextvars.Context())
            for one in (bea, cy)
        }
        await asyncio.wait(can_have.values())
    assert made.codes == 1
    assert (can_have[bea["id"]].result(), can_have[cy["id"]].result()) == (False, True)


async def can_be_locked(customer_id: UUID) -> bool:
    """Return whether an act on a customer need not wait for somebody else's."""
    try:
        async with DB.transaction():
            await DB.fetch("set local lock_timeout = '200ms'")
            await lock_customers([customer_id])
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def test_a_letter_is_no_use_to_who_does_not_know_the_person(world: World) -> None:
    desk = await ClaimDesk.open(world, Role.MANAGER)
    stub = await desk.stub(phone="+44 20 7946 0123")
    made = await make_batch(desk, reissue=True)
    (row,) = await read_csv(desk, made["id"])
    thief = await world.sign_up("thief@shop.test", given_name="Tim", family_name="Thief")
    for answer in ({}, {"check": "Smith"}, {"check": "0124"}):
        assert problem(await desk.claim(thief, row["code"], **answer))[:2] == (409, "CLAIM_INVALID")
    assert await desk.causes(thief.customer_id) == ["wrong_check"] * 3
    bea = await world.sign_up("bea@shop.test", given_name="Bea")
    done = await desk.claimed(bea, row["code"], check="0123")
    assert (done["points"], await desk.balance(bea.customer_id)) == (12, 12)
    assert (await desk.get("/v1/staff/claim-batches"))["items"][0]["used"] == 1
    assert stub["card_number"] in done["cards"]


async def test_a_letter_that_is_tried_again_and_again_is_void(world: World) -> None:
    desk = await ClaimDesk.open(world, Role.MANAGER)
    await desk.stub()
    made = await make_batch(desk, reissue=True)
    (row,) = await read_csv(desk, made["id"])
    for number in range(5):
        thief = await world.sign_up(f"thief{number}@shop.test", family_name="Thief")
        assert problem(await desk.claim(thief, row["code"], check="Smith"))[:2] == (409, "CLAIM_INVALID")
    bea = await world.sign_up("bea@shop.test")
    assert problem(await desk.claim(bea, row["code"], check="Okafor"))[:2] == (409, "CLAIM_INVALID")
    assert await desk.causes(bea.customer_id) == ["revoked"]


async def test_lost_letters_are_void_and_late_files_are_not_written(world: World) -> None:
    desk = await ClaimDesk.open(world, Role.MANAGER)
    await desk.stub()
    made = await make_batch(desk, reissue=True)
    (row,) = await read_csv(desk, made["id"])
    gone = expect(await desk.post(f"/v1/staff/claim-batches/{made['id']}/revoke", {"reason": "lost in the post"}), 200)
    assert gone["revoked_at"] is not None
    bea = await world.sign_up("bea@shop.test")
    assert problem(await desk.claim(bea, row["code"], check="Okafor"))[:2] == (409, "CLAIM_INVALID")
    made = await make_batch(desk)
    await desk.wait(hours=25)
    assert problem(await desk.post(f"/v1/staff/claim-batches/{made['id']}/csv"))[:2] == (409, "CLAIM_CLOSED")


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("Okafor-Ðoe", True),
        (" okafor doe ", True),
        ("sw1a1aa", True),
        ("SW1A 1AA", True),
        ("0123", True),
        ("00123", False),
        ("123", False),
        ("Oka", False),
        ("", False),
        ("-", False),
    ],
)
def test_the_second_check_is_the_whole_of_one_thing_that_is_known(answer: str, is_right: bool) -> None:
    subject = Subject(
        status="active", family_name="Okafor Doe", post_code="SW1A 1AA", phone_key="+442079460123", is_taken=False,
        was_merged=False,
    )  # fmt: skip
    assert is_known_to(subject, (answer,)) is is_right
    unknown = Subject(status="active", family_name="", post_code="", phone_key=None, is_taken=False, was_merged=False)
    assert is_known_to(unknown, (answer,)), "where nothing is known, nothing is asked"


def test_letters_are_written_for_names_of_every_script_and_of_any_length() -> None:
    letters = [
        Letter(
            name=name, given_name=name, address="Sehr lange Straße 1, " * 14, post_code="80331", code="0123-4567-89AB-CDEF",
            link="https://rewards.test/links/claim#0123-4567-89AB-CDEF", page="https://rewards.test/links/claim",
            check="", valid_until=date(2026, 6, 1),
        )
        for name in ("Łukasz Żółć", "李小龙", "Ω" * 80, "(\\)<b>", "É" * 80)
    ]  # fmt: skip
    pdf = render_letters(letters, shop_name="Café", font=None)
    assert pdf.count(b"/Type /Page\n") == len(letters)
    assert "Lukasz" in read_pdf(pdf)


def read_pdf(content: bytes) -> str:
    """Return the texts of a PDF's pages, near enough to look for a word."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    texts = []
    for stream in streams:
        try:
            texts.append(zlib.decompress(stream).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(texts)
