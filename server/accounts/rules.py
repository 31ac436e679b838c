"""What a sign-up form says, read and checked."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from server.customers.rules import EmailAddress, PhoneNumber, check_birthday, clean_name, parse_phone
from server.errors import Invalid, Refused
from shared.base import Birthday
from shared.codes import is_card_number, is_claim_code, normalise_card_number, normalise_claim_code
from shared.members import SignUp
from shared.problems import Code, FieldProblem


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """A checked sign-up form."""

    email: EmailAddress
    given_name: str
    family_name: str
    phone: PhoneNumber | None
    birthday: Birthday | None
    email_consent: bool
    sms_consent: bool
    card_number: str | None
    claim_code: str | None


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A customer who has an address on file; `is_live` unless the shop has blocked them."""

    customer_id: UUID
    contact_point_id: UUID
    email: str
    is_proven: bool
    is_live: bool
    has_login: bool


def read_form(form: SignUp, email: EmailAddress, *, country: str, today: date) -> Applicant:
    """Return what a form says.

    Raises:
        Invalid: A name, phone number, birthday, card number or claim code that cannot be.
        Refused: CONSENT_NEEDS_PHONE, a yes to text messages without a number.
    """
    phone = parse_phone(form.phone, country) if form.phone is not None else None
    if form.birthday is not None:
        check_birthday(form.birthday, today)
    if form.consents.sms and phone is None:
        raise Refused(Code.CONSENT_NEEDS_PHONE)
    card_number = None
    if form.card_number is not None:
        card_number = normalise_card_number(form.card_number)
        if not is_card_number(card_number):
            # Whether a well-formed card exists is not said here: anybody may fill this form in.
            raise Invalid(FieldProblem(field="card_number", detail="This is not the number of a card of ours."))
    claim_code = normalise_claim_code(form.claim_code) if form.claim_code is not None else None
    if claim_code is not None and not is_claim_code(claim_code):
        raise Invalid(FieldProblem(field="claim_code", detail="This is no code of ours: a character is wrong."))
    return Applicant(
        email=email,
        given_name=clean_name(form.given_name, "given_name", required=True),
        family_name=clean_name(form.family_name, "family_name"),
        phone=phone,
        birthday=form.birthday,
        email_consent=form.consents.email,
        sms_consent=form.consents.sms,
        card_number=card_number,
        claim_code=claim_code,
    )


def choose_owner(holders: Sequence[Holder]) -> Holder | None:
    """Return which known customer a newly proven address belongs to; None for a new one.

    Args:
        holders: Who has the address on file, oldest first.

    Raises:
        Refused: TOKEN_EXPIRED, somebody with a login has proved it already, or the shop has blocked its owner.
    """
    proven = next((holder for holder in holders if holder.is_proven), None)
    if proven is not None and (proven.has_login or not proven.is_live):
        raise Refused(Code.TOKEN_EXPIRED)
    return proven or next((holder for holder in holders if holder.is_live and not holder.has_login), None)
