"""Somebody leaves a shared membership and takes points along: their own, none, a number, or an equal part."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from shared.members import MembershipView
from shared.sharing import (
    LeavePolicy,
    Leaving,
    Left,
    SharedMembership,
    SharingOperationView,
    SharingPerson,
    SplitPreview,
)
from tui.actions import Action
from tui.client import Client
from tui.formatting import counted
from tui.forms import form_row
from tui.obstacles import obstacles
from tui.pages import bindings_for
from tui.safe import fit, join, lines, safe
from tui.screens.preview_form import PreviewForm
from tui.screens.why import OTHER, missing_why, read_why, why_rows
from tui.sharing_words import and_names, named, split_words
from tui.widgets.choice import NO_YES, Choice, Option
from tui.widgets.field import Field
from tui.wording import blocker_words

_OWN = Option("own", "what they brought", "w")
_NONE = Option("none", "none", "n")
_EQUAL = Option("equal", "equal part", "e")
_GIVE = Option("give", "give", "g")
_REASONS = (Option("Wishes a membership of their own", "own wish", "w"), Option("Moved out", "moved out", "m"), OTHER)
_NAME_CELLS = 16
_OWNERS_MAX = 9


class LeavePage(PreviewForm[Leaving, SplitPreview, Left]):
    """Which points go along, who owns the membership then, that all were asked, and why."""

    PAGE = "leave"
    BINDINGS = bindings_for("leave")
    TITLE_WORDS = "Leave a shared membership"
    WAITING_WORDS = "Dividing the points…"
    AUTO_FOCUS = "#policy"
    FIELD_OF = {"new_owner_id": "owner"}

    def __init__(
        self,
        customer_id: UUID,
        view: MembershipView,
        shared: SharedMembership,
        *,
        done: Callable[[SharingOperationView], None],
    ) -> None:
        super().__init__()
        self._leaver = next(person for person in shared.people if person.customer_id == customer_id)
        self._others = [person for person in shared.people if person.customer_id != customer_id]
        self._view = view
        self._people = shared.people
        self._done = done

    def compose_form(self) -> ComposeResult:
        yield Static(
            safe(f"{self._leaver.name} leaves {and_names([one.name for one in self._others])}.", "bold"),
            classes="ahead",
        )
        yield from form_row("Takes along", Choice((_OWN, _NONE, _EQUAL, _GIVE), value=_OWN.value, id="policy"))
        yield from form_row("Points", Field(id="points", length_max=12), beside="for give: how many")
        if self._leaver.role == "owner":
            owners = tuple(map(_as_option, range(1, _OWNERS_MAX + 1), self._others))
            first = owners[0].value if len(owners) == 1 else ""
            yield from form_row("Next owner", Choice(owners, value=first, id="owner"))
        yield from form_row("All agreed", Choice(NO_YES, value="no", id="agreed"), beside="only if you asked them")
        yield from why_rows(_REASONS)

    # What is asked for --------------------------------------------------------------------------------------------------

    def _points(self) -> int | None:
        """Return how many points are given: a number that was typed, or an equal part."""
        if self.answer("policy") == _EQUAL.value:
            balance = self._view.balance
            return (balance.available + balance.pending) // len(self._people)
        typed = self.text("points").replace(",", "").replace(" ", "")
        return int(typed) if typed.isascii() and typed.isdigit() else None

    def _policy(self) -> tuple[LeavePolicy, int | None]:
        policy = self.answer("policy")
        if policy == _OWN.value:
            return LeavePolicy.CONTRIBUTION, None
        count = self._points() if policy in {_EQUAL.value, _GIVE.value} else None
        # An equal part of too few points is none.
        return (LeavePolicy.AGREED, count) if count else (LeavePolicy.LEAVE_ALL, None)

    def _owner(self) -> UUID | None:
        chosen = self.answer("owner") if self._leaver.role == "owner" else ""
        return UUID(chosen) if chosen else None

    def _lacks(self) -> dict[str, str]:
        """Return what is missing for a preview."""
        lacks = dict(missing_why(self))
        if self.answer("policy") == _GIVE.value and not self._points():
            lacks["points"] = "Type how many points, like 150."
        if self._leaver.role == "owner" and self._owner() is None:
            lacks["owner"] = "Choose who owns the membership then."
        return lacks

    def missing(self) -> dict[str, str]:
        missing = self._lacks()
        is_blocked = self.preview is not None and self.has_preview() and bool(self.preview.blockers)
        if self.answer("agreed") != "yes" and not is_blocked:
            missing["agreed"] = f"Ask {self._asked()}, and say yes here for them."
        return missing

    def _asked(self) -> str:
        preview = self.preview
        if preview is None or not self.has_preview():
            return self._leaver.name
        return named(preview.must_agree, {person.customer_id: person.name for person in self._people})

    def wish(self) -> Leaving | None:
        """Return what is previewed; that they agreed is asked for when it is carried out."""
        if self._lacks():
            return None
        policy, count = self._policy()
        return Leaving(
            customer_id=self._leaver.customer_id,
            policy=policy,
            points=count,
            new_owner_id=self._owner(),
            reason=read_why(self),
        )

    def ask(self, client: Client, wish: Leaving) -> Awaitable[SplitPreview]:
        return client.preview_leave(self._view.id, wish)

    def send(self, client: Client, wish: Leaving, preview: SplitPreview) -> Awaitable[Left]:
        agreed = replace(wish, agreed_by=preview.must_agree, preview_hash=preview.preview_hash)
        return client.leave_membership(self._view.id, agreed, key=self.key)

    # In words -----------------------------------------------------------------------------------------------------------

    def blockers(self, preview: SplitPreview) -> tuple[str, ...]:
        return tuple(map(blocker_words, preview.blockers))

    def told(self, preview: SplitPreview) -> Content:
        session = self.console.session
        told = obstacles(preview.blockers, ())
        if preview.effect is None or session is None:
            return lines(*told)
        told.append(join(("Must agree: ", "$text-muted"), (self._asked(), "bold")))
        told += split_words(
            preview.effect,
            staying=and_names([one.name for one in self._others]),
            going=self._leaver.name,
            now=self.console.now(),
            zone=session.zone,
        )
        told += obstacles((), preview.warnings)
        return lines(*told, safe("· It can be taken back for 30 days."))

    def applied(self, answer: Left) -> None:
        taken = counted(answer.effect.going.available, "point", "points")
        self.console.say(f"Left with {taken}, card {answer.card_number}. u takes it back.", "good")
        self._done(
            SharingOperationView(
                id=answer.operation_id,
                kind="leave",
                at=self.console.now(),
                points=answer.effect.going.available,
                customer_id=self._leaver.customer_id,
                other_membership_id=answer.new_membership_id,
                undo_until=answer.undo_until,
                membership_id=answer.membership_id,
            )
        )
        self.dismiss()

    # The page -----------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Leave"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._leaver.name} › Leave"

    def scan_words(self) -> str:
        return "A scan does nothing here."

    def take_scan(self, code: str) -> None:
        del code
        self.console.say("The scan was not used. Finish this or leave it with Esc first.", "warn")


def _as_option(number: int, person: SharingPerson) -> Option:
    return Option(str(person.customer_id), fit(person.name, _NAME_CELLS).rstrip(), str(number))
