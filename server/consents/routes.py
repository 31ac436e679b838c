"""HTTP of consents."""

from server.consents import service
from server.http import Call, operation
from shared.base import ConsentChoices
from shared.members import Consents


@operation("get_my_consents")
async def get_my_consents(call: Call) -> Consents:
    """Show what marketing may do."""
    return await service.get_consents(call.member.customer_id)


@operation("put_my_consents")
async def put_my_consents(call: Call) -> Consents:
    """Say what marketing may do."""
    return await service.change_consents(call.ctx, call.member.customer_id, call.message(ConsentChoices))
