"""What a customer's page does about other customers: points that are shared, and two who are one person."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from shared.duplicates import DuplicatePage
from shared.enums import Permission
from shared.members import MembershipView
from shared.merges import MergePage as MergeList
from shared.merges import MergeState, MergeView
from shared.sharing import SharedMembership, SharingOperationView, SharingUndone
from shared.staff import CustomerDetail, EmailChangeView
from tui.calls import call
from tui.formatting import Cell, counted, full_name, moment
from tui.merge_words import is_merge_undoable
from tui.pages import Handlers, Page
from tui.sharing_words import OPERATION_KEY, is_undoable

if TYPE_CHECKING:
    from tui.screens.customer import CustomerPage

ACTIONS = ("customer.share", "customer.join", "customer.leave", "customer.spending", "customer.merge")


Undoable = SharingOperationView | MergeView


class Together:
    """Opens the forms for joining, combining, leaving and merging, and knows what of it can be taken back."""

    def __init__(self, page: "CustomerPage") -> None:
        self._page = page
        self._merges: tuple[MergeView, ...] = ()
        self._last: Undoable | None = None  # What was done from this page last.
        self._pairs = 0
        self._led_from: tuple[UUID, str] | None = None  # Whose page was asked for, if that one was merged.

    # What is known ------------------------------------------------------------------------------------------------------

    def arrived(self, detail: CustomerDetail, *, asked_for: UUID, name: str) -> None:
        """Note the customer that came, who is another one than was asked for when that one was merged."""
        if detail.id != asked_for:
            self._led_from = (asked_for, name or "The customer you opened")
        if self._led_from is not None and self._led_from[0] not in detail.merged_from:
            self._led_from = None  # The merge was taken back meanwhile.
        session = self._page.console.session
        if detail.merged_from and session is not None and session.may(Permission.MERGE_READ):
            customer_id = detail.id
            call(
                self._page,
                "merges",
                lambda client: client.list_merges(customer_id=customer_id),
                done=self._merges_came,
                waiting="",
            )
        else:
            self._merges = ()
        self._pairs = 0
        if detail.status == "active" and session is not None and session.may(Permission.CUSTOMER_MERGE):
            # Nobody asked for this, so a failure leaves the notice out and says nothing.
            call(
                self._page,
                "duplicates",
                lambda client: client.list_duplicates(customer_id=detail.id),
                done=self._pairs_came,
                failed=lambda _: None,
                waiting="",
            )

    def _pairs_came(self, pairs: DuplicatePage) -> None:
        self._pairs = len(pairs.items)
        self._page.show_header()

    def _merges_came(self, merges: MergeList) -> None:
        self._merges = merges.items
        self._page.show_header()

    def forget_last(self) -> None:
        """Forget what was done last: it was taken back, or something else was done since."""
        self._last = None

    def notices(self) -> list[Cell]:
        """Return who was merged into this customer lately."""
        now, zone = self._page.console.now(), self._page.zone
        told = []
        if self._led_from is not None:
            detail = self._page.detail
            name = full_name(detail.given_name, detail.family_name) if detail else ""
            told.append(Cell(f"{self._led_from[1]} was merged and is now part of {name}.", "warn"))
        if self._pairs:
            told.append(Cell("Perhaps here twice: ^D shows who looks like the same person, m merges.", "warn"))
        for merge in self._merges:
            if is_merge_undoable(merge, now=now) and merge.undo_until is not None:
                until = moment(merge.undo_until, now=now, zone=zone)
                disputed = " Somebody says this is another person!" if merge.disputed_at else ""
                told.append(
                    Cell(
                        f"{merge.absorbed_name} is part of this customer; u undoes it until {until}.{disputed}", "muted"
                    )
                )
            elif merge.state is MergeState.WAITING:
                told.append(Cell(f"A merge with {merge.absorbed_name} waits for approval (^D).", "warn"))
        return told

    # Taking back --------------------------------------------------------------------------------------------------------

    def has_undoable(self, change: EmailChangeView | None) -> bool:
        """Return whether any of it can be taken back, besides an email change."""
        return self._find_undoable(change, adjusted=False) is not None

    def undo_page(self, change: EmailChangeView | None, *, adjusted: bool) -> Page | None:
        """Return the form that takes back what was done last; None where something else comes first.

        Args:
            change: The email change that can be taken back.
            adjusted: Whether there is an adjustment of just now that can be.
        """
        from tui.screens.take_back import UncombinePage, UnmergePage, undo_sharing_page

        found, name = self._find_undoable(change, adjusted=adjusted), self._page.as_chosen().name
        if found is None:
            return None
        if isinstance(found, MergeView):
            return UnmergePage(found, done=self.forget_last)
        assert found.membership_id is not None, "only those with one are found"
        if found.kind == "combine":
            return UncombinePage(name, found.membership_id, found, done=self.forget_last)
        at = moment(found.at, now=self._page.console.now(), zone=self._page.zone)
        return undo_sharing_page(name, found.membership_id, found, at=at, done=self._undone)

    def _undone(self, undone: SharingUndone) -> None:
        self.forget_last()
        count = len(undone.people)
        self._page.console.say(f"Taken back. {counted(count, 'person has', 'people have')} this membership.", "good")

    def _find_undoable(self, change: EmailChangeView | None, *, adjusted: bool) -> Undoable | None:
        """Return the row under the cursor, else what was done here last, else the latest of what is known."""
        now, session = self._page.console.now(), self._page.console.session
        if session is None:
            return None
        operations = self._operations(now) if session.may(Permission.MEMBERSHIP_SHARE) else []
        chosen = next((one for one in operations if f"{OPERATION_KEY}{one.id}" == self._page.current_key), None)
        if chosen is not None or self._last is not None or adjusted:
            return chosen or self._last
        merges = self._merges if session.may(Permission.CUSTOMER_MERGE) else ()
        found: list[tuple[datetime, Undoable]] = [(one.at, one) for one in operations]
        found += [(one.done_at, one) for one in merges if one.done_at and is_merge_undoable(one, now=now)]
        if not found:
            return None
        at, latest = max(found, key=lambda pair: pair[0])
        changed_at = (change.confirmed_at or change.requested_at) if change else None
        return None if changed_at is not None and changed_at > at else latest

    def _operations(self, now: datetime) -> list[SharingOperationView]:
        """Return the operations of the membership tab that can be taken back."""
        shown = self._page.membership
        operations = shown.shared.operations if shown and shown.shared else ()
        return [one for one in operations if one.membership_id is not None and is_undoable(one, now=now)]

    # The forms ----------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        """Return what the actions do."""
        return {
            "customer.share": partial(self._share, comes_in=False),
            "customer.join": partial(self._share, comes_in=True),
            "customer.leave": self._leave,
            "customer.spending": self._spending,
            "customer.merge": self._merge,
        }

    def _share(self, *, comes_in: bool) -> None:
        from tui.screens.share import SharePage

        view = self._view()
        own = view.id if view is not None and not comes_in else None
        page = SharePage(self._page.as_chosen(), own, done=self._done)
        self._page.app.push_screen(page, self._page.came_back)

    def _leave(self) -> None:
        from tui.screens.leave import LeavePage

        view = self._view()
        assert view is not None
        self._with_sharing(view, lambda shared: LeavePage(self._page.customer_id, view, shared, done=self._done))

    def _spending(self) -> None:
        from tui.screens.spending import SpendingPage

        view = self._view()
        assert view is not None
        self._with_sharing(view, lambda shared: SpendingPage(shared, name=self._page.as_chosen().name))

    def _with_sharing(self, view: MembershipView, form: Callable[[SharedMembership], Page]) -> None:
        """Open a form with who shares as it stands now: a colleague may have changed it meanwhile."""
        call(
            self._page,
            "sharing",
            lambda client: client.get_sharing(view.id),
            done=partial(self._open_sharing, form),
            waiting="Asking who shares…",
        )

    def _open_sharing(self, form: Callable[[SharedMembership], Page], shared: SharedMembership) -> None:
        if all(person.customer_id != self._page.customer_id for person in shared.people) or len(shared.people) < 2:
            self._page.console.say("Nobody shares these points any more.", "warn")
            self._page.refresh_data()
            return
        self._page.app.push_screen(form(shared), self._page.came_back)

    def _done(self, operation: SharingOperationView) -> None:
        self._last = operation

    def _merge(self) -> None:
        from tui.screens.merge import MergePage

        self._page.app.push_screen(MergePage(self._page.as_chosen(), done=self._merged), self._page.came_back)

    def _merged(self, merge: MergeView) -> None:
        self._last = merge if merge.state is MergeState.DONE else None

    def _view(self) -> MembershipView | None:
        return self._page.shown_membership

    def why_not(self, action_id: str, detail: CustomerDetail) -> str | None:
        """Return why one of the forms cannot be opened just now."""
        view = self._view()
        is_member = view is not None and view.status == "active"
        if action_id in {"customer.share", "customer.leave", "customer.spending"} and not is_member:
            return "this customer has no active membership"
        if action_id in {"customer.leave", "customer.spending"} and not detail.shared_with:
            return "nobody shares these points"
        return None
