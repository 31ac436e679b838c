"""Deciding on what may have changed since it was shown."""

import asyncio

import msgspec

from shared.problems import Code
from tests.tui.desk import signed_in
from tests.tui.fake import FakeService, Refusal
from tui.client import Client
from tui.errors import Refused
from tui.screens.danger import Danger
from tui.screens.reason import Answer, DecisionPage, Question


class Wish(msgspec.Struct, frozen=True):
    points: int


def question(wish: Wish) -> Question:
    danger = Danger(title="Sure?", words="For good.", code="", code_words="", commit_words="Approve")
    return Question(
        title="Approve", crumb="Approve", facts=(("Points", str(wish.points)),), sentences=(), commit_words="Approve",
        waiting_words="Approving…", needs_reason=False, danger=danger,
    )  # fmt: skip


async def test_nobody_decides_on_what_is_still_being_looked_at_anew() -> None:
    looked, sent, told = asyncio.Event(), list[int](), list[Wish]()

    async def ask(_: Client) -> Wish:
        await looked.wait()
        return Wish(125)

    async def send(_: Client, shown: Wish, typed: Answer, key: str) -> Wish:
        del typed, key
        sent.append(shown.points)
        if shown.points != 125:
            raise Refused(Refusal(Code.PREVIEW_STALE).problem)
        return shown

    async with signed_in(FakeService()) as till:
        till.console.push_screen(DecisionPage(Wish(120), question=question, ask=ask, send=send, done=told.append))
        await till.until(lambda: till.page == "reason")
        await till.press("ctrl+s", *"yes", "ctrl+s")
        await till.until(lambda: sent == [120])
        await till.until(lambda: till.page == "reason")
        await till.press("ctrl+s")
        assert till.page == "reason", "the old question is not asked again"
        looked.set()
        await till.shows("! was Points 120", "! now Points 125")
        await till.press("ctrl+s", *"yes", "ctrl+s")
        await till.until(lambda: told == [Wish(125)])
    assert sent == [120, 125]
