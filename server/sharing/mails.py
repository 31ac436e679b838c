"""The mails about sharing: everybody whom it concerns is told, as far as an address of theirs is proven."""

from collections.abc import Iterable
from uuid import UUID

from server.context import Context
from server.messages.rules import greeting
from server.messages.service import queue_mail
from server.sharing import store
from server.sharing.store import Person


async def tell(ctx: Context, template: str, people: Iterable[Person], *, about: str) -> None:
    """Tell people, each once, what happened to the membership they share.

    Args:
        template: Of `sharing_joined`, `sharing_combined`, `sharing_left`, `sharing_undone`.
        about: The names of those whom it is about.
    """
    names = {person.customer: person.given_name for person in people}
    for address in await store.list_addresses(list(names)):
        await queue_mail(
            ctx,
            to=address["value"],
            template=template,
            customer_id=address["customer"],
            parameters={"given_name": names[address["customer"]], "about": about},
        )


async def tell_invited(ctx: Context, *, customer_id: UUID, email: str, invited_by: str) -> None:
    """Tell a member that somebody wants to share; the answer is given in the app.

    A name that looks like an address is left out, as this mail goes to whom another member chose.
    """
    is_name = greeting(invited_by) != greeting("")
    await queue_mail(
        ctx,
        to=email,
        template="sharing_invitation",
        customer_id=customer_id,
        parameters={"invited_by": invited_by if is_name else "A member"},
    )
