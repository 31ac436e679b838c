"""HTTP of programmes."""

from server.http import Call, operation
from server.programmes import service
from shared.staff import ProgrammeList


@operation("list_programmes")
async def list_programmes(call: Call) -> ProgrammeList:
    """List programmes and the rules in force."""
    return await service.list_views(call.ctx.now)
