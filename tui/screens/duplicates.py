"""Customers who may be there twice, with what speaks for it and against it; and the merges that were made or asked for."""

from collections.abc import Awaitable
from datetime import datetime, tzinfo
from enum import IntEnum
from functools import partial

from shared.duplicates import DuplicateDismissal, DuplicateState, DuplicateView
from shared.merges import MergeDecision, MergeRefusal, MergeState, MergeView
from tui.calls import call
from tui.client import Client
from tui.formatting import Row, counted, points
from tui.merge_words import (
    NEEDS,
    duplicate_notes,
    duplicate_row,
    is_merge_undoable,
    merge_row,
    merge_view_notes,
    ordered,
)
from tui.pages import Handlers, bindings_for
from tui.screens.choosing import Chosen
from tui.screens.list_page import Listed, ListPage, ListTab
from tui.screens.reason import DecisionPage, Question, ReasonPage
from tui.widgets.line_list import Column


class Tab(IntEnum):
    """The lists in their order."""

    OPEN = 0
    DISMISSED = 1
    WAITING = 2
    MERGES = 3


_PAIRS = (
    Column("Score", 5, right=True),
    Column("One", -2),
    Column("The other", -2),
    Column("Why", -4),
    Column("By", -1, from_width=110),
)
_MERGES = (
    Column("When", 15),
    Column("Kept", -2),
    Column("Folded in", -2),
    Column("Asked by", -1, from_width=70),
    Column("State", 10),
)
_ON_PAIRS = {"duplicates.merge", "duplicates.dismiss"}
_ON_MERGES = {"duplicates.approve", "duplicates.refuse", "duplicates.undo"}
_STATES = {Tab.OPEN: DuplicateState.OPEN, Tab.DISMISSED: DuplicateState.DISMISSED}


class DuplicatesPage(ListPage[DuplicateView | MergeView]):
    """Four lists; what is known of the row under the cursor stands beside or below them."""

    PAGE = "duplicates"
    CSS_PATH = "duplicates.tcss"
    BINDINGS = bindings_for("duplicates")
    TABS = (
        ListTab(title="Duplicates", columns=_PAIRS, empty="Nobody seems to be there twice."),
        ListTab(title="Not the same", columns=_PAIRS, empty="No pair was said to be two people."),
        ListTab(title="To approve", columns=_MERGES, empty="No merge waits for a second person."),
        ListTab(title="All merges", columns=_MERGES, empty="No merges yet."),
    )

    def ask(self, client: Client, tab: int, cursor: str | None) -> Awaitable[Listed[DuplicateView] | Listed[MergeView]]:
        if tab in _STATES:
            return client.list_duplicates(state=_STATES[Tab(tab)], cursor=cursor)
        return client.list_merges(state=MergeState.WAITING if tab == Tab.WAITING else "", cursor=cursor)

    def row(self, item: DuplicateView | MergeView, *, now: datetime, zone: tzinfo) -> Row:
        return duplicate_row(item) if isinstance(item, DuplicateView) else merge_row(item, now=now, zone=zone)

    def notes(self, item: DuplicateView | MergeView, *, now: datetime, zone: tzinfo) -> list[str]:
        if isinstance(item, DuplicateView):
            return duplicate_notes(item, now=now, zone=zone)
        return merge_view_notes(item, now=now, zone=zone)

    def _pair(self) -> DuplicateView | None:
        return self.current if isinstance(self.current, DuplicateView) else None

    def _merge(self) -> MergeView | None:
        return self.current if isinstance(self.current, MergeView) else None

    def chosen(self, key: str) -> None:
        del key  # What there is to say stands beside or below the list already.
        self.console.perform("duplicates.merge" if self.tab in _STATES else "duplicates.customer")

    # Deciding on pairs ------------------------------------------------------------------------------------------------

    def _open_merge(self) -> None:
        from tui.screens.merge import MergePage

        pair = self._pair()
        assert pair is not None
        keep, fold = (Chosen(id=str(person.id), name=person.name) for person in ordered(pair))
        self.app.push_screen(MergePage(keep, fold, in_order=True))

    def _dismiss(self) -> None:
        pair = self._pair()
        assert pair is not None
        if pair.state is DuplicateState.DISMISSED:
            call(
                self,
                "reopen",
                lambda client: client.reopen_duplicate(pair.id),
                done=partial(self._decided, "They are looked at again."),
                is_write=True,
            )
            return
        question = Question(
            title="Not the same person",
            crumb="Duplicates › Not the same",
            facts=(("One", pair.one.name), ("The other", pair.other.name)),
            sentences=("The pair is remembered and does not come back. It can be looked at again later.",),
            commit_words="Two people",
            waiting_words="Remembering it…",
            needs_reason=False,
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.dismiss_duplicate(pair.id, DuplicateDismissal(note=typed.reason)),
            done=partial(self._decided, "Remembered: these are two people."),
        )
        self.app.push_screen(page)

    def _decided(self, words: str, pair: DuplicateView) -> None:
        del pair
        self.console.say(words, "good")
        self.refresh_data()

    # Deciding on merges -----------------------------------------------------------------------------------------------

    def _approve(self) -> None:
        """Ask how the merge stands now: what it does may have changed since it was asked for."""
        merge = self._merge()
        assert merge is not None
        call(self, "merge", lambda client: client.get_merge(merge.id), done=self._ask_approval)

    def _ask_approval(self, merge: MergeView) -> None:
        asked = _approval(merge)
        if isinstance(asked, str):
            self.console.say(asked, "warn")
            return
        page = DecisionPage(
            merge,
            question=_approval,
            ask=lambda client: client.get_merge(merge.id),
            send=lambda client, shown, typed, key: client.approve_merge(
                shown.id, MergeDecision(preview_hash=shown.preview_hash, note=typed.reason), key=key
            ),
            done=partial(self._told, "Approved"),
        )
        self.app.push_screen(page)

    def _refuse(self) -> None:
        merge = self._merge()
        assert merge is not None
        question = Question(
            title="Refuse a merge",
            crumb="Duplicates › Refuse",
            facts=_facts(merge),
            sentences=("Nothing changes. Who asked reads your reason.",),
            commit_words="Refuse",
            waiting_words="Sending the decision…",
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.refuse_merge(merge.id, MergeRefusal(reason=typed.reason)),
            done=partial(self._told, "Refused"),
        )
        self.app.push_screen(page)

    def _told(self, word: str, merge: MergeView) -> None:
        self.console.say(f"{word}: {merge.absorbed_name} into {merge.survivor_name}.", "good")
        self.refresh_data()

    def _undo(self) -> None:
        from tui.screens.take_back import UnmergePage

        merge = self._merge()
        assert merge is not None
        self.app.push_screen(UnmergePage(merge))

    def _open_customer(self) -> None:
        pair, merge = self._pair(), self._merge()
        if pair is not None:
            keep, _ = ordered(pair)
            self.console.open_customer(str(keep.id), name=keep.name)
        elif merge is not None:
            self.console.open_customer(str(merge.survivor_id), name=merge.survivor_name)

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Duplicates › {self.TABS[self.tab].title}" if self.tab else "Duplicates"

    def handlers(self) -> Handlers:
        return super().handlers() | {
            "duplicates.merge": self._open_merge,
            "duplicates.dismiss": self._dismiss,
            "duplicates.approve": self._approve,
            "duplicates.refuse": self._refuse,
            "duplicates.undo": self._undo,
            "duplicates.customer": self._open_customer,
        }

    def unavailable(self, action_id: str) -> str | None:
        pair, merge = self._pair(), self._merge()
        if action_id in _ON_PAIRS and pair is None:
            return "choose a pair in tab 1 first"
        if action_id == "duplicates.customer" and pair is None and merge is None:
            return "there is none here"
        if action_id not in _ON_MERGES:
            return None
        if merge is None:
            return "choose a merge in tab 3 or 4 first"
        if action_id == "duplicates.undo":
            return (
                None if is_merge_undoable(merge, now=self.console.now()) else "this one cannot be taken back any more"
            )
        return None if merge.state is MergeState.WAITING else "this one does not wait any more"


def _approval(merge: MergeView) -> Question | str:
    """Return the question before a merge is approved, or why it cannot be approved any more."""
    effect = merge.effect
    if merge.state is not MergeState.WAITING:
        return "Somebody else has decided on this meanwhile, or it lapsed."
    if effect is None:
        return "This merge cannot be carried out as things stand. Refuse it, or let it lapse."
    along = (
        counted(effect.orders, "sale", "sales"),
        counted(effect.vouchers, "voucher", "vouchers"),
        counted(len(effect.cards), "card", "cards"),
    )
    facts = (
        *_facts(merge),
        ("Points", f"{points(effect.available_after)} together"),
        ("Comes along", ", ".join(along)),
    )
    return Question(
        title="Approve a merge",
        crumb="Duplicates › Approve",
        facts=facts,
        sentences=("The two become one at once; it can be taken back for 30 days. Both names are kept with it.",),
        commit_words="Approve",
        waiting_words="Merging…",
        needs_reason=False,
    )


def _facts(merge: MergeView) -> tuple[tuple[str, str], ...]:
    """Return a merge as the facts of a question."""
    facts = [("Kept", merge.survivor_name), ("Folded in", merge.absorbed_name)]
    facts += [("Asked by", merge.requested_by or "nobody"), ("Reason", merge.reason)]
    return (*facts, *(("Why two", NEEDS.get(need, need.value)) for need in merge.needs))
