"""HTTP of the ledger's reads."""

from server.http import Call, operation
from server.ledger import service
from shared.members import EntryPage


@operation("list_my_entries")
async def list_my_entries(call: Call) -> EntryPage:
    """List the movements of points in one of the member's memberships, newest first, each with its reason."""
    membership_id = call.path_id("membership_id")
    return await service.list_own_entries(
        call.member.customer_id, membership_id, cursor=call.query("cursor"), limit=call.page_size()
    )


@operation("list_customer_entries")
async def list_customer_entries(call: Call) -> EntryPage:
    """List the movements of points in a membership, for staff."""
    membership_id = call.path_id("membership_id")
    return await service.list_entries(
        membership_id, cursor=call.query("cursor"), limit=call.page_size(), names_staff=True
    )
