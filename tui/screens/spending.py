"""Who of a shared membership may spend its points, and how many a day."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from shared import limits
from shared.sharing import RedeemPolicy, RedeemPolicyChange, SharedMembership
from tui.actions import Action
from tui.calls import call
from tui.formatting import counted, points
from tui.forms import form_row
from tui.pages import bindings_for
from tui.safe import safe
from tui.screens.confirmed_form import ConfirmedForm
from tui.sharing_words import and_names, policy_words
from tui.widgets.choice import Choice, Option
from tui.widgets.field import Field

_POLICIES = (
    Option(RedeemPolicy.ANYONE.value, "everybody", "e"),
    Option(RedeemPolicy.OWNER.value, "owner only", "o"),
    Option(RedeemPolicy.DAILY_CAP.value, "so much a day", "d"),
)


class SpendingPage(ConfirmedForm):
    """Opened with how it stands; what changes is said before it is saved."""

    PAGE = "spending"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#policy"
    BINDINGS = bindings_for("spending")
    FIELD_OF = {"daily_points": "points"}

    def __init__(self, shared: SharedMembership, *, name: str) -> None:
        super().__init__()
        self._shared = shared
        self._name = name

    def compose_body(self) -> ComposeResult:
        names = and_names([person.name for person in self._shared.people])
        limited = [person for person in self._shared.people if person.daily_limit is not None]
        with Vertical(id="spending-box", classes="box form manager"):
            yield Static(safe(f"These share the points: {names}."), classes="ahead")
            for person in limited:
                most = counted(person.daily_limit or 0, "point", "points")
                words = f"{person.name} wants at most {most} spent a day by their card; that stays."
                yield Static(safe(words, "$text-muted"), classes="ahead")
            yield Static(classes="gap")
            yield from form_row("May spend", Choice(_POLICIES, value=self._shared.redeem_policy, id="policy"))
            yield from form_row("Points a day", Field(id="points", length_max=9), beside="for so much a day: each")
            yield from form_row("Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX))
            yield Static(id="changes")

    def on_mount(self) -> None:
        self.query_one("#spending-box").border_title = "Who may spend the common points"
        if self._shared.daily_points is not None:
            self.put("points", str(self._shared.daily_points))
        super().on_mount()

    def commit(self) -> None:
        self.clear_notes()
        policy = RedeemPolicy(self.answer("policy"))
        daily = self.read("points", _read_points) if policy is RedeemPolicy.DAILY_CAP else None
        reason = self.read_reason()
        if wrong := self.wrong():
            self.show_errors(wrong)
            return
        before = policy_words(self._shared.redeem_policy, self._shared.daily_points)
        after = policy_words(policy, daily)
        if before == after:
            self.console.say("Nothing was changed.", "info")
            return
        if not self.confirms([f"May spend: {before} → {after}", "Nobody's points change."]):
            return
        change = RedeemPolicyChange(policy=policy, daily_points=daily, reason=reason)
        membership_id = self._shared.membership_id
        self.sent()
        call(
            self,
            "spending",
            lambda client: client.put_redeem_policy(membership_id, change),
            done=self._changed,
            failed=self.save_failed,
            is_write=True,
            waiting="Saving…",
        )

    def _changed(self, shared: SharedMembership) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"May spend now: {policy_words(shared.redeem_policy, shared.daily_points)}.", "good")
        self.dismiss()

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Save"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._name} › Who may spend"


def _read_points(text: str) -> int:
    """Read how many points a day.

    Raises:
        ValueError: It is no number above zero, or more than anybody has.
    """
    digits = text.replace(",", "").replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) <= limits.POINTS_MAX):
        raise ValueError(f"Type how many points each may spend a day, 1 to {points(limits.POINTS_MAX)}.")
    return int(digits)
