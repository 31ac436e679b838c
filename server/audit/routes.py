"""HTTP of the audit trail."""

from uuid import UUID

from server.audit import service
from server.errors import Invalid
from server.http import Call, operation
from shared.problems import FieldProblem
from shared.staff import AuditPage


@operation("list_audit")
async def list_audit(call: Call) -> AuditPage:
    """List who did what, newest first; `customer_id` or `actor_id` narrows it to one of them."""
    return await service.list_page(
        cursor=call.query("cursor"),
        limit=call.page_size(),
        customer_id=_id_parameter(call, "customer_id"),
        actor_id=_id_parameter(call, "actor_id"),
    )


@operation("list_customer_audit")
async def list_customer_audit(call: Call) -> AuditPage:
    """List what was done for one customer, newest first."""
    customer_id = call.path_id("customer_id")
    return await service.list_customer_page(customer_id, cursor=call.query("cursor"), limit=call.page_size())


def _id_parameter(call: Call, name: str) -> UUID | None:
    text = call.query(name)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid(FieldProblem(field=name, detail="This is not an id.")) from error
