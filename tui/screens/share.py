"""Two customers come to share their points: one joins the other, or two memberships become one.

Which of the two it is nobody has to know: the service says who has a membership of their own.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from shared.sharing import Combined, CombinePreview, Combining, Joined, Joining, JoinPreview, SharingOperationView
from tui.actions import Action
from tui.client import Client
from tui.formatting import main_membership, points
from tui.forms import form_row
from tui.obstacles import obstacles
from tui.pages import bindings_for
from tui.safe import join, lines, safe
from tui.screens.choosing import Chosen, CustomerChooser, customer_row
from tui.screens.danger import Danger, make_sure
from tui.screens.preview_form import PreviewForm
from tui.screens.why import OTHER, missing_why, read_why, why_rows
from tui.sharing_words import combine_words, join_words, named
from tui.widgets.choice import NO_YES, Choice, Option
from tui.widgets.field import Field
from tui.wording import blocker_words

_REASONS = (
    Option("One household", "one household", "h"),
    Option("Asked for it together", "asked together", "t"),
    OTHER,
)


class Sharing(msgspec.Struct, frozen=True, kw_only=True):
    """Who comes to whom, and why."""

    host: Chosen
    guest: Chosen
    reason: str


class SharingPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen: a joining, or with `combine` two memberships that become one.

    `membership_id` is the one that is kept; None where the host has none.
    """

    membership_id: UUID | None
    joining: JoinPreview | None = None
    combine: CombinePreview | None = None

    @property
    def must_agree(self) -> tuple[UUID, ...]:
        """Everybody who has to say yes."""
        shown = self.combine or self.joining
        return shown.must_agree if shown is not None else ()

    @property
    def blockers(self) -> tuple[str, ...]:
        """What stands against it."""
        if self.joining is None:
            return ("Who has no membership cannot take anybody in. Start on the other customer.",)
        return (self.combine or self.joining).blockers


class SharePage(PreviewForm[Sharing, SharingPreview, Joined | Combined]):
    """Whom to share with, that all were asked, and why.

    With a membership the other one comes into it; without, the customer comes into the other's.
    """

    PAGE = "share"
    BINDINGS = bindings_for("share")
    WAITING_WORDS = "Bringing the points together…"
    AUTO_FOCUS = "#customer"

    def __init__(
        self,
        customer: Chosen,
        membership_id: UUID | None,
        *,
        done: Callable[[SharingOperationView], None],
    ) -> None:
        super().__init__()
        self._customer = customer
        self._membership_id = membership_id
        self._comes_in = membership_id is None
        self._done = done
        self._chooser = CustomerChooser(self)
        self.TITLE_WORDS = (
            "Join another customer's membership" if self._comes_in else "Share points with another customer"
        )

    def compose_form(self) -> ComposeResult:
        words = (
            f"{self._customer.name} comes into the membership of:"
            if self._comes_in
            else f"Into the membership of {self._customer.name} comes:"
        )
        yield Static(safe(words, "bold"), classes="ahead")
        yield from customer_row("Other one")
        yield from form_row("All agreed", Choice(NO_YES, value="no", id="agreed"), beside="only if you asked them")
        yield from why_rows(_REASONS)

    # What is asked for --------------------------------------------------------------------------------------------------

    def edited(self, field_id: str) -> None:
        if field_id == "customer":
            self._chooser.typed()

    def ask_anew(self) -> None:
        self._chooser.typed()

    def values(self) -> dict[str, str]:
        return super().values() | {"chosen": self._chooser.chosen.id if self._chooser.chosen else ""}

    def wish(self) -> Sharing | None:
        """Return what is previewed; that they agreed is asked for when it is carried out."""
        other = self._chooser.chosen
        if other is None or other.id == self._customer.id or missing_why(self):
            return None
        host, guest = (other, self._customer) if self._comes_in else (self._customer, other)
        return Sharing(host=host, guest=guest, reason=read_why(self))

    def missing(self) -> dict[str, str]:
        missing = dict(missing_why(self))
        other = self._chooser.chosen
        if other is None:
            missing["customer"] = "Scan or type whom to share with."
        elif other.id == self._customer.id:
            missing["customer"] = "This is the same customer. Choose another one."
        if self.answer("agreed") != "yes" and not self._is_blocked():
            missing["agreed"] = f"Ask {self._asked()}, and say yes here for them."
        return missing

    def _is_blocked(self) -> bool:
        return self.preview is not None and self.has_preview() and bool(self.preview.blockers)

    def _asked(self) -> str:
        """Return the names of everybody who has to agree."""
        wish, preview = self.wish(), self.preview
        if wish is None or preview is None or not self.has_preview():
            return "both of them"
        return named(preview.must_agree, _names(wish, preview))

    def ask(self, client: Client, wish: Sharing) -> Awaitable[SharingPreview]:
        return _preview(client, wish, self._membership_id)

    def send(self, client: Client, wish: Sharing, preview: SharingPreview) -> Awaitable[Joined | Combined]:
        membership_id, joining, combine = preview.membership_id, preview.joining, preview.combine
        assert membership_id is not None
        assert joining is not None
        if combine is None:
            body = Joining(
                customer_id=UUID(wish.guest.id),
                agreed_by=joining.must_agree,
                reason=wish.reason,
                preview_hash=joining.preview_hash,
            )
            return client.join_membership(membership_id, body, key=self.key)
        assert joining.existing is not None
        combining = Combining(
            other_membership_id=joining.existing.membership_id,
            agreed_by=combine.must_agree,
            reason=wish.reason,
            preview_hash=combine.preview_hash,
        )
        return client.combine_memberships(membership_id, combining, key=self.key)

    def confirmed(self) -> None:
        """Ask once more before two memberships become one; a joining moves no points."""
        wish, preview = self.wish(), self.preview
        assert wish is not None
        assert preview is not None
        if preview.combine is None or preview.combine.effect is None:
            self.send_now()
            return
        effect = preview.combine.effect
        assert preview.joining is not None
        existing = preview.joining.existing
        danger = Danger(
            title="Combine two memberships",
            words=f"The membership of {wish.guest.name} ({points(effect.other_before.available)} points) becomes a part of "
            f"that of {wish.host.name}: {points(effect.after.available)} points for all of them.",
            code=(existing.card_number if existing else None) or "",
            code_words=f"the card of {wish.guest.name}:",
            commit_words="Combine",
        )
        make_sure(self, danger, self.send_now)

    # In words -----------------------------------------------------------------------------------------------------------

    def blockers(self, preview: SharingPreview) -> tuple[str, ...]:
        return tuple(blocker_words(blocker) for blocker in preview.blockers)

    def told(self, preview: SharingPreview) -> Content:
        wish, session = self.wish(), self.console.session
        if wish is None or session is None or preview.joining is None:
            return lines(*obstacles(preview.blockers))
        if preview.combine is None:
            told = join_words(preview.joining, host=wish.host.name, guest=wish.guest.name)
        else:
            told = combine_words(
                preview.combine,
                host=wish.host.name,
                guest=wish.guest.name,
                ahead={person.customer_id for person in preview.joining.people},
                now=self.console.now(),
                zone=session.zone,
            )
        if preview.blockers:
            return told
        agree = join(("Must agree: ", "$text-muted"), (named(preview.must_agree, _names(wish, preview)), "bold"))
        return lines(agree, told)

    def applied(self, answer: Joined | Combined) -> None:
        balance = answer.account if isinstance(answer, Joined) else answer.effect.after
        what = f"Joined, card {answer.card_number}" if isinstance(answer, Joined) else "Combined"
        self.console.say(f"{what}: {points(balance.available)} common points. u takes it back.", "good")
        self._done(
            SharingOperationView(
                id=answer.operation_id,
                kind="join" if isinstance(answer, Joined) else "combine",
                at=self.console.now(),
                points=0 if isinstance(answer, Joined) else answer.effect.other_before.available,
                customer_id=answer.customer_id if isinstance(answer, Joined) else None,
                other_membership_id=None,
                undo_until=answer.undo_until,
                membership_id=answer.membership_id,
            )
        )
        self.dismiss()

    # The page -----------------------------------------------------------------------------------------------------------

    def bar_actions(self) -> list[tuple[Action, str]]:
        is_combining = self.preview is not None and self.preview.combine is not None and self.has_preview()
        words = {"form.commit": "Combine…" if is_combining else "Share"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._customer.name} › {'Join' if self._comes_in else 'Share'}"

    def scan_words(self) -> str:
        return "A scanned card chooses the other customer."

    def take_scan(self, code: str) -> None:
        self.query_one("#customer", Field).value = code
        self.query_one("#agreed").focus()


async def _preview(client: Client, wish: Sharing, membership_id: UUID | None) -> SharingPreview:
    """Ask what joining would do and, where the guest has a membership, what combining would do."""
    if membership_id is None:
        host = main_membership(await client.get_customer(UUID(wish.host.id)))
        if host is None or host.status != "active":
            return SharingPreview(membership_id=None)
        membership_id = host.id
    joining = await client.preview_join(membership_id, Joining(customer_id=UUID(wish.guest.id), reason=wish.reason))
    existing = joining.existing
    if existing is None or existing.action != "combine":
        return SharingPreview(membership_id=membership_id, joining=joining)
    combining = Combining(other_membership_id=existing.membership_id, reason=wish.reason)
    combine = await client.preview_combine(membership_id, combining)
    return SharingPreview(membership_id=membership_id, joining=joining, combine=combine)


def _names(wish: Sharing, preview: SharingPreview) -> dict[UUID, str]:
    """Return the names of everybody who is known here."""
    people = preview.joining.people if preview.joining else ()
    if preview.combine is not None and preview.combine.effect is not None:
        people = (*people, *preview.combine.effect.people)
    known = {person.customer_id: person.name for person in people}
    return known | {UUID(one.id): one.name for one in (wish.host, wish.guest)}
