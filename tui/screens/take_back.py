"""Two memberships, or two customers, are two again: what comes back and what was used since, before it is done."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from shared.adjustments import AdjustmentUndo, AdjustmentUndoPreview, AdjustmentView
from shared.merges import MergeUndo, MergeUndone, MergeUndoPreview, MergeView
from shared.sharing import SharingOperationView, SharingUndo, SharingUndone, SplitPreview
from tui.actions import Action
from tui.client import Client
from tui.formatting import counted, points, signed
from tui.obstacles import obstacles
from tui.pages import bindings_for
from tui.safe import lines, safe
from tui.screens.preview_form import AnswerT, PreviewForm, PreviewT, WishT
from tui.screens.reason import Question, ReasonPage
from tui.screens.why import OTHER, missing_why, read_why, why_rows
from tui.sharing_words import split_words
from tui.value_words import REASONS, change_words
from tui.widgets.choice import Option
from tui.wording import blocker_words

_REASONS = (Option("Done by mistake", "a mistake", "m"), Option("Not wanted after all", "not wanted", "n"), OTHER)


class TakeBackPage(PreviewForm[WishT, PreviewT, AnswerT]):
    """What taking back shares, whatever is taken back: a reason, what it does, and Ctrl+S."""

    PAGE = "take-back"
    BINDINGS = bindings_for("take-back")
    WAITING_WORDS = "Taking it back…"
    AUTO_FOCUS = "#why"

    def __init__(self, crumb: str, words: str, *, done: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._crumb = crumb
        self._what = words
        self._done = done

    def leave(self, words: str) -> None:
        """Say what it came to and go back."""
        self.console.say(words, "good")
        if self._done is not None:
            self._done()
        self.dismiss()

    def compose_form(self) -> ComposeResult:
        yield Static(safe(self._what, "bold"), classes="ahead")
        yield from why_rows(_REASONS)

    def missing(self) -> dict[str, str]:
        return missing_why(self)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Take it back"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return self._crumb

    def scan_words(self) -> str:
        return "A scan does nothing here."

    def take_scan(self, code: str) -> None:
        del code
        self.console.say("The scan was not used. Finish this or leave it with Esc first.", "warn")


class UncombinePage(TakeBackPage[SharingUndo, SplitPreview, SharingUndone]):
    """One membership becomes two again."""

    TITLE_WORDS = "Take a combination back"

    def __init__(
        self, name: str, membership_id: UUID, operation: SharingOperationView, *, done: Callable[[], None] | None = None
    ) -> None:
        words = f"The two memberships that became one with {name} are two again."
        super().__init__(f"{name} › Take back", words, done=done)
        self._name = name
        self._membership_id = membership_id
        self._operation = operation

    def wish(self) -> SharingUndo | None:
        return None if missing_why(self) else SharingUndo(reason=read_why(self))

    def ask(self, client: Client, wish: SharingUndo) -> Awaitable[SplitPreview]:
        return client.preview_undo_combine(self._membership_id, self._operation.id, wish)

    def send(self, client: Client, wish: SharingUndo, preview: SplitPreview) -> Awaitable[SharingUndone]:
        body = SharingUndo(reason=wish.reason, preview_hash=preview.preview_hash)
        return client.undo_sharing("combine", self._membership_id, self._operation.id, body, key=self.key)

    def blockers(self, preview: SplitPreview) -> tuple[str, ...]:
        return tuple(map(blocker_words, preview.blockers))

    def told(self, preview: SplitPreview) -> Content:
        session = self.console.session
        told = obstacles(preview.blockers, preview.warnings)
        if preview.effect is not None and session is not None:
            told += split_words(
                preview.effect,
                staying="this membership",
                going="The other one",
                now=self.console.now(),
                zone=session.zone,
            )
        return lines(*told)

    def applied(self, answer: SharingUndone) -> None:
        effect = answer.effect
        words = f" {points(effect.staying.available)} and {points(effect.going.available)} points." if effect else ""
        self.leave(f"Taken back: two memberships again.{words}")


class UnmergePage(TakeBackPage[MergeUndo, MergeUndoPreview, MergeUndone]):
    """One customer becomes two again."""

    TITLE_WORDS = "Take a merge back"

    def __init__(self, merge: MergeView, *, done: Callable[[], None] | None = None) -> None:
        words = f"{merge.absorbed_name} and {merge.survivor_name} are two customers again."
        super().__init__(f"{merge.survivor_name} › Take back", words, done=done)
        self._merge = merge

    def wish(self) -> MergeUndo | None:
        return None if missing_why(self) else MergeUndo(reason=read_why(self))

    def ask(self, client: Client, wish: MergeUndo) -> Awaitable[MergeUndoPreview]:
        return client.preview_undo_merge(self._merge.id, wish)

    def send(self, client: Client, wish: MergeUndo, preview: MergeUndoPreview) -> Awaitable[MergeUndone]:
        body = MergeUndo(reason=wish.reason, preview_hash=preview.preview_hash)
        return client.undo_merge(self._merge.id, body, key=self.key)

    def blockers(self, preview: MergeUndoPreview) -> tuple[str, ...]:
        return tuple(map(blocker_words, preview.blockers))

    def told(self, preview: MergeUndoPreview) -> Content:
        session, effect, merge = self.console.session, preview.effect, self._merge
        told = obstacles(preview.blockers, preview.warnings)
        if effect is None or session is None:
            return lines(*told)
        for split in effect.split:
            told += split_words(
                split, staying=merge.survivor_name, going=merge.absorbed_name, now=self.console.now(), zone=session.zone
            )
        if effect.memberships_back:
            told.append(
                safe(f"· {counted(len(effect.memberships_back), 'membership goes', 'memberships go')} back whole")
            )
        told.append(safe(f"· {counted(effect.orders_back, 'sale goes', 'sales go')} back to {merge.absorbed_name}"))
        if effect.cards and not effect.split:
            told.append(safe(f"· Card {', '.join(effect.cards)} is {merge.absorbed_name}'s again"))
        return lines(*told)

    def applied(self, answer: MergeUndone) -> None:
        short = f" {points(answer.effect.shortfall)} points had been used." if answer.effect.shortfall else ""
        self.leave(f"Taken back: {self._merge.absorbed_name} is a customer again.{short}")


class UnadjustPage(TakeBackPage[AdjustmentUndo, AdjustmentUndoPreview, AdjustmentView]):
    """Points that were given or taken by hand go the other way round."""

    TITLE_WORDS = "Take back an adjustment"

    def __init__(self, adjustment: AdjustmentView, *, crumb: str, done: Callable[[], None] | None = None) -> None:
        reason = REASONS[adjustment.reason_code]
        super().__init__(crumb, f"{signed(adjustment.points)} for {adjustment.customer_name}, {reason}", done=done)
        self._adjustment = adjustment

    def wish(self) -> AdjustmentUndo | None:
        return None if missing_why(self) else AdjustmentUndo(reason=read_why(self))

    def ask(self, client: Client, wish: AdjustmentUndo) -> Awaitable[AdjustmentUndoPreview]:
        return client.preview_adjustment_undo(self._adjustment.id, wish)

    def send(self, client: Client, wish: AdjustmentUndo, preview: AdjustmentUndoPreview) -> Awaitable[AdjustmentView]:
        body = AdjustmentUndo(reason=wish.reason, preview_hash=preview.preview_hash)
        return client.undo_adjustment(self._adjustment.id, body, key=self.key)

    def told(self, preview: AdjustmentUndoPreview) -> Content:
        now = preview.adjustment
        told = [safe(f"· Can spend {change_words(now.available, preview.available_after)}")]
        if now.pending != preview.pending_after:
            told.append(safe(f"· Pending {change_words(now.pending, preview.pending_after)}"))
        if now.deficit != preview.deficit_after:
            told.append(safe(f"· Owed {change_words(now.deficit, preview.deficit_after)}"))
        if preview.points_exempt:
            lapsed = counted(preview.points_exempt, "point has", "points have")
            told.append(safe(f"· {lapsed} lapsed since, and nobody loses them twice"))
        told.append(safe("· Both movements stay in the history"))
        return lines(*told)

    def applied(self, answer: AdjustmentView) -> None:
        words = f"{signed(answer.points)} for {answer.customer_name}, balance {points(answer.available)}."
        self.leave(f"Taken back: {words}")


def undo_sharing_page(
    name: str,
    membership_id: UUID,
    operation: SharingOperationView,
    *,
    at: str,
    done: Callable[[SharingUndone], None],
) -> ReasonPage[SharingUndone]:
    """Return the question before a joining or a leaving is taken back; it moves what it moved the other way."""
    is_join = operation.kind == "join"
    sentence = (
        "The person is out again; the card stops scanning. It works only while they have earned and spent nothing here."
        if is_join
        else "The person comes back, with all that their own membership holds by now."
    )
    question = Question(
        title="Take a joining back" if is_join else "Take a leaving back",
        crumb=f"{name} › Take back",
        facts=(("Done", at), ("Points", points(operation.points))),
        sentences=(sentence, "Everybody in the membership is told."),
        commit_words="Take it back",
        waiting_words="Taking it back…",
    )
    return ReasonPage(
        question,
        send=lambda client, typed, key: client.undo_sharing(
            operation.kind, membership_id, operation.id, SharingUndo(reason=typed.reason), key=key
        ),
        done=done,
    )
