"""Register a customer at the till."""

from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from shared import limits
from shared.base import ConsentChoices
from shared.codes import is_card_number
from shared.problems import Code
from shared.staff import CustomerRegistered, RegisterCustomer, SearchResult
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError, Refused
from tui.formatting import birthday, parse_birthday
from tui.forms import FormPage, form_row
from tui.pages import Handlers, bindings_for
from tui.safe import safe
from tui.widgets.choice import YES_NO_NOT_ASKED, Choice
from tui.widgets.field import Field
from tui.wording import existing_customer_id, field_errors

_FIELD_OF = {"consents.email": "consent-email", "consents.sms": "consent-sms", "card_number": "card"}
_LOOKED_UP = ("email", "phone", "card")


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

    def compose_body(self) -> ComposeResult:
        with Vertical(id="register-box", classes="box form"):
            yield from form_row("Given name", Field(id="given_name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("Family name", Field(id="family_name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("Email", Field(id="email", length_max=limits.EMAIL_LENGTH_MAX))
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
            yield from form_row("Note", Field(id="notes", length_max=limits.REASON_LENGTH_MAX), beside="optional")
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
        self._lock_consents()
        super().on_mount()

    # While it is filled in ----------------------------------------------------------------------------------------------

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        field_id = event.input.id or ""
        self.note(field_id, "")
        if field_id == self._existing_field:
            self._existing_id, self._existing_field = None, ""
            self.frame_changed()
        self._lock_consents()

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

    @on(Input.Blurred)
    def _left(self, event: Input.Blurred) -> None:
        """Look at a field when it is left, not while it is being typed."""
        field_id, value = event.input.id or "", event.value.strip()
        if field_id == "birthday":
            self._check_birthday()
        if field_id in _LOOKED_UP and len(value) >= limits.SEARCH_DIGITS_MIN and not self.is_saved:
            call(
                self,
                f"look up {field_id}",
                lambda client: client.search(value),
                done=partial(self._looked_up, field_id, value),
                failed=lambda _: None,  # Only a courtesy: saving checks again and says what is wrong.
            )

    def _check_birthday(self) -> bool:
        try:
            read = parse_birthday(self.text("birthday"))
        except ValueError:
            self.note("birthday", "Not a day of the year. Write it like 2.5.1961 or 2 May.")
            return False
        if read is not None:
            self.beside("birthday", birthday(read))
        return True

    def _looked_up(self, field_id: str, value: str, result: SearchResult) -> None:
        exact = next((hit for hit in result.items if hit.exact), None)
        if exact is not None and value == self.text(field_id):
            self._stands_in_the_way(field_id, str(exact.id), f"This is {exact.name}'s.")

    def _stands_in_the_way(self, field_id: str, customer_id: str, words: str) -> None:
        self._existing_id, self._existing_field = customer_id, field_id
        self.note(field_id, f"{words} F2 opens that customer instead.")
        self.frame_changed()

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
        )

    def _registered(self, registered: CustomerRegistered) -> None:
        self.is_saved, self.is_sending = True, False
        name = f"{self.text('given_name')} {self.text('family_name')}".strip()
        mailed = " A link to choose a password was sent." if registered.invited_by == "email" else ""
        self.console.open_customer(str(registered.id), name=name)
        self.console.say(f"Registered. Card {registered.card_number}.{mailed}", "good")

    def show_failure(self, error: ConsoleError) -> None:
        errors = {_FIELD_OF.get(field, field): words for field, words in field_errors(error).items()}
        customer_id = existing_customer_id(error)
        if isinstance(error, Refused) and error.problem.code in {
            Code.DUPLICATE_CONTACT,
            Code.CARD_TAKEN,
            Code.EMAIL_TAKEN,
        }:
            field_id = next(iter(errors), "") or next(field_id for field_id in _LOOKED_UP if self.text(field_id))
            words = errors.get(field_id) or "A customer with this exists."
            self.show_errors({field_id: words})
            if customer_id is not None:
                self._stands_in_the_way(field_id, customer_id, words)
            return
        if not self.show_errors(errors):
            super().show_failure(error)

    # The page -----------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        own = super().handlers()
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
        return "A scanned card is written into Card."

    def take_scan(self, code: str) -> None:
        focused = self.focused
        if is_card_number(code) or not isinstance(focused, Field):
            card = self.query_one("#card", Field)
            card.value = code
            self.console.say("Card scanned.", "good")
        else:
            self.put_scan_in_focus(code)


def _looks_like_email(text: str) -> bool:
    local, at, domain = text.partition("@")
    return bool(at and local and "." in domain and not domain.endswith("."))


def _digits(text: str) -> int:
    return sum(character.isdigit() for character in text)
