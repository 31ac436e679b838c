"""What a customer's page does about POS records, claim codes and privacy: the forms it opens from there."""

from typing import TYPE_CHECKING

from tui.pages import Handlers

if TYPE_CHECKING:
    from tui.screens.customer import CustomerPage

_OVER = ("blocked", "merged", "erased")


class Records:
    """Opens the forms, and has the customer fetched again when they are left."""

    def __init__(self, page: "CustomerPage") -> None:
        self._page = page

    def handlers(self) -> Handlers:
        return {
            "customer.link": self._link,
            "customer.links": self._open_links,
            "customer.claims": self._open_claims,
            "customer.privacy": self._open_privacy,
        }

    def why_not(self, action_id: str) -> str | None:
        """Return why one of these cannot be done just now; None for every other action."""
        if action_id not in self.handlers():
            return None
        detail = self._page.detail
        if detail is None:
            return "the customer is not here yet"
        if action_id == "customer.link" and detail.status in _OVER:
            return f"this customer is {detail.status}"
        return None

    def _link(self) -> None:
        from tui.screens.link import LinkPage

        assert self._page.detail is not None
        self._page.app.push_screen(LinkPage(self._page.detail), self._came_back)

    def _open_links(self) -> None:
        from tui.screens.links import LinksPage

        assert self._page.detail is not None
        self._page.app.push_screen(LinksPage(self._page.detail), self._came_back)

    def _open_claims(self) -> None:
        from tui.screens.claims import ClaimsPage

        assert self._page.detail is not None
        self._page.app.push_screen(ClaimsPage(self._page.detail), self._came_back)

    def _open_privacy(self) -> None:
        from tui.screens.privacy import PrivacyPage

        assert self._page.detail is not None
        self._page.app.push_screen(PrivacyPage(self._page.detail), self._came_back)

    def _came_back(self, _: None) -> None:
        self._page.refresh_data()
