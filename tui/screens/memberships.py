"""Which of a customer's memberships their page shows, and how they come by a further one."""

from typing import TYPE_CHECKING
from uuid import UUID

from shared.members import MembershipView
from shared.staff import ProgrammeList
from tui.calls import call
from tui.formatting import main_membership
from tui.pages import Handlers

if TYPE_CHECKING:
    from tui.screens.customer import CustomerPage


class Memberships:
    """Keeps which programme was chosen; without a choice it is the one that a till cares about."""

    def __init__(self, page: "CustomerPage") -> None:
        self._page = page
        self._chosen: UUID | None = None

    @property
    def shown(self) -> MembershipView | None:
        """The membership whose points are shown and moved."""
        detail = self._page.detail
        if detail is None:
            return None
        chosen = (view for view in detail.memberships if view.id == self._chosen)
        return next(chosen, None) or main_membership(detail)

    def handlers(self) -> Handlers:
        """Return what the actions do."""
        return {"customer.programme": self._next, "customer.enrol": self._enrol}

    def why_not(self, action_id: str) -> str | None:
        """Return why another programme cannot be shown; None for every other action."""
        detail = self._page.detail
        if action_id == "customer.programme" and (detail is None or len(detail.memberships) < 2):
            return "this customer is in one programme"
        return None

    def _next(self) -> None:
        detail, shown = self._page.detail, self.shown
        assert detail is not None
        assert shown is not None, "offered where there are several"
        place = detail.memberships.index(shown)
        self._choose(detail.memberships[(place + 1) % len(detail.memberships)].id)
        self._page.show_header()
        self._page.show_tab(self._page.tab)

    def _choose(self, membership_id: UUID) -> None:
        self._chosen = membership_id
        self._page.drop_points()

    def _enrol(self) -> None:
        call(
            self._page,
            "programmes",
            lambda client: client.list_programmes(),
            done=self._open_form,
            waiting="Asking which programmes there are…",
        )

    def _open_form(self, programmes: ProgrammeList) -> None:
        from tui.screens.enrol import EnrolPage

        page, detail = self._page, self._page.detail
        assert detail is not None
        member_of = {view.programme_code for view in detail.memberships if view.status == "active"}
        further = [one for one in programmes.items if one.status == "active" and one.code not in member_of]
        if further:
            page.app.push_screen(EnrolPage(detail, further, done=self._choose), page.came_back)
        else:
            page.console.say("This customer is in every programme that takes members.", "info")
