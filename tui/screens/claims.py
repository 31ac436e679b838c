"""Claim codes of a customer: making one, which is shown once, and what became of the former ones."""

from datetime import datetime, tzinfo
from functools import partial

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.claims import (
    ClaimCodeIssued,
    ClaimCodeView,
    ClaimFound,
    ClaimLookup,
    ClaimRefusal,
    ClaimRevocation,
    ClaimState,
    CustomerClaims,
)
from shared.codes import card_of, is_card_number
from shared.staff import CustomerDetail
from tui.actions import Action
from tui.calls import call
from tui.claim_words import claim_notes, claim_row, found_words, refusal_row
from tui.client import Client, new_key
from tui.errors import ConsoleError
from tui.formatting import Row, full_name, moment
from tui.forms import FormPage, form_row
from tui.pages import Handlers, Page, bindings_for
from tui.safe import join, lines, safe
from tui.screens.list_page import Listing, ListPage, ListTab
from tui.screens.reason import Question, ReasonPage
from tui.widgets.field import Field
from tui.widgets.line_list import Column

_COLUMNS = (
    Column("Made", 15),
    Column("What", -3),
    Column("State", 8),
    Column("Good until", 15),
    Column("By", -1, from_width=76),
)
ClaimItem = ClaimCodeView | ClaimRefusal


class ClaimsPage(ListPage[ClaimItem]):
    """Codes for the customer, codes the customer has used, and the customer's tries that were refused."""

    PAGE = "claims"
    BINDINGS = bindings_for("claims")
    TABS = (
        ListTab(
            title="Claim codes",
            columns=_COLUMNS,
            empty="No claim code yet. n makes one, for the customer to enter in the app.",
        ),
    )

    def __init__(self, detail: CustomerDetail) -> None:
        super().__init__()
        self._detail = detail
        self._who = full_name(detail.given_name, detail.family_name)
        self._claims: CustomerClaims | None = None
        self._asked_again = False
        self._is_making = False

    # Data -------------------------------------------------------------------------------------------------------------

    async def ask(self, client: Client, tab: int, cursor: str | None) -> Listing[ClaimItem]:
        """Ask for all of them: there are few."""
        del tab, cursor
        self._claims = claims = await client.list_claim_codes(self._detail.id)
        return Listing(items=(*claims.codes, *claims.used, *claims.refusals))

    def row(self, item: ClaimItem, *, now: datetime, zone: tzinfo) -> Row:
        if isinstance(item, ClaimRefusal):
            return refusal_row(item, key=f"refusal {self.items.index(item)}", now=now, zone=zone)
        is_own = self._claims is not None and item in self._claims.used
        return claim_row(item, now=now, zone=zone, is_own=is_own)

    def notes(self, item: ClaimItem, *, now: datetime, zone: tzinfo) -> list[str]:
        return claim_notes(item, now=now, zone=zone) if isinstance(item, ClaimCodeView) else []

    def _code(self) -> ClaimCodeView | None:
        return self.current if isinstance(self.current, ClaimCodeView) else None

    # What staff do ----------------------------------------------------------------------------------------------------

    def _issue(self) -> None:
        """Make a code; with a live one only when asked twice, as somebody may hold it in their hand."""
        codes = self._claims.codes if self._claims is not None else ()
        if any(code.state is ClaimState.LIVE for code in codes) and not self._asked_again:
            self._asked_again = True
            self.console.say("A code of theirs is still good. n again makes a new one and ends the former.", "warn")
            return
        # Each code ends the one before it, so that of two presses the first would show a code that is over.
        self._asked_again, self._is_making = False, True
        customer_id, key = self._detail.id, new_key()
        call(
            self,
            "issue",
            lambda client: client.issue_claim_code(customer_id, key=key),
            done=self._issued,
            failed=self._not_issued,
            is_write=True,
            waiting="Making the code…",
        )

    def _not_issued(self, error: ConsoleError) -> None:
        self._is_making = False
        self.show_failure(error)

    def _issued(self, issued: ClaimCodeIssued) -> None:
        self._is_making = False
        self.app.push_screen(IssuedPage(issued, crumb=f"{self._who} › Claim code"))
        self.console.say("The code is made. It is shown this once.", "good")

    def _revoke(self) -> None:
        code = self._code()
        assert code is not None
        session = self.console.session
        assert session is not None
        until = moment(code.expires_at, now=self.console.now(), zone=session.zone)
        question = Question(
            title="End a claim code",
            crumb=f"{self._who} › End a claim code",
            facts=(("For", code.customer_name or f"order {code.order_number}"), ("Good until", until)),
            sentences=("Nobody can use the code any more. A new one can be made.",),
            commit_words="End it",
            waiting_words="Ending the code…",
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.revoke_claim_code(code.id, ClaimRevocation(reason=typed.reason)),
            done=self._revoked,
        )
        self.app.push_screen(page)

    def _revoked(self, _: ClaimCodeView) -> None:
        self.console.say("The code is over.", "good")

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Find › {self._who} › Claim codes"

    def handlers(self) -> Handlers:
        return super().handlers() | {"claims.issue": self._issue, "claims.revoke": self._revoke}

    def unavailable(self, action_id: str) -> str | None:
        code = self._code()
        if action_id == "claims.issue":
            if self._claims is None:
                return "the codes are not here yet"
            if self._is_making:
                return "it is being made"
            return "this customer can sign in already" if self._detail.has_login else None
        if action_id == "claims.revoke" and (code is None or code.state is not ClaimState.LIVE):
            return "choose a code that is still good"
        return None


class IssuedPage(Page):
    """A new code with what to print. It is nowhere else, so leaving is asked once."""

    PAGE = "claim-issued"
    CSS_PATH = "claims.tcss"
    AUTO_FOCUS = "#issued-box"
    BINDINGS = bindings_for("claim-issued")

    def __init__(self, issued: ClaimCodeIssued, *, crumb: str) -> None:
        super().__init__()
        self._issued = issued
        self._crumb = crumb
        self._is_noted = False

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="issued-box", classes="box form"):
            yield Static(id="issued-words")

    def on_mount(self) -> None:
        self.query_one("#issued-box").border_title = "Write it down or print it: it is shown this once"
        self.query_one("#issued-words", Static).update(self._words())

    def _words(self) -> Content:
        session, issued = self.console.session, self._issued
        assert session is not None
        what = issued.customer_name or f"sale {issued.order_number}"
        until = moment(issued.expires_at, now=self.console.now(), zone=session.zone)
        text = [safe(f"  {line}") for line in issued.text.splitlines()]
        return lines(
            join((f"{'For':<12}", "$text-muted"), (what, "bold")),
            join((f"{'Code':<12}", "$text-muted"), (issued.code, "bold $accent")),
            join((f"{'Good until':<12}", "$text-muted"), (until, "bold")),
            Content(""),
            safe("To print and hand over:", "$text-muted"),
            *text,
        )

    def _copy(self) -> None:
        """Put the text into the terminal's clipboard, for the program that prints."""
        self.app.copy_to_clipboard(self._issued.text)
        self._is_noted = True
        self.console.say("The text is in the clipboard, if this terminal has one.", "good")

    def _back(self) -> None:
        if not self._is_noted:
            self._is_noted = True
            self.console.say("The code is not shown again. Esc again leaves it; a new one can be made.", "warn")
            return
        self.dismiss()

    def handlers(self) -> Handlers:
        return {"claim-issued.copy": self._copy, "app.back": self._back}

    def has_unsaved_work(self) -> bool:
        return not self._is_noted

    def crumbs(self) -> str:
        return self._crumb

    def scan_words(self) -> str:
        return "A scan does nothing here, so that the code is not lost."

    def take_scan(self, code: str) -> None:
        del code
        self.console.say("The scan was not used. Hand the code over first.", "warn")


class ClaimLookupPage(FormPage):
    """A code that somebody shows: whose it is, or why it would be refused."""

    PAGE = "claim-lookup"
    CSS_PATH = "claims.tcss"
    AUTO_FOCUS = "#code"
    BINDINGS = bindings_for("claim-lookup")

    def __init__(self, code: str = "") -> None:
        super().__init__()
        self._code = code
        self._found: ClaimFound | None = None

    def compose_body(self) -> ComposeResult:
        with Vertical(id="lookup-box", classes="box form"):
            field = Field(id="code", length_max=limits.CLAIM_CODE_TYPED_MAX)
            yield from form_row("Code", field, beside="scan or type it")
            yield Static(classes="gap")
            yield Static(id="lookup-words")

    def on_mount(self) -> None:
        self.query_one("#lookup-box").border_title = "Look a claim code up"
        super().on_mount()
        if self._code:
            self.take_scan(self._code)

    def commit(self) -> None:
        self.clear_notes()
        code = self.text("code")
        if len(code) < 4:
            self.show_errors({"code": "Type the code as it is printed."})
            return
        call(
            self,
            "lookup",
            lambda client: client.find_claim_code(ClaimLookup(code=code)),
            done=partial(self._came, code),
            waiting="Looking the code up…",
        )

    def _came(self, code: str, found: ClaimFound) -> None:
        session = self.console.session
        if session is None or code != self.text("code"):
            return
        self._found = found
        told = found_words(found, now=self.console.now(), zone=session.zone)
        shown = [safe(cell.text, {"good": "$success", "bad": "bold $error"}.get(cell.tone, "")) for cell in told]
        self.query_one("#lookup-words", Static).update(lines(*shown))
        self.frame_changed()

    def _customer_id(self) -> str | None:
        code = self._found.code if self._found is not None else None
        customer_id = (code.used_by or code.customer_id) if code is not None else None
        return str(customer_id) if customer_id is not None else None

    def handlers(self) -> Handlers:
        own = super().handlers()
        customer_id = self._customer_id()
        if customer_id is not None:
            own["app.find"] = partial(self._open, customer_id)
        return own

    def _open(self, customer_id: str) -> None:
        self.is_saved = True
        self.console.open_customer(customer_id)

    def has_unsaved_work(self) -> bool:
        return False

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Look up"}
        if self._customer_id() is not None:
            words["app.find"] = "Open customer"
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return "Claim code"

    def scan_words(self) -> str:
        return "A scanned code is looked up; a card opens its customer."

    def take_scan(self, code: str) -> None:
        if is_card_number(card_of(code)):
            self.console.find_code(code)
            return
        self.query_one("#code", Field).value = code.rpartition("#")[2]  # Of a link, the code alone.
        self.commit()
