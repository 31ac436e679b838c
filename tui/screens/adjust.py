"""Give or take points by hand: a signed number with a reason, and the service's preview of the balance after it."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.adjustments import AdjustmentPreview, AdjustmentRequest, AdjustmentState, AdjustmentView, AdjustReason
from shared.enums import Permission
from shared.members import MembershipView
from shared.staff import CustomerDetail
from tui.actions import Action
from tui.client import Client
from tui.formatting import full_name, last_day, points, signed, span
from tui.forms import form_row
from tui.pages import bindings_for
from tui.safe import join, lines, safe
from tui.screens.preview_form import PreviewForm
from tui.value_words import REASONS, change_words, parse_points
from tui.widgets.choice import NO_YES, Choice, Option
from tui.widgets.field import Field

_REASONS_WITH_NOTE = (AdjustReason.CORRECTION, AdjustReason.OTHER)
_HINT = "+50, -20; =300 for total"
_OPTIONS = tuple(Option(reason.value, words, words[0]) for reason, words in REASONS.items())


class AdjustPage(PreviewForm[AdjustmentRequest, AdjustmentPreview, AdjustmentView]):
    """Points, reason, note; balance before and after; above the limits it becomes a request to somebody else."""

    PAGE = "adjust"
    AUTO_FOCUS = "#points"
    BINDINGS = bindings_for("adjust")
    TITLE_WORDS = "Give or take points"
    WAITING_WORDS = "Posting the points…"

    def __init__(
        self, detail: CustomerDetail, membership: MembershipView, *, adjusted: Callable[[AdjustmentView], None]
    ) -> None:
        super().__init__()
        self._detail = detail
        self._adjusted = adjusted
        self._membership = membership
        self._available = membership.balance.available  # As far as is known; a preview may know better.

    def compose_form(self) -> ComposeResult:
        yield Static(id="now", classes="ahead")
        yield from form_row("Points", Field(id="points", length_max=12), beside=_HINT)
        yield Static(safe("Reason: its first letter chooses"), classes="ahead")
        yield Choice(_OPTIONS, value="", id="reason_code")
        yield Static(classes="note", id="note-reason_code")
        yield from form_row(
            "Note", Field(id="note", length_max=limits.REASON_LENGTH_MAX), beside="for put right and other"
        )
        yield from form_row("Show the note", Choice(NO_YES, value="no", id="visible"), beside="to the customer")

    def on_mount(self) -> None:
        self._show_now(held=self._membership.balance.held)
        super().on_mount()

    def _show_now(self, *, held: int) -> None:
        name = full_name(self._detail.given_name, self._detail.family_name)
        aside = f", {points(held)} of them set aside at a till" if held else ""
        now = join(
            (f"{name} has ", "$text-muted"),
            (points(self._available), "bold"),
            (f" {self._membership.unit_many}{aside}", "$text-muted"),
        )
        self.query_one("#now", Static).update(now)

    # What is asked for --------------------------------------------------------------------------------------------------

    def _delta(self) -> int | None:
        try:
            return parse_points(self.text("points"), available=self._available)
        except ValueError:
            return None

    def missing(self) -> dict[str, str]:
        missing: dict[str, str] = {}
        delta = self._delta()
        if delta is None:
            missing["points"] = "Type how many, like +50 or -20."
        elif delta == 0:
            missing["points"] = "This changes nothing."
        elif abs(delta) > limits.ADJUST_POINTS_MAX:
            missing["points"] = f"Not more than {points(limits.ADJUST_POINTS_MAX)} at a time."
        reason = self.answer("reason_code")
        if not reason:
            missing["reason_code"] = "Choose why."
        elif reason in _REASONS_WITH_NOTE and len(self.text("note")) < limits.ADJUST_NOTE_LENGTH_MIN:
            missing["note"] = f"This reason needs a note of {limits.ADJUST_NOTE_LENGTH_MIN} letters or more."
        return missing

    def wish(self) -> AdjustmentRequest | None:
        delta = self._delta()
        if delta is None or self.missing():
            return None
        return AdjustmentRequest(
            points=delta,
            reason_code=AdjustReason(self.answer("reason_code")),
            note=self.text("note"),
            visible=self.answer("visible") == "yes",
            membership_id=self._membership.id,
        )

    def edited(self, field_id: str) -> None:
        if field_id == "points":
            delta = self._delta()
            is_target = self.text("points").startswith("=")
            self.beside("points", f"that is {signed(delta)}" if is_target and delta is not None else _HINT)

    def ask(self, client: Client, wish: AdjustmentRequest) -> Awaitable[AdjustmentPreview]:
        return client.preview_adjustment(self._detail.id, wish)

    def send(self, client: Client, wish: AdjustmentRequest, preview: AdjustmentPreview) -> Awaitable[AdjustmentView]:
        confirmed = replace(wish, preview_hash=preview.preview_hash)
        return client.adjust_points(self._detail.id, confirmed, key=self.key)

    def _previewed(self, wish: AdjustmentRequest, preview: AdjustmentPreview) -> None:
        """Take over a balance that moved since the form was opened: a wanted total is reached from there."""
        if preview.balance.available != self._available:
            self._available = preview.balance.available
            self._show_now(held=preview.balance.held)
            self.edited("points")
            if wish != self.wish():
                self.preview_soon()
                return
        super()._previewed(wish, preview)

    # In words -----------------------------------------------------------------------------------------------------------

    def told(self, preview: AdjustmentPreview) -> Content:
        session = self.console.session
        assert session is not None
        before = preview.balance
        told: list[Content] = []
        if preview.needs_second_person:
            told.append(join(("! Somebody else must approve this before anything changes:", "bold $warning")))
            told += [join((f"    {words}", "$warning")) for words in preview.needs_second_person]
        told.append(_line("Change", signed(preview.points)))
        told.append(_line("Can spend", change_words(before.available, preview.available_after)))
        if before.held:
            fewer = "; fewer would be left" if preview.available_after < before.held else ""
            told.append(_line("Set aside", f"{points(before.held)} for a sale that is being paid{fewer}"))
        if before.pending or preview.pending_after:
            told.append(_line("Pending", change_words(before.pending, preview.pending_after)))
        if before.deficit or preview.deficit_after:
            told.append(_line("Owed", change_words(before.deficit, preview.deficit_after)))
        if preview.expires_at is not None:
            told.append(_line("Good", last_day(preview.expires_at, now=self.console.now(), zone=session.zone)))
        told.append(_line("Your limit", _limit_words(preview)))
        return lines(*told)

    def applied(self, answer: AdjustmentView) -> None:
        if answer.state is AdjustmentState.WAITING:
            self.console.say(
                f"Asked for: {signed(answer.points)} for {answer.customer_name}. Nothing has changed yet; "
                "somebody else must approve it.",
                "warn",
            )
        else:
            session = self.console.session
            is_manager = session is not None and session.may(Permission.POINTS_APPROVE)
            time_left = span(limits.ADJUST_UNDO if is_manager else limits.ADJUST_UNDO_OWN)
            words = f"{signed(answer.points)} for {answer.customer_name}, balance {points(answer.available)}."
            self.console.say(f"{words} u takes it back ({time_left}).", "good")
        self._adjusted(answer)
        self.dismiss()

    # The page -----------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        needs = self.preview is not None and self.has_preview() and self.preview.needs_second_person
        words = {"form.commit": "Ask for approval" if needs else "Post"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Find › {full_name(self._detail.given_name, self._detail.family_name)} › Points"


def _limit_words(preview: AdjustmentPreview) -> str:
    each = f"{points(preview.each_max)} at a time, " if preview.each_max else ""
    return f"{each}{points(preview.today_left)} left in these 24 hours"


def _line(label: str, value: str) -> Content:
    return join((f"  {label:<11}", "$text-muted"), (value, "bold"))
