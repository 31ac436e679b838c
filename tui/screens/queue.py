"""What waits for a person: adjustments that need a second one, refunds that will not come right by waiting, and more."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, tzinfo
from enum import IntEnum
from functools import partial

from msgspec.structs import replace

from shared.adjustments import (
    AdjustmentDecision,
    AdjustmentRefusal,
    AdjustmentState,
    AdjustmentView,
)
from shared.orders import OrderDifference
from shared.refunds import RefundNote, RefundState, RefundView
from tui.client import Client
from tui.formatting import Row, points, signed
from tui.pages import Handlers, bindings_for
from tui.screens.choosing import Chosen
from tui.screens.list_page import Listed, Listing, ListPage, ListTab
from tui.screens.reason import DecisionPage, Question, ReasonPage
from tui.value_words import (
    REASONS,
    adjustment_notes,
    adjustment_row,
    can_take_back,
    change_words,
    difference_notes,
    difference_row,
    refund_notes,
    refund_row,
)
from tui.widgets.line_list import Column


class Tab(IntEnum):
    """The lists in their order."""

    WAITING = 0
    DECIDED = 1
    REFUNDS = 2
    DIFFERENCES = 3


_ADJUSTMENTS = (
    Column("When", 15),
    Column("Customer", -2),
    Column("Points", 9, right=True),
    Column("Reason", 12, from_width=70),
    Column("By", -1, from_width=70),
    Column("State", 10),
)
_REFUNDS = (
    Column("Arrived", 15),
    Column("Refund", -2),
    Column("Sale", -1, from_width=70),
    Column("Store", -1, from_width=90),
    Column("Points", 7, right=True),
    Column("State", 18),
)
_DIFFERENCES = (
    Column("Last seen", 15),
    Column("Sale", 12),
    Column("Paid", 13, right=True, from_width=70),
    Column("Counts for", -1),
    Column("Till names", -1),
)
_DECIDING = {"queue.approve", "queue.refuse"}
_DECIDED_MEANWHILE = "Somebody else has decided on this meanwhile, or it lapsed."


class QueuePage(ListPage[AdjustmentView | RefundView | OrderDifference]):
    """Lists of adjustments, refunds and differences; Enter says what each is about."""

    PAGE = "queue"
    BINDINGS = bindings_for("queue")
    TABS = (
        ListTab(title="To approve", columns=_ADJUSTMENTS, empty="Nothing waits for a second person."),
        ListTab(title="All adjustments", columns=_ADJUSTMENTS, empty="Nobody has given or taken points by hand yet."),
        ListTab(title="Refunds", columns=_REFUNDS, empty="No refunds yet."),
        ListTab(title="Tills differ", columns=_DIFFERENCES, empty="No till names another customer than staff did."),
    )

    def ask(
        self, client: Client, tab: int, cursor: str | None
    ) -> Awaitable[Listed[AdjustmentView] | Listed[RefundView] | Listed[OrderDifference]]:
        if tab == Tab.DIFFERENCES:
            return client.list_order_differences(cursor=cursor)
        if tab == Tab.REFUNDS:
            return self._ask_refunds(client, cursor)
        state = AdjustmentState.WAITING.value if tab == Tab.WAITING else ""
        return client.list_adjustments(state=state, cursor=cursor)

    async def _ask_refunds(self, client: Client, cursor: str | None) -> Listing[RefundView]:
        """Ask for refunds: first what needs a person, however long ago it came, then all others, newest first."""
        if cursor is not None:
            page = await client.list_refunds(cursor=cursor)
            known = {item.id for item in self.items if isinstance(item, RefundView)}
            return Listing(items=tuple(one for one in page.items if one.id not in known), next_cursor=page.next_cursor)
        page, waiting = await asyncio.gather(client.list_refunds(), client.list_refunds(needs_person=True))
        first = {one.id: one for one in waiting.items}
        rest = (one for one in page.items if one.id not in first)
        return Listing(items=(*first.values(), *rest), next_cursor=page.next_cursor)

    def row(self, item: AdjustmentView | RefundView | OrderDifference, *, now: datetime, zone: tzinfo) -> Row:
        if isinstance(item, OrderDifference):
            return difference_row(item, now=now, zone=zone)
        if isinstance(item, RefundView):
            return refund_row(item, now=now, zone=zone)
        return adjustment_row(item, now=now, zone=zone)

    def notes(self, item: AdjustmentView | RefundView | OrderDifference, *, now: datetime, zone: tzinfo) -> list[str]:
        if isinstance(item, OrderDifference):
            return difference_notes(item, now=now, zone=zone)
        if isinstance(item, RefundView):
            return refund_notes(item, now=now, zone=zone)
        return adjustment_notes(item, now=now, zone=zone)

    def _adjustment(self) -> AdjustmentView | None:
        return self.current if isinstance(self.current, AdjustmentView) else None

    def _refund(self) -> RefundView | None:
        return self.current if isinstance(self.current, RefundView) else None

    def _difference(self) -> OrderDifference | None:
        return self.current if isinstance(self.current, OrderDifference) else None

    # Deciding ---------------------------------------------------------------------------------------------------------

    def _approve(self) -> None:
        adjustment = self._adjustment()
        assert adjustment is not None
        self.app.push_screen(approve_page(adjustment, done=partial(self._told, "Approved")))

    def _refuse(self) -> None:
        adjustment = self._adjustment()
        assert adjustment is not None
        question = _question(
            adjustment,
            title="Refuse an adjustment",
            sentence="Nothing is posted. Who asked reads your reason.",
            commit_words="Refuse",
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.refuse_adjustment(
                adjustment.id, AdjustmentRefusal(reason=typed.reason)
            ),
            done=partial(self._told, "Refused"),
        )
        self.app.push_screen(page)

    def _undo(self) -> None:
        from tui.screens.take_back import UnadjustPage

        adjustment = self._adjustment()
        assert adjustment is not None
        self.app.push_screen(UnadjustPage(adjustment, crumb="Queue › Take back"))

    def _attach_sale(self) -> None:
        from tui.screens.returned import ReturnedPage

        refund = self._refund()
        assert refund is not None
        self.app.push_screen(ReturnedPage(refund))

    def _dismiss_or_reopen(self) -> None:
        refund = self._refund()
        assert refund is not None
        is_dismissed = refund.state is RefundState.DISMISSED
        question = Question(
            title="Take a refund up again" if is_dismissed else "Dismiss a refund",
            crumb="Queue › Refund",
            facts=(("Refund", refund.external_id), ("Store", refund.store_name)),
            sentences=(
                "It waits for its sale, or for a person, as it did before."
                if is_dismissed
                else "No points are taken back for it. It can be taken up again later.",
            ),
            commit_words="Take it up" if is_dismissed else "Dismiss",
            waiting_words="Settling the refund…",
        )
        self.app.push_screen(
            ReasonPage(
                question,
                send=lambda client, typed, _: (
                    client.reopen_refund(refund.id, RefundNote(reason=typed.reason))
                    if is_dismissed
                    else client.dismiss_refund(refund.id, RefundNote(reason=typed.reason))
                ),
                done=lambda answer: self.console.say(
                    f"{'Taken up again' if is_dismissed else 'Dismissed'}: {answer.external_id}.", "good"
                ),
            )
        )

    def _told(self, word: str, answer: AdjustmentView) -> None:
        words = f"{signed(answer.points)} for {answer.customer_name}, balance {points(answer.available)}."
        self.console.say(f"{word}: {words}", "good")

    def _give(self) -> None:
        from tui.screens.assign import AssignPage

        difference = self._difference()
        assert difference is not None
        named = Chosen(id=str(difference.named_customer_id), name=difference.named_customer_name)
        self.app.push_screen(AssignPage(order=difference.order, customer=named))

    def _open_customer(self) -> None:
        adjustment, difference = self._adjustment(), self._difference()
        if difference is not None:
            owner = difference.order
            self.console.open_customer(
                str(owner.customer_id or difference.named_customer_id),
                name=owner.customer_name or difference.named_customer_name,
            )
            return
        assert adjustment is not None
        self.console.open_customer(str(adjustment.customer_id), name=adjustment.customer_name)

    # The page -----------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Queue › {self.TABS[self.tab].title}"

    def handlers(self) -> Handlers:
        return super().handlers() | {
            "queue.approve": self._approve,
            "queue.refuse": self._refuse,
            "queue.undo": self._undo,
            "queue.customer": self._open_customer,
            "queue.attach": self._attach_sale,
            "queue.dismiss": self._dismiss_or_reopen,
            "queue.give": self._give,
        }

    def unavailable(self, action_id: str) -> str | None:
        if action_id in {"queue.attach", "queue.dismiss"}:
            return self._why_not_settled(action_id)
        if action_id == "queue.give" and self._difference() is None:
            return "choose a sale in tab 4 first"
        if action_id not in {*_DECIDING, "queue.undo", "queue.customer"}:
            return None
        if action_id == "queue.customer" and self._difference() is not None:
            return None
        adjustment = self._adjustment()
        if adjustment is None:
            return "there is none here"
        if action_id in _DECIDING and adjustment.state is not AdjustmentState.WAITING:
            return "this one does not wait any more"
        if action_id == "queue.undo" and not can_take_back(adjustment, now=self.console.now()):
            return "this one cannot be taken back any more"
        return None

    def _why_not_settled(self, action_id: str) -> str | None:
        refund = self._refund()
        if refund is None:
            return "choose a refund in tab 3 first"
        if refund.state is RefundState.POSTED:
            return "this one has had its effect"
        if action_id == "queue.attach" and refund.state is RefundState.DISMISSED:
            return "this one is dismissed; x takes it up again"
        return None


def adjustment_facts(adjustment: AdjustmentView) -> tuple[tuple[str, str], ...]:
    """Return an adjustment as the facts of a question."""
    facts = [
        ("Customer", adjustment.customer_name),
        ("Points", signed(adjustment.points)),
        ("Reason", REASONS[adjustment.reason_code]),
        ("Asked by", adjustment.requested_by),
    ]
    if adjustment.note:
        facts.append(("Note", adjustment.note))
    after = adjustment.available + adjustment.points
    if adjustment.state is AdjustmentState.WAITING and after >= 0 and not adjustment.deficit:
        facts.append(("Can spend", change_words(adjustment.available, after)))
    return tuple(facts)


def _question(
    adjustment: AdjustmentView, *, title: str, sentence: str, commit_words: str, needs_reason: bool = True
) -> Question:
    return Question(
        title=title,
        crumb=f"Queue › {commit_words}",
        facts=(*adjustment_facts(adjustment), *(("Why two", words) for words in adjustment.needs_second_person)),
        sentences=(sentence,),
        commit_words=commit_words,
        waiting_words="Sending the decision…",
        needs_reason=needs_reason,
    )


def approve_page(
    adjustment: AdjustmentView, *, done: Callable[[AdjustmentView], None]
) -> DecisionPage[AdjustmentView, AdjustmentView]:
    """Return the question before an adjustment is approved, which shows it anew when it has changed meanwhile."""

    def question(now: AdjustmentView) -> Question | str:
        if now.state is not AdjustmentState.WAITING or now.preview_hash is None:
            return _DECIDED_MEANWHILE
        sentence = "The points are posted at once, and both names are kept with them."
        return _question(
            now, title="Approve an adjustment", sentence=sentence, commit_words="Approve", needs_reason=False
        )

    return DecisionPage(
        adjustment,
        question=question,
        ask=lambda client: _look_again(client, adjustment),
        send=lambda client, shown, typed, key: client.approve_adjustment(
            shown.id,
            AdjustmentDecision(preview_hash=shown.preview_hash or "", note=typed.reason, password=typed.password),
            key=key,
        ),
        done=done,
    )


async def _look_again(client: Client, adjustment: AdjustmentView) -> AdjustmentView:
    """Return an adjustment as it stands now; as it was, but decided, when it waits no more."""
    waiting = await client.list_adjustments(state=AdjustmentState.WAITING, customer_id=adjustment.customer_id)
    found = next((one for one in waiting.items if one.id == adjustment.id), None)
    return found or replace(adjustment, state=AdjustmentState.LAPSED)
