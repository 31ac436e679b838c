"""Register a customer at the till."""

from datetime import timedelta
from functools import partial
from uuid import UUID

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input, Static

from shared import limits
from shared.base import Birthday, ConsentChoices
from shared.codes import card_of, is_card_number
from shared.money import money
from shared.orders import StaffOrder, StaffOrderPage
from shared.problems import Code
from shared.staff import CustomerRegistered, DuplicateCheck, Lookalike, RegisterCustomer
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError, Refused
from tui.formatting import birthday, parse_birthday, points, span
from tui.forms import FormPage, form_row
from tui.pages import Handlers, bindings_for
from tui.safe import safe
from tui.widgets.choice import NO_YES, YES_NO_NOT_ASKED, Choice
from tui.widgets.field import Field
from tui.wording import existing_customer_id, field_errors

_FIELD_OF = {"consents.email": "consent-email", "consents.sms": "consent-sms", "card_number": "card"}
_LOOKED_UP = ("email", "phone", "card")
_COMPARED = (*_LOOKED_UP, "given_name", "family_name", "birthday", "post_code")
# A sale of nobody this young at this shop is likely the one that is going on.
_SALE_AGE_MAX = timedelta(minutes=30)
_INVITED = {
    "email": "A link to choose a password was sent.",
    "sms": "A link to choose a password was texted.",
}
_UNREACHED = "No message reaches them: C makes a claim code."
_ALIKE = {
    "name": "same name",
    "similar_name": "similar name",
    "post_code": "same post code",
    "birthday": "same birthday",
}


def prefill(text: str) -> dict[str, str]:
    """Return which fields a search text fills: what was looked for in vain is what the new customer has."""
    digits = sum(character.isdigit() for character in text)
    if "@" in text:
        return {"email": text}
    if is_card_number(text):
        return {"card": text}
    if digits > len(text) // 2:
        return {"phone": text}
    given, _, family = text.rpartition(" ")
    return {"given_name": given, "family_name": family} if given else {"given_name": family}


class RegisterPage(FormPage):
    """A new customer: at least one of email, phone and card; consent only where the person said yes."""

    PAGE = "register"
    CSS_PATH = "register.tcss"
    AUTO_FOCUS = "#given_name"
    BINDINGS = bindings_for("register")

    def __init__(self, searched_for: str) -> None:
        super().__init__()
        self._searched_for = searched_for
        self._existing_id: str | None = None
        self._existing_field = ""
        self._existing_words = ""
        self._pause: Timer | None = None
        self._sale: StaffOrder | None = None
        self._refused_for: dict[str, str] = {}  # What was typed when saving was refused: that word is the last.

    def compose_body(self) -> ComposeResult:
        with Vertical(id="register-box", classes="box form"):
            yield from form_row("Given name", Field(id="given_name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("Family name", Field(id="family_name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("Email", Field(id="email", length_max=limits.EMAIL_LENGTH_MAX), beside=" ")
            yield from form_row("Phone", Field(id="phone", length_max=limits.PHONE_LENGTH_MAX, is_phone=True))
            yield Static(classes="gap")
            yield from form_row(
                "Email offers",
                Choice(YES_NO_NOT_ASKED, value="not_asked", id="consent-email"),
                beside="“May we email you?”",
            )
            yield from form_row(
                "Text offers",
                Choice(YES_NO_NOT_ASKED, value="not_asked", id="consent-sms"),
                beside="“May we text you?”",
            )
            yield Static(classes="gap")
            yield from form_row("Card", Field(id="card", length_max=32), beside="scan; else a digital one")
            yield from form_row("Birthday", Field(id="birthday", length_max=20), beside="optional, like 2.5.1961")
            address = Field(id="postal_address", length_max=limits.POSTAL_ADDRESS_LENGTH_MAX)
            yield from form_row("Address", address, beside="optional, for letters")
            yield from form_row(
                "Post code", Field(id="post_code", length_max=limits.POST_CODE_LENGTH_MAX), beside="optional"
            )
            yield from form_row("Note", Field(id="notes", length_max=limits.REASON_LENGTH_MAX), beside="optional")
            yield from form_row("This sale", Choice(NO_YES, value="no", id="sale"), beside="counts for them")
            with Vertical(id="another-row"):
                another = Choice(NO_YES, value="no", id="another")
                yield from form_row("Someone else", another, beside="two people share it")
            yield Static(classes="gap")
            yield Static(
                safe(
                    "With an email address they get a link to choose a password. Staff never see or set one.",
                    "$text-muted",
                ),
                id="register-foot",
            )

    def on_mount(self) -> None:
        box = self.query_one("#register-box")
        box.border_title = "New customer"
        box.border_subtitle = "scan a card at any time"
        for field_id, value in prefill(self._searched_for).items():
            self.query_one(f"#{field_id}", Field).value = value
        # What was searched for is replaced by typing over it, and kept by going on.
        self.call_after_refresh(self.query_one("#given_name", Field).action_select_all)
        self.query_one("#another-row").display = False
        self._show_sale(None)
        self._find_sale()
        self._lock_consents()
        super().on_mount()
        self._check_soon()

    # While it is filled in ----------------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        field_id = event.input.id or ""
        self.note(field_id, "")
        if field_id == self._existing_field:
            self._nobody_in_the_way()
        self._lock_consents()
        if field_id == "email":
            self.hint_email()
        if field_id in _COMPARED:
            self._check_soon()

    def _lock_consents(self) -> None:
        """A yes needs an address to send to; without one the answer is locked and says why."""
        reasons = {
            "consent-email": "" if _looks_like_email(self.text("email")) else "needs an email address",
            "consent-sms": "" if _digits(self.text("phone")) >= 6 else "needs a phone number",
        }
        for choice_id, reason in reasons.items():
            choice = self.query_one(f"#{choice_id}", Choice)
            if reason and choice.value != "not_asked":
                choice.value = "not_asked"
            choice.locked_because = reason

    @on(Input.Blurred, "#birthday")
    def _left_birthday(self) -> None:
        """Look at a date when it is left, not while it is being typed."""
        self._check_birthday()

    def _check_birthday(self) -> bool:
        try:
            read = parse_birthday(self.text("birthday"))
        except ValueError:
            self.note("birthday", "Not a day of the year. Write it like 2.5.1961 or 2 May.")
            return False
        if read is not None:
            self.beside("birthday", birthday(read))
        return True

    # Who may be there already -------------------------------------------------------------------------------------------

    def _check_soon(self) -> None:
        """Ask who is like this, once nothing was typed for a moment."""
        if self._pause is not None:
            self._pause.stop()
        if self._enough_typed():
            self._pause = self.set_timer(self.console.options.typing_pause_seconds, self._check)

    def _enough_typed(self) -> bool:
        return any(len(self.text(field_id)) >= limits.SEARCH_DIGITS_MIN for field_id in (*_LOOKED_UP, "family_name"))

    def _typed(self) -> dict[str, str]:
        """Return what was typed so far, as the service compares it."""
        try:
            born = parse_birthday(self.text("birthday"))
        except ValueError:
            born = None  # Half written.
        return {
            "email": self.text("email"),
            "phone": self.text("phone"),
            "card": self.text("card"),
            "name": f"{self.text('given_name')} {self.text('family_name')}".strip(),
            "birthday": _iso(born) if born is not None else "",
            "post_code": self.text("post_code"),
        }

    def _check(self) -> None:
        if self.is_saved or self.is_sending:
            return
        typed = self._typed()
        call(
            self,
            "check",
            lambda client: client.check_duplicates(typed),
            done=partial(self._checked, typed),
            failed=lambda _: None,  # Only a courtesy: saving checks again and says what is wrong.
            waiting="",
        )

    def _checked(self, typed: dict[str, str], found: DuplicateCheck) -> None:
        if self.is_saved or typed != self._typed() or typed == self._refused_for:
            return
        if self._existing_field:
            self.note(self._existing_field, "")
        self._nobody_in_the_way()
        self.note("family_name", "")
        if found.exact:
            self._stands_there(found.exact[0])
        elif found.near:
            names = "; ".join(map(_alike_words, found.near[:2]))
            self.note("family_name", f"Perhaps known: {names}.", "warn")

    def _stands_there(self, person: Lookalike) -> None:
        """Say whose an email, a phone or a card is; who shares an unproven one may be another person."""
        field_id = next((field_id for field_id in _LOOKED_UP if field_id in person.reasons), "email")
        if person.is_certain:
            self._stands_in_the_way(field_id, str(person.id), f"This is {person.name}'s.")
        else:
            self._may_be_another(field_id, str(person.id), f"{person.name} has this too, not proven.")

    def _may_be_another(self, field_id: str, customer_id: str, words: str) -> None:
        self._existing_id, self._existing_field, self._existing_words = customer_id, field_id, words
        self.query_one("#another-row").display = True
        self.note(field_id, f"{words} F2 opens them. Two people share it? Say so below.", "warn")
        self.frame_changed()

    def _nobody_in_the_way(self) -> None:
        self._existing_id, self._existing_field = None, ""
        row = self.query_one("#another-row")
        if row.display:
            row.display = False
            self.query_one("#another", Choice).value = "no"
        self.frame_changed()

    def _stands_in_the_way(self, field_id: str, customer_id: str, words: str) -> None:
        self._existing_id, self._existing_field, self._existing_words = customer_id, field_id, words
        self.note(field_id, f"{words} F2 opens that customer instead.")
        self.frame_changed()

    # The sale at which they register ------------------------------------------------------------------------------------

    def _find_sale(self) -> None:
        """Look for the sale that is going on: the only one of nobody's that is young enough."""
        session = self.console.session
        store = session.staff.store_code if session is not None else None
        if session is None or not store:
            return
        day = f"{self.console.now().astimezone(session.zone):%Y-%m-%d}"
        call(
            self,
            "sale",
            lambda client: client.find_orders(store=store, day=day),
            done=self._sales_came,
            failed=lambda _: None,  # Only a courtesy: the sale can be attached afterwards.
            waiting="",
        )

    def _sales_came(self, page: StaffOrderPage) -> None:
        since = self.console.now() - _SALE_AGE_MAX
        young = [order for order in page.items if order.customer_id is None and order.completed_at >= since]
        if len(young) == 1 and self._sale is None:
            self._show_sale(young[0])

    def _find_receipt(self, code: str) -> None:
        call(
            self,
            "sale",
            lambda client: client.find_orders(number=code),
            done=partial(self._receipt_came, code),
            waiting="Looking for the sale…",
        )

    def _receipt_came(self, code: str, page: StaffOrderPage) -> None:
        free = [order for order in page.items if order.customer_id is None]
        if len(free) == 1:
            self._show_sale(free[0])
            # A receipt in the hand is this customer's; a sale that is only the newest is asked about.
            self.query_one("#sale", Choice).choose("yes")
            self.console.say(f"Sale {free[0].number} will count for them.", "good")
        elif page.items:
            self.console.say(f"It counts for somebody already: {code}.", "warn")
        elif isinstance(self.focused, Field):
            self.console.say(f"No sale has this number: {code}.", "warn")
        else:
            # With the cursor in no field a code that is no receipt is a card, of another make perhaps.
            self._put_card(code, f"No sale has this number, so it is taken as a card: {code}.")

    def _show_sale(self, order: StaffOrder | None) -> None:
        self._sale = order
        choice = self.query_one("#sale", Choice)
        choice.locked_because = "" if order is not None else "scan its receipt"
        if order is not None:
            paid = money(order.net_minor + order.tax_minor, order.currency)
            ago = span(max(self.console.now() - order.completed_at, timedelta()))
            self.beside("sale", f"{order.number}, {paid}, {ago} ago")

    # Saving -------------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        self.clear_notes()
        errors: dict[str, str] = {}
        if not self.text("given_name"):
            errors["given_name"] = "A name is needed."
        if not any(self.text(field_id) for field_id in _LOOKED_UP):
            errors["email"] = "At least one of email, phone and card is needed."
        if self.text("email") and not _looks_like_email(self.text("email")):
            errors["email"] = "This is not a whole email address."
        if not self._check_birthday():
            errors["birthday"] = "Not a day of the year. Write it like 2.5.1961 or 2 May."
        if errors:
            self.show_errors(errors)
            return
        form = self._form()
        self.sent()
        call(
            self,
            "register",
            lambda client: client.register(form, key=self.key),
            done=self._registered,
            failed=self.save_failed,
            is_write=True,
            waiting="Registering…",
        )

    def _form(self) -> RegisterCustomer:
        return RegisterCustomer(
            given_name=self.text("given_name"),
            family_name=self.text("family_name"),
            email=self.text("email") or None,
            phone=self.text("phone") or None,
            birthday=parse_birthday(self.text("birthday")),
            card_number=self.text("card") or None,
            consents=ConsentChoices(
                email=self.answer("consent-email") == "yes", sms=self.answer("consent-sms") == "yes"
            ),
            declined=ConsentChoices(email=self.answer("consent-email") == "no", sms=self.answer("consent-sms") == "no"),
            notes=self.text("notes"),
            post_code=self.text("post_code"),
            postal_address=self.text("postal_address"),
            order_id=self._chosen_sale(),
            is_another_person=self.answer("another") == "yes",
        )

    def _chosen_sale(self) -> UUID | None:
        return self._sale.id if self._sale is not None and self.answer("sale") == "yes" else None

    def _registered(self, registered: CustomerRegistered) -> None:
        self.is_saved, self.is_sending = True, False
        name = f"{self.text('given_name')} {self.text('family_name')}".strip()
        self.console.open_customer(str(registered.id), name=name)
        told = [f"Registered. Card {registered.card_number}.", _INVITED.get(registered.invited_by or "", _UNREACHED)]
        if registered.order_points is not None:
            told.append(f"The sale brings {points(registered.order_points)} points.")
        self.console.say(" ".join(told), "good")

    def show_failure(self, error: ConsoleError) -> None:
        errors = {_FIELD_OF.get(field, field): words for field, words in field_errors(error).items()}
        customer_id = existing_customer_id(error)
        if isinstance(error, Refused) and error.problem.code in {
            Code.DUPLICATE_CONTACT,
            Code.CARD_TAKEN,
            Code.EMAIL_TAKEN,
        }:
            self._refused_for = self._typed()
            field_id = next(iter(errors), "") or next(field_id for field_id in _LOOKED_UP if self.text(field_id))
            # Whose it is was told while it was typed; the refusal only knows that it is somebody's.
            is_known = customer_id is not None and customer_id == self._existing_id
            words = self._existing_words if is_known else errors.get(field_id) or "A customer with this exists."
            is_shared = error.problem.data.get("is_certain") is False and customer_id is not None
            if is_shared and customer_id is not None:
                self._may_be_another(field_id, customer_id, words)
                self.query_one("#another").focus()
                self.console.say(
                    "Nobody was registered: say whether it is someone else, or F2 opens who is there.", "warn"
                )
                return
            self.show_errors({field_id: words})
            if customer_id is not None:
                self._stands_in_the_way(field_id, customer_id, words)
            return
        if not self.show_errors(errors):
            super().show_failure(error)

    # The page -----------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        own = super().handlers() | {"form.hint": self.take_hint}
        if self._existing_id is not None:
            own["app.find"] = self._open_existing
        return own

    def _open_existing(self) -> None:
        assert self._existing_id is not None
        self.is_saved = True  # Staff chose the existing customer over this form.
        self.console.open_customer(self._existing_id)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Register"}
        if self._existing_id is not None:
            words["app.find"] = "Open existing"
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return "New customer"

    def scan_words(self) -> str:
        return "A scanned card is written into Card; a scanned receipt is the sale that counts for them."

    def take_scan(self, code: str) -> None:
        focused, code = self.focused, card_of(code)
        if is_card_number(code):
            self._put_card(code, "Card scanned.")
        elif isinstance(focused, Field) and not _looks_like_receipt(code):
            self.put_scan_in_focus(code)
        else:
            self._find_receipt(code)

    def _put_card(self, code: str, words: str) -> None:
        self.query_one("#card", Field).value = code
        self.console.say(words, "good")


def _looks_like_email(text: str) -> bool:
    local, at, domain = text.partition("@")
    return bool(at and local and "." in domain and not domain.endswith("."))


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)


def _looks_like_receipt(code: str) -> bool:
    """Return whether a scan is a receipt's number rather than an address or a phone number."""
    return "@" not in code and not code.lstrip("+").isdigit()


def _iso(born: Birthday) -> str:
    day = f"{born.month:02}-{born.day:02}"
    return day if born.year is None else f"{born.year:04}-{day}"


def _alike_words(person: Lookalike) -> str:
    """Return somebody who may be the same person, with what is alike."""
    alike = ", ".join(_ALIKE.get(reason, reason) for reason in person.reasons)
    tail = f", card …{person.card_ending}" if person.card_ending else ""
    return f"{person.name} ({alike}{tail})"
