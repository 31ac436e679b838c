"""Corrections of proven addresses that are out of reach: what waits for a second person, or for its time."""

from collections.abc import Awaitable
from datetime import datetime, tzinfo
from enum import IntEnum

from shared.staff import EmailOverrideDecision, EmailOverrideState, EmailOverrideView, Undo
from tui.calls import call
from tui.client import Client
from tui.formatting import NOTHING, Cell, Row, moment
from tui.pages import Handlers, bindings_for
from tui.screens.list_page import Listed, ListPage, ListTab
from tui.screens.reason import DecisionPage, Question, ReasonPage
from tui.widgets.line_list import Column
from tui.wording import blocker_words

_COLUMNS = (
    Column("Asked for", 15, from_width=70),
    Column("Customer", -2),
    Column("New address", -2),
    Column("Asked by", -1, from_width=90),
    Column("State", 11),
    Column("When", 17),
)
_STATES: dict[EmailOverrideState, Cell] = {
    EmailOverrideState.WAITING: Cell("needs a yes", "warn"),
    EmailOverrideState.DELAYED: Cell("will happen", "warn"),
    EmailOverrideState.DONE: Cell("done", "good"),
    EmailOverrideState.CANCELLED: Cell("cancelled", "muted"),
    EmailOverrideState.LAPSED: Cell("lapsed", "muted"),
}
_OPEN = (EmailOverrideState.WAITING, EmailOverrideState.DELAYED)


class Tab(IntEnum):
    """The lists in their order."""

    WAITING = 0
    ALL = 1


class OverridesPage(ListPage[EmailOverrideView]):
    """Lists of corrections; Enter says what each is about."""

    PAGE = "overrides"
    BINDINGS = bindings_for("overrides")
    TABS = (
        ListTab(title="To approve", columns=_COLUMNS, empty="No email correction waits for a second person."),
        ListTab(title="All", columns=_COLUMNS, empty="Nobody has lost a proven address yet."),
    )

    def ask(self, client: Client, tab: int, cursor: str | None) -> Awaitable[Listed[EmailOverrideView]]:
        state = EmailOverrideState.WAITING.value if tab == Tab.WAITING else ""
        return client.list_email_overrides(state=state, cursor=cursor)

    def row(self, item: EmailOverrideView, *, now: datetime, zone: tzinfo) -> Row:
        when = {EmailOverrideState.WAITING: item.lapses_at, EmailOverrideState.DELAYED: item.execute_after}
        at = when.get(item.state) or item.approved_at
        return Row(
            key=str(item.id),
            cells=(
                Cell(moment(item.requested_at, now=now, zone=zone)),
                Cell(item.customer_name or NOTHING),
                Cell(item.new_email or NOTHING),
                Cell(item.requested_by or NOTHING),
                _STATES[item.state],
                Cell(moment(at, now=now, zone=zone) if at is not None else NOTHING),
            ),
        )

    def notes(self, item: EmailOverrideView, *, now: datetime, zone: tzinfo) -> list[str]:
        told = [f"From {item.old_email or NOTHING} to {item.new_email or NOTHING}", f"Reason: {item.reason}"]
        if item.approved_by is not None and item.approved_at is not None:
            told.append(f"Approved by {item.approved_by}, {moment(item.approved_at, now=now, zone=zone)}")
        if item.state is EmailOverrideState.WAITING:
            told.append("a approves it; nothing happens before.")
        if item.state is EmailOverrideState.DELAYED and item.execute_after is not None:
            at = moment(item.execute_after, now=now, zone=zone)
            told.append(f"Changes by itself on {at}; c, or the link that the old address got, stops it.")
        if item.failed_because is not None:
            told.append(f"It could not be done: {blocker_words(item.failed_because)}")
        return told

    # Deciding ---------------------------------------------------------------------------------------------------------

    def _approve(self) -> None:
        """Fetch the wish as it stands now, with what it will do."""
        override = self.current
        assert override is not None
        call(
            self,
            "override",
            lambda client: client.get_email_override(override.id),
            done=self._ask_sure,
            waiting="Looking at what it will do…",
        )

    def _ask_sure(self, override: EmailOverrideView) -> None:
        asked = _approval(override)
        if isinstance(asked, str):
            self.console.say(asked, "warn")
            self.refresh_data()
            return
        page = DecisionPage(
            override,
            question=_approval,
            ask=lambda client: client.get_email_override(override.id),
            send=lambda client, shown, typed, key: client.approve_email_override(
                shown.id,
                EmailOverrideDecision(
                    preview_hash=shown.preview.preview_hash if shown.preview else "",
                    note=typed.reason,
                    password=typed.password,
                ),
                key=key,
            ),
            done=lambda _: self.console.say("Approved. It changes in 3 days, unless somebody stops it.", "good"),
        )
        self.app.push_screen(page)

    def _cancel(self) -> None:
        override = self.current
        assert override is not None
        question = Question(
            title="Cancel an email correction",
            crumb="Email corrections › Cancel",
            facts=_facts(override),
            sentences=("The address stays as it is. It can be asked for again.",),
            commit_words="Cancel it",
            waiting_words="Cancelling…",
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, key: client.undo_email_change(override.id, Undo(reason=typed.reason), key=key),
            done=lambda _: self.console.say("Cancelled. The address stays as it is.", "good"),
        )
        self.app.push_screen(page)

    def _open_customer(self) -> None:
        override = self.current
        assert override is not None
        self.console.open_customer(str(override.customer_id), name=override.customer_name)

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return "Email corrections"

    def handlers(self) -> Handlers:
        return super().handlers() | {
            "overrides.approve": self._approve,
            "overrides.cancel": self._cancel,
            "overrides.customer": self._open_customer,
        }

    def unavailable(self, action_id: str) -> str | None:
        state = self.current.state if self.current is not None else None
        match action_id:
            case "overrides.approve" if state is not EmailOverrideState.WAITING:
                return "choose one that needs a yes"
            case "overrides.cancel" if state not in _OPEN:
                return "choose one that has not happened yet"
            case "overrides.customer" if state is None:
                return "there is no customer to open"
            case _:
                return None


def _facts(override: EmailOverrideView) -> tuple[tuple[str, str], ...]:
    return (
        ("Customer", override.customer_name or "without a name"),
        ("Address now", override.old_email),
        ("New address", override.new_email),
        ("Asked by", override.requested_by),
        ("Reason", override.reason),
    )


def _approval(override: EmailOverrideView) -> Question | str:
    """Return the question before a correction is approved, or why it cannot be approved any more."""
    if override.state is not EmailOverrideState.WAITING or override.preview is None:
        return "Somebody else has decided on this meanwhile, or it lapsed."
    if override.preview.blockers:
        return f"This cannot be approved as things stand: {override.preview.blockers[0]}"
    return Question(
        title="Approve an email correction",
        crumb="Email corrections › Approve",
        facts=_facts(override),
        sentences=(*override.preview.warnings, *override.preview.effects),
        commit_words="Approve",
        waiting_words="Approving…",
        needs_reason=False,
    )
