"""A customer's POS records, and why purchases are missing, each reason with what puts it right."""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from uuid import UUID

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from shared.enums import Permission
from shared.links import (
    CustomerLinks,
    CycleAsked,
    CycleRequest,
    DoctorFix,
    Finding,
    LinkApproval,
    LinkDiagnosis,
    LinkMade,
    LinkView,
)
from shared.members import Accepted
from shared.orders import StaffOrderDetail
from shared.staff import CustomerDetail
from tui.actions import BY_ID, Action
from tui.calls import call
from tui.client import Client
from tui.errors import ConsoleError
from tui.formatting import Cell, Row, full_name, points
from tui.link_words import finding_row, link_notes, link_row, state_words
from tui.pages import Handlers, Page, bindings_for
from tui.safe import lines, safe
from tui.screens.choosing import Chosen
from tui.screens.reason import Question, ReasonPage
from tui.widgets.facts import TONE_STYLES
from tui.widgets.line_list import Column, LineList
from tui.widgets.tab_line import TabLine
from tui.wording import WHO_MAY


class Tab(IntEnum):
    """The lists in their order."""

    MISSING = 0
    RECORDS = 1


TITLES = ("Why missing", "POS records")
_COLUMNS = (
    (Column("Why purchases are missing", -3), Column("What puts it right", -1)),
    (
        Column("Record", 14),
        Column("State", 7),
        Column("How", -1),
        Column("Sales", 6, right=True),
        Column("Points", 8, right=True),
        Column("Since", 15, from_width=90),
    ),
)
_EMPTY = (
    "Nothing is missing that we know of: all purchases with the linked records count.",
    "No POS record is linked. l links one.",
)
_NEED_LINK = {"links.end", "links.approve"}
# What the service calls a fix that is a key of the customer's page.
_ON_CUSTOMER = {"join": "customer.join"}


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched."""

    links: CustomerLinks
    diagnosis: LinkDiagnosis


async def fetch_links(client: Client, customer_id: UUID) -> Links:
    """Ask for the records and for what is missing, at once."""
    links, diagnosis = await asyncio.gather(client.get_links(customer_id), client.diagnose_links(customer_id))
    return Links(links=links, diagnosis=diagnosis)


class LinksPage(Page):
    """Enter puts a reason right, or tells more of a record."""

    PAGE = "links"
    CSS_PATH = "links.tcss"
    AUTO_FOCUS = "#rows"
    BINDINGS = bindings_for("links")

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail
        self._who = full_name(detail.given_name, detail.family_name)
        self._found: Links | None = None
        self._opened: set[str] = set()

    def compose_body(self) -> ComposeResult:
        yield Static(id="links-state")
        yield TabLine(TITLES)
        with Horizontal(id="links-found"):
            yield LineList(_COLUMNS[Tab.MISSING], id="rows")
            yield Static(id="detail")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        if self.console.session is not None:
            self.refresh_data()

    # Data -------------------------------------------------------------------------------------------------------------

    @property
    def tab(self) -> Tab:
        return Tab(self.query_one(TabLine).active)

    def refresh_data(self) -> None:
        customer_id = self._detail.id
        call(
            self,
            "links",
            lambda client: fetch_links(client, customer_id),
            done=self._came,
            waiting="Looking at the tills…",
        )

    def _came(self, found: Links) -> None:
        self._found = found
        self._show()

    def _show(self) -> None:
        session, found = self.console.session, self._found
        if session is None or found is None:
            return
        now, zone = self.console.now(), session.zone
        state = state_words(found.links, now=now, zone=zone)
        words = join_state(self._who, state)
        self.query_one("#links-state", Static).update(safe(words, TONE_STYLES[state.tone]))
        listed = self.query_one("#rows", LineList)
        listed.empty_words = _EMPTY[self.tab]
        if self.tab is Tab.MISSING:
            findings = found.diagnosis.findings
            listed.set_rows([finding_row(one, key=str(index)) for index, one in enumerate(findings)])
        else:
            listed.set_rows([row for link in found.links.links for row in self._link_rows(link)])
        self.frame_changed()

    def _link_rows(self, link: LinkView) -> list[Row]:
        session = self.console.session
        assert session is not None
        now, zone = self.console.now(), session.zone
        row = link_row(link, now=now, zone=zone)
        if row.key not in self._opened:
            return [row]
        notes = link_notes(link, now=now, zone=zone)
        return [
            row,
            *(Row(key=f"{row.key}/{index}", cells=(Cell(note),), is_note=True) for index, note in enumerate(notes)),
        ]

    def _link(self) -> LinkView | None:
        if self.tab is not Tab.RECORDS or self._found is None:
            return None
        key = self.query_one("#rows", LineList).current_key
        return next((link for link in self._found.links.links if str(link.id) == key), None)

    def _finding(self) -> Finding | None:
        if self.tab is not Tab.MISSING or self._found is None:
            return None
        key, findings = self.query_one("#rows", LineList).current_key, self._found.diagnosis.findings
        return findings[int(key)] if key is not None and int(key) < len(findings) else None

    @on(LineList.Highlighted, "#rows")
    def _highlighted(self) -> None:
        session, finding, link = self.console.session, self._finding(), self._link()
        if session is None:
            return
        told = [finding.detail] if finding is not None else []
        if finding is not None and finding.fix is not None:
            told += ["", f"Enter: {finding.fix.label}"]
        if link is not None:
            # In a narrow window they stand under the row, once it is opened.
            told = (
                [] if not self.has_class("-extra-wide") else link_notes(link, now=self.console.now(), zone=session.zone)
            )
        self.query_one("#detail", Static).update(lines(*map(safe, told)))
        self.frame_changed()

    @on(LineList.Chosen, "#rows")
    def _chosen(self) -> None:
        self.console.perform("links.open")

    def show_tab(self, index: int) -> None:
        """Show one of the lists."""
        self.query_one(TabLine).active = index % len(TITLES)
        self._opened.clear()
        listed = self.query_one("#rows", LineList)
        listed.set_columns(_COLUMNS[self.tab])
        listed.set_rows(())
        listed.focus()
        self._show()

    @on(TabLine.Picked)
    def _picked(self, message: TabLine.Picked) -> None:
        self.console.perform(f"links.tab{message.index + 1}")

    # Putting right ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        link, finding = self._link(), self._finding()
        if link is not None:
            self._opened ^= {str(link.id)}
            self._show()
        elif finding is not None and finding.fix is not None:
            self._put_right(finding.fix)

    def _put_right(self, fix: DoctorFix) -> None:
        """Do what the service names, or say who may or where it is done."""
        ways: dict[str, tuple[Permission, Callable[[], None]]] = {
            "link": (Permission.LINK_MAKE, partial(self._link_record, fix.record_id)),
            "decide": (Permission.LINK_MAKE, partial(self._link_record, fix.record_id)),
            "invite": (Permission.CUSTOMER_INVITE, self._invite),
            "sync": (Permission.CYCLE_RUN, self._sync),
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

    def _sync(self) -> None:
        call(
            self,
            "sync now",
            lambda client: client.run_cycle(CycleRequest()),
            done=self._asked,
            is_write=True,
            waiting="Asking the tills…",
        )

    def _asked(self, answer: CycleAsked) -> None:
        tills = ", ".join(answer.connections)
        self.console.say(f"Purchases are being fetched from {tills}. F5 shows what came.", "good")

    def _end(self) -> None:
        from tui.screens.unlink import UnlinkPage

        link = self._link()
        assert link is not None
        self.app.push_screen(UnlinkPage(link, name=self._who))

    def _approve(self) -> None:
        link = self._link()
        assert link is not None
        question = Question(
            title="Approve a link",
            crumb=f"{self._who} › Approve a link",
            facts=(
                ("Record", link.external_id),
                ("Customer", self._who),
                ("Asked by", link.linked_by or "a colleague"),
                ("Sales", points(link.orders_found)),
            ),
            sentences=("Its sales earn their points at once, and both names are kept with it.",),
            commit_words="Approve",
            waiting_words="Linking, and giving the sales their points…",
            needs_reason=False,
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, key: client.approve_link(link.id, LinkApproval(note=typed.reason), key=key),
            done=self._approved,
        )
        self.app.push_screen(page)

    def _approved(self, answer: LinkMade) -> None:
        earned = answer.effect.points if answer.effect is not None else answer.link.points
        self.console.say(f"{answer.link.external_id} is linked: {points(earned)} points.", "good")

    # The page ---------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"links.open": "Details"} if self.tab is Tab.RECORDS else {}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Find › {self._who} › POS records"

    def handlers(self) -> Handlers:
        tabs: Handlers = {f"links.tab{index + 1}": partial(self.show_tab, index) for index in range(len(TITLES))}
        return tabs | {
            "links.open": self._open,
            "links.link": self._link_record,
            "links.end": self._end,
            "links.approve": self._approve,
            "links.sync": self._sync,
            "links.tab_next": partial(self._step_tab, 1),
            "links.tab_back": partial(self._step_tab, -1),
            "app.back": self._back,
        }

    def _step_tab(self, step: int) -> None:
        self.show_tab(self.tab + step)

    def _back(self) -> None:
        if not self.console.stop_waiting(self):
            self.dismiss()

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

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        rows = self.query_one("#rows", LineList)
        if not rows.rows:
            rows.empty_words = "This could not be fetched. F5 asks again."


def join_state(name: str, state: Cell) -> str:
    """Return the line above the lists."""
    return f" {name}: {state.text}"
