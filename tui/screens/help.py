"""Help for the page it was called from, made from the list of actions."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from shared.codes import is_card_number
from tui.actions import Action, actions_on, key_name
from tui.pages import Handlers, Page, bindings_for
from tui.safe import join, lines
from tui.scan import is_code

PURPOSES: dict[str, str] = {
    "lock": "Sign in with your staff name and password. Nobody else's work or data is shown here.",
    "find": "Find anybody by name, phone, email or card. Enter opens the customer once the text names one without doubt.",
    "customer": "One customer: points, orders, cards, membership, consents and addresses. Letters do things; what needs care asks first.",
    "register": "A new customer. Consent stays off unless the person said yes.",
    "enrol": "A further programme for this customer, with points and a card of its own.",
    "edit": "Change a customer's name, birthday, postal address or notes. If a colleague was faster, you see both.",
    "email": "Another email address for a customer, without losing a point. You see what will happen before it does.",
    "undo": "Take back an email change, with the address, card and balance as they were.",
    "adjust": "Give or take points with a reason. You see the balance before and after; above your limits a colleague decides.",
    "assign": "Whose a sale is. Its points follow, and you see both balances before anything moves.",
    "record": "A sale that no till sends. A receipt that is known already is given to the customer instead.",
    "take": "Points become a voucher. Its code is shown once; larger ones need the code in the customer's app, or one by text.",
    "reason": "One question before something is done. Your reason is kept in the audit.",
    "returned": "A refund that named no sale is given its sale. You see which points go back before they do.",
    "share": "Two customers come to share points: one joins the other, or their two memberships become one. You see every sum before.",
    "leave": "Somebody leaves a shared membership. You see how the points are divided before they are.",
    "take-back": "Two memberships or customers are two again, or points are. You see what comes back and what was used since.",
    "merge": "Two customers who are one person become one. You see both side by side, and what stays, before anything changes.",
    "orders": "Sales that count for nobody, by day, or any sale by its receipt. Letters say whose a sale is.",
    "queue": "What waits for a person: adjustments that need a second one, refunds that found no sale, and sales on which a till differs.",
    "link": "Link a record of a till to a customer. You see which sales will count before anything changes.",
    "unlink": "End a link with a POS record. Its sales stay, or are taken back with their points.",
    "links": "Why purchases are missing, and the customer's POS records. Enter puts a reason right.",
    "tills": "The exchange with till systems: what each run brought, what was set aside, what to decide, and what to do in a till.",
    "claims": "Codes with which the customer takes these points into the app, and what became of each.",
    "claim-issued": "A new claim code with the text to hand over. It is shown this once.",
    "claim-lookup": "A claim code that somebody shows: whose it is, or why it would be refused.",
    "claim-batches": "Letters with claim codes for whom no email reaches: how many codes were used, and which files were written.",
    "claim-batch": "Who would get a letter, counted before anything is made. Ending codes that people hold is asked once more.",
    "claim-file": "Write the letters or the list to a file. It is handed out once, so that no copy lies about.",
    "spending": "Who of a shared membership may spend, and how much a day. Nobody's points change.",
    "duplicates": "Customers who may be there twice, the likeliest first, with what speaks for it and against it; and merges.",
    "overrides": "Corrections of proven email addresses that are out of reach: they need a second person, and three days.",
    "privacy": "Copies of everything held about a customer, and wishes to be forgotten with their clock.",
    "copy": "A copy of everything held about a customer, made in the background. Only for whom you are sure of.",
    "erase": "Let a customer be forgotten. You see what will be gone; a second person and some days stand before it.",
    "audience": "The link to Mailchimp: what waits, what was sent, and what needs a person.",
    "audit": "Who changed what, when and why. Nothing here can be changed.",
    "programmes": "All programmes, and what the one under the cursor gives points for. Enter opens it.",
    "programme": "One programme: its rules in words, their versions with what each changed, and its settings.",
    "rules": "New rules as a form. Nothing is in force before you tried them on past sales and published them.",
    "rules-text": "All rules as text. What cannot be read is named with its field and line, and nothing is lost.",
    "trial": "What past sales would have given under new rules, and publishing them from a day on.",
    "settings": "What a programme decides beside its rules. You see what changes before it is saved.",
    "new-programme": "A further programme with points, rules and members of its own.",
    "closing": "Close a programme after a look at what that leaves, or open it again.",
    "rewards": "What points buy. Retired rewards are offered no more; vouchers of them stay good.",
    "reward": "One reward. Vouchers that were issued before keep their terms.",
    "terms": "What points are worth at the till: the step, its money, and the limits.",
    "reports": "Figures about points, as a chart and as a table, and as a file for a spreadsheet.",
    "period": "The days a report is about.",
    "export": "Write a report to a file. A file that exists is replaced only when you ask for it twice.",
}


class HelpPage(Page):
    """What this page is for, its keys, what a scan does, and a place to test the scanner."""

    PAGE = "help"
    CSS_PATH = "help.tcss"
    AUTO_FOCUS = "#help-scroll"
    BINDINGS = bindings_for("help")

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._scanned = ""

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="help-scroll"):
            yield Static(id="help-words")

    def on_mount(self) -> None:
        self._show()

    def _show(self) -> None:
        page = self._page
        actions = actions_on(page.PAGE)
        own = [action for action in actions if page.PAGE in action.pages and action.keys]
        everywhere = [action for action in actions if not action.pages and action.keys]
        told = [join((PURPOSES.get(page.PAGE, ""), "bold")), Content("")]
        if own:
            told += [join(("Here", "bold $accent")), *map(self._line, own), Content("")]
        told += [join(("Everywhere", "bold $accent")), *map(self._line, everywhere), Content("")]
        told += [
            join(("Lists", "bold $accent")),
            join(
                ("  ↑ ↓ ", "bold"),
                "choose a row    ",
                ("⏎", "bold"),
                " or a click opens it    ",
                ("PgDn End", "bold"),
                " go on; more is fetched",
            ),
            Content(""),
            join(("Scanner", "bold $accent")),
            join(f"  {page.scan_words()}"),
            join("  To test the scanner, scan something now:"),
            join((f"  {self._scanned or 'nothing scanned yet'}", "bold")),
            Content(""),
            join(("Esc goes back to where you were.", "$text-muted")),
        ]
        self.query_one("#help-words", Static).update(lines(*told))

    def _line(self, action: Action) -> Content:
        keys = " ".join(key_name(key) for key in action.keys)
        reason = self.console.why_not(action, self._page)
        style = "$text-disabled" if reason else ""
        return join(
            (f"  {keys:<7}", "bold" if not reason else "$text-disabled"),
            (action.sentence, style),
            (f"  ({reason})" if reason else "", "$text-muted"),
        )

    def take_scan(self, code: str) -> None:
        kind = (
            "a card of ours, check digit right"
            if is_card_number(code)
            else "not a card of ours"
            if is_code(code)
            else "not a code"
        )
        self._scanned = f"{code} ({len(code)} characters, {kind})"
        self._show()

    def scan_words(self) -> str:
        return "A scan is only shown, so that the scanner can be tested."

    def crumbs(self) -> str:
        return f"Help › {self._page.crumbs()}"

    def handlers(self) -> Handlers:
        return {"app.back": self._back}

    def _back(self) -> None:
        self.dismiss()
