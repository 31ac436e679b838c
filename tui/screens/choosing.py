"""Choosing a customer inside a form: by scan, or by typing what the search understands."""

from functools import partial

import msgspec
from textual.app import ComposeResult
from textual.timer import Timer

from shared import limits
from shared.staff import CustomerHit, SearchResult
from tui.calls import call
from tui.errors import ConsoleError
from tui.formatting import points
from tui.forms import FormPage, form_row
from tui.widgets.field import Field

_NAMES_MAX = 3


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A customer that was chosen."""

    id: str
    name: str


def customer_row(label: str = "Customer") -> ComposeResult:
    """Yield the row in which the customer is typed or scanned."""
    yield from form_row(
        label, Field(id="customer", length_max=limits.SEARCH_LENGTH_MAX), beside="scan, or name, phone…"
    )


class CustomerChooser:
    """Looks up what stands in a form's customer field; never picks one of several people in silence."""

    def __init__(self, page: FormPage) -> None:
        self._page = page
        self._text = ""
        self._soon: Timer | None = None
        self.chosen: Chosen | None = None

    def typed(self) -> None:
        """Look the text up once nothing was typed for a moment."""
        text = self._page.text("customer")
        if text == self._text:
            return
        self._text, self.chosen = text, None
        if self._soon is not None:
            self._soon.stop()
        if len(text) >= limits.SEARCH_LETTERS_MIN:
            self._soon = self._page.set_timer(
                self._page.console.options.typing_pause_seconds, partial(self._look_up, text)
            )

    def _look_up(self, text: str) -> None:
        call(
            self._page,
            "customer",
            lambda client: client.search(text),
            done=partial(self._found, text),
            failed=self._not_found,
            waiting="Looking the customer up…",
        )

    def _found(self, text: str, result: SearchResult) -> None:
        if text != self._page.text("customer"):
            return
        exact = [hit for hit in result.items if hit.exact]
        hits = exact or list(result.items)
        if len(hits) == 1 and not (result.more and not exact):
            self._choose(hits[0])
        elif not hits:
            self._page.note("customer", "No customer matches.", "warn")
        else:
            names = "; ".join(_told(hit) for hit in hits[:_NAMES_MAX])
            more = "; …" if len(hits) > _NAMES_MAX or result.more else ""
            self._page.note("customer", f"{len(hits)} people match, type more or scan: {names}{more}", "warn")
        self.changed()

    def _choose(self, hit: CustomerHit) -> None:
        self.chosen = Chosen(id=str(hit.id), name=hit.name)
        self._page.note("customer", f"→ {_told(hit)}", "info")

    def _not_found(self, error: ConsoleError) -> None:
        self._text = ""  # The same text is looked up again when that is asked for.
        self._page.console.say_failure(error)

    def changed(self) -> None:
        """Tell the form that another customer, or none, is chosen."""
        preview_soon = getattr(self._page, "preview_soon", None)
        if preview_soon is not None:
            preview_soon()


def _told(hit: CustomerHit) -> str:
    """Return a hit with what tells it from a namesake."""
    telling = next(
        (
            words
            for words in (
                f"card …{hit.card_ending}" if hit.card_ending else "",
                hit.email_masked or "",
                f"phone …{hit.phone_ending}" if hit.phone_ending else "",
            )
            if words
        ),
        "no address",
    )
    return f"{hit.name} ({telling}, {points(hit.available)} points)"
