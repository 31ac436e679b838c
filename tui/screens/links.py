"""A customer's POS records, and why purchases are missing, each reason with what puts it right."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, tzinfo
from enum import IntEnum
from functools import partial
from uuid import UUID

from textual.app import ComposeResult
from textual.widgets import Static

from shared.enums import Permission
from shared.links import (
    CustomerLinks,
    CycleAsked,
    CycleRequest,
    DoctorFix,
    Finding,
    LinkApproval,
    LinkMade,
    LinkPreview,
    LinkView,
)
from shared.members import Accepted
from shared.orders import StaffOrderDetail
from shared.staff import CustomerDetail
from tui.actions import BY_ID, Action
from tui.calls import call
from tui.client import Client
from tui.formatting import Cell, Row, full_name, points
from tui.link_words import effect_words, finding_row, link_notes, link_row, record_words, state_words
from tui.pages import Handlers, Page, bindings_for
from tui.safe import safe
from tui.screens.choosing import Chosen
from tui.screens.list_page import Listing, ListPage, ListTab
from tui.screens.reason import DecisionPage, Question
from tui.widgets.facts import TONE_STYLES
from tui.widgets.line_list import Column
from tui.wording import WHO_MAY, blocker_words


class Tab(IntEnum):
    """The lists in their order."""

    MISSING = 0
    RECORDS = 1


_MISSING = (Column("Why purchases are missing", -3), Column("What puts it right", -1))
_RECORDS = (
    Column("Record", 14),
    Column("State", 7),
    Column("How", -1),
    Column("Sales", 6, right=True),
    Column("Points", 8, right=True),
    Column("Since", 15, from_width=90),
)
_NEED_LINK = {"links.end", "links.approve"}
# What the service calls a fix that is a key of the customer's page.
_ON_CUSTOMER = {"join": "customer.join"}


class LinksPage(ListPage[Finding | LinkView]):
    """Enter puts a reason right, or tells more of a record."""

    PAGE = "links"
    CSS_PATH = "links.tcss"
    BINDINGS = bindings_for("links")
    TABS = (
        ListTab(
            title="Why missing",
            columns=_MISSING,
            empty="Nothing is missing that we know of: all purchases with the linked records count.",
        ),
        ListTab(title="POS records", columns=_RECORDS, empty="No POS record is linked. l links one."),
    )

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail
        self._who = full_name(detail.given_name, detail.family_name)
        self._held: CustomerLinks | None = None

    def compose_head(self) -> ComposeResult:
        yield Static(id="links-state")

    # Data -------------------------------------------------------------------------------------------------------------

    async def ask(self, client: Client, tab: int, cursor: str | None) -> Listing[Finding | LinkView]:
        """Ask for the records and for what is missing, at once: the line above is about both."""
        del cursor
        customer_id = self._detail.id
        held, diagnosis = await asyncio.gather(client.get_links(customer_id), client.diagnose_links(customer_id))
        self._held = held
        return Listing(items=diagnosis.findings if tab == Tab.MISSING else held.links)

    def show_head(self, *, now: datetime, zone: tzinfo) -> None:
        if self._held is not None:
            state = state_words(self._held, now=now, zone=zone)
            words = join_state(self._who, state)
            self.query_one("#links-state", Static).update(safe(words, TONE_STYLES[state.tone]))

    def row(self, item: Finding | LinkView, *, now: datetime, zone: tzinfo) -> Row:
        if isinstance(item, Finding):
            return finding_row(item, key=str(self.items.index(item)))
        return link_row(item, now=now, zone=zone)

    def notes(self, item: Finding | LinkView, *, now: datetime, zone: tzinfo) -> list[str]:
        if isinstance(item, LinkView):
            return link_notes(item, now=now, zone=zone)
        return [item.detail, *(["", f"Enter: {item.fix.label}"] if item.fix is not None else [])]

    def beside(self, item: Finding | LinkView, *, now: datetime, zone: tzinfo) -> list[str]:
        # In a narrow window a record's notes stand under its row, once it is opened.
        is_told = isinstance(item, Finding) or self.has_class("-extra-wide")
        return self.notes(item, now=now, zone=zone) if is_told else []

    def _link(self) -> LinkView | None:
        return self.current if isinstance(self.current, LinkView) else None

    def _finding(self) -> Finding | None:
        return self.current if isinstance(self.current, Finding) else None

    def chosen(self, key: str) -> None:
        del key
        self.console.perform("links.open")

    # Putting right ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        link, finding = self._link(), self._finding()
        if link is not None:
            super().chosen(str(link.id))
        elif finding is not None and finding.fix is not None:
            self._put_right(finding.fix)

    def _put_right(self, fix: DoctorFix) -> None:
        """Do what the service names, or say who may or where it is done."""
        ways: dict[str, tuple[Permission, Callable[[], None]]] = {
            "link": (Permission.LINK_MAKE, partial(self._link_record, fix.record_id)),
            "decide": (Permission.LINK_MAKE, partial(self._link_record, fix.record_id)),
            "invite": (Permission.CUSTOMER_INVITE, self._invite),
            "sync": (Permission.CYCLE_RUN, partial(ask_tills, self)),
            "assign": (Permission.ORDER_ASSIGN, partial(self._assign, fix.order_id)),
        }
        session = self.console.session
        assert session is not None
        way = ways.get(fix.action)
        if way is None:
            self._on_customer(fix)
        elif not session.may(way[0]):
            self.console.say(f"{fix.label}: {WHO_MAY[way[0]]}.", "warn")
        else:
            way[1]()

    def _on_customer(self, fix: DoctorFix) -> None:
        """Go back to the customer for what is done there."""
        action_id = _ON_CUSTOMER.get(fix.action, "")
        if action_id not in BY_ID:
            self.console.say(f"{fix.label}: this is done on the customer's page.", "warn")
            return
        console = self.console
        self.dismiss()
        console.call_after_refresh(console.perform, action_id)

    def _link_record(self, record_id: UUID | None = None) -> None:
        from tui.screens.link import LinkPage

        self.app.push_screen(LinkPage(self._detail, record_id=record_id))

    def _assign(self, order_id: UUID | None) -> None:
        assert order_id is not None, "the service names the sale of this fix"
        call(
            self,
            "order",
            lambda client: client.get_order(order_id),
            done=self._order_came,
            waiting="Looking the sale up…",
        )

    def _order_came(self, detail: StaffOrderDetail) -> None:
        from tui.screens.assign import AssignPage

        customer = Chosen(id=str(self._detail.id), name=self._who)
        self.app.push_screen(AssignPage(order=detail.order, customer=customer))

    def _invite(self) -> None:
        customer_id = self._detail.id
        call(
            self,
            "invite",
            lambda client: client.invite(customer_id),
            done=self._invited,
            is_write=True,
            waiting="Sending the invitation…",
        )

    def _invited(self, answer: Accepted) -> None:
        self.console.say(answer.detail or "The invitation is on its way.", "good")

    def _end(self) -> None:
        from tui.screens.unlink import UnlinkPage

        link = self._link()
        assert link is not None
        self.app.push_screen(UnlinkPage(link, name=self._who))

    def _approve(self) -> None:
        link = self._link()
        assert link is not None
        ask_approval(self, link, who=self._who, done=self._approved)

    def _approved(self, answer: LinkMade) -> None:
        self.console.say(approved_words(answer), "good")

    # The page ---------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"links.open": "Details"} if self.tab == Tab.RECORDS else {}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Find › {self._who} › POS records"

    def handlers(self) -> Handlers:
        return super().handlers() | {
            "links.open": self._open,
            "links.link": self._link_record,
            "links.end": self._end,
            "links.approve": self._approve,
            "links.sync": partial(ask_tills, self),
        }

    def unavailable(self, action_id: str) -> str | None:
        link, finding = self._link(), self._finding()
        if action_id == "links.open" and link is None:
            if finding is None:
                return "there is no row under the cursor"
            return None if finding.fix is not None else "nothing can be done about this one here"
        if action_id in _NEED_LINK and link is None:
            return "choose the record in tab 2 first"
        if action_id == "links.end" and link is not None and link.state == "ended":
            return "this link is over"
        if action_id == "links.approve" and link is not None and link.state != "waiting":
            return "this link does not wait for anybody"
        return None


def join_state(name: str, state: Cell) -> str:
    """Return the line above the lists."""
    return f" {name}: {state.text}"


def ask_tills(page: Page) -> None:
    """Let the service ask the tills at once for what is new."""

    def asked(answer: CycleAsked) -> None:
        tills = ", ".join(answer.connections)
        words = f"Asked for: {tills}. F5 shows what came." if tills else "There is no till system to ask."
        page.console.say(words, "good" if tills else "warn")
        page.refresh_data()

    call(
        page,
        "sync now",
        lambda client: client.run_cycle(CycleRequest()),
        done=asked,
        is_write=True,
        waiting="Asking the tills…",
    )


def ask_approval(page: Page, link: LinkView, *, who: str, done: Callable[[LinkMade], None]) -> None:
    """Look at what a link that a colleague asked for will bring, and ask whether it is approved."""

    def look(client: Client) -> Awaitable[LinkPreview]:
        return client.preview_link_approval(link.id)

    def ask_sure(preview: LinkPreview) -> None:
        asked = _approval(page, link, preview, who=who)
        if isinstance(asked, str):
            page.console.say(asked, "warn")
            return
        decision = DecisionPage(
            preview,
            question=lambda shown: _approval(page, link, shown, who=who),
            ask=look,
            send=lambda client, shown, typed, key: client.approve_link(
                link.id, LinkApproval(note=typed.reason, preview_hash=shown.preview_hash), key=key
            ),
            done=done,
        )
        page.app.push_screen(decision)

    call(page, "approval", look, done=ask_sure, waiting="Looking at what it will bring…")


def _approval(page: Page, link: LinkView, preview: LinkPreview, *, who: str) -> Question | str:
    """Return the question before a link is approved, or why it cannot be approved."""
    if preview.blockers or preview.effect is None:
        return f"This cannot be approved as things stand: {' '.join(map(blocker_words, preview.blockers))}"
    session = page.console.session
    assert session is not None
    return Question(
        title="Approve a link",
        crumb=f"{who} › Approve a link",
        facts=(
            ("Record", record_words(preview.record)),
            ("Customer", who),
            ("Asked by", link.linked_by or "a colleague"),
        ),
        sentences=(
            *preview.warnings,
            *effect_words(preview.effect, now=page.console.now(), zone=session.zone),
            "Both names are kept with it.",
        ),
        commit_words="Approve",
        waiting_words="Linking, and giving the sales their points…",
        needs_reason=False,
    )


def approved_words(answer: LinkMade) -> str:
    """Return what a link that was approved came to."""
    earned = answer.effect.points if answer.effect is not None else answer.link.points
    return f"{answer.link.external_id} is linked: {points(earned)} points."
