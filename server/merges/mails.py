"""The notices of a merge, to every proven address of both."""

from uuid import UUID

from server.context import Context
from server.merges.rules import Person
from server.messages.service import queue_mail
from server.sessions.links import Purpose, create_link
from shared.limits import NOT_ME_LINK_LIFE


async def tell_merged(ctx: Context, merge_id: UUID, survivor: Person, absorbed: Person) -> None:
    """Tell both; where both had a sign-in, with a "not me" link."""
    is_between_logins = survivor.has_login and absorbed.has_login
    for person in (survivor, absorbed):
        address = person.primary("email")
        if address is None or not address.is_proven:
            continue
        token = None
        if is_between_logins:
            token = await create_link(
                ctx,
                purpose=Purpose.MERGE_NOT_ME,
                customer_id=None,
                email_key=address.key,
                subject=merge_id,
                life=NOT_ME_LINK_LIFE,
            )
        await queue_mail(
            ctx,
            to=address.value,
            template="merged_with_link" if token else "merged",
            customer_id=survivor.id,
            token=token,
            parameters={"given_name": person.given_name},
        )


async def tell_undone(ctx: Context, *people: Person) -> None:
    """Tell both that they are two again."""
    for person in people:
        address = person.primary("email")
        if address is not None and address.is_proven:
            await queue_mail(
                ctx,
                to=address.value,
                template="merge_undone",
                customer_id=person.id,
                parameters={"given_name": person.given_name},
            )
