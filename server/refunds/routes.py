"""HTTP of refunds: the till's push and the list that staff work through."""

from server.errors import Invalid
from server.http import Call, operation
from server.refunds import resolving, service
from shared.problems import FieldProblem
from shared.refunds import (
    PosRefund,
    PosRefundResult,
    RefundAttachment,
    RefundAttachmentPreview,
    RefundNote,
    RefundPage,
    RefundState,
    RefundView,
)

_FLAGS = ("differs", "needs_person")


@operation("push_refund")
async def push_refund(call: Call) -> PosRefundResult:
    """Take a refund and answer how many points it took back, line by line, and how many it gave back."""
    return await service.take_refund(call.ctx, call.key, call.message(PosRefund))


@operation("list_refunds")
async def list_refunds(call: Call) -> RefundPage:
    """List refunds, newest first; `state` narrows it, as to those that wait for their sale.

    `differs=true` lists those of which the till named another customer than the sale counted for, and `needs_person=true`
    those that will not come right by waiting.
    """
    state, *flags = (call.query(name) for name in ("state", *_FLAGS))
    if state and state not in {*RefundState}:
        raise Invalid(FieldProblem(field="state", detail=f"One of {', '.join(RefundState)}."))
    chosen = [state] if state else []
    for name, value in zip(_FLAGS, flags, strict=True):
        if value not in ("", "true") or (value and chosen):
            raise Invalid(FieldProblem(field=name, detail="Give true, and none of the others."))
        chosen += [name] if value else []
    return await service.list_refunds(call.ctx, "".join(chosen), cursor=call.query("cursor"), limit=call.page_size())


@operation("preview_refund_attachment")
async def preview_refund_attachment(call: Call) -> RefundAttachmentPreview:
    """Show what a refund would do to the sale that a person has found for it."""
    return await resolving.preview(call.ctx, call.staff, call.path_id("refund_id"), call.message(RefundAttachment))


@operation("attach_refund")
async def attach_refund(call: Call) -> RefundView:
    """Let a refund that waits, names no sale or was refused have its effect on the sale that a person has found.

    It cannot be taken back; the preview shows all that it does.
    """
    return await resolving.attach(call.ctx, call.staff, call.path_id("refund_id"), call.message(RefundAttachment))


@operation("dismiss_refund")
async def dismiss_refund(call: Call) -> RefundView:
    """Say that a refund will have no effect on points; it can be taken up again."""
    return await resolving.dismiss(call.ctx, call.staff, call.path_id("refund_id"), call.message(RefundNote).reason)


@operation("reopen_refund")
async def reopen_refund(call: Call) -> RefundView:
    """Take a dismissed refund up again, as it was before."""
    return await resolving.reopen(call.ctx, call.path_id("refund_id"), call.message(RefundNote).reason)
