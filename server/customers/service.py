"""Use cases of customers that other domains build on."""

from uuid import UUID

from server.context import Context
from server.customers import store
from server.customers.rules import EmailAddress, is_reserved, parse_email
from server.errors import Invalid, NotFound
from shared.problems import Code, FieldProblem


def read_email(ctx: Context, text: str, field: str = "email") -> EmailAddress:
    """Return an address that mail can reach; demo shops and tests also take addresses reserved for tests.

    Raises:
        Invalid: EMAIL_INVALID.
    """
    email = parse_email(text, field)
    if is_reserved(email) and not (ctx.settings.demo or ctx.settings.test_profile):
        raise Invalid(FieldProblem(field=field, detail="No mail reaches this address."), code=Code.EMAIL_INVALID)
    return email


async def check_exists(customer_id: UUID) -> None:
    """Refuse for a customer whom nobody knows.

    Raises:
        NotFound: There is no such customer.
    """
    if not await store.exists(customer_id):
        raise NotFound
