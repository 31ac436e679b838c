"""HTTP of a member's own memberships and card."""

import io

import segno
from litestar import Response

from server.errors import NotFound
from server.http import Call, operation
from server.memberships import service
from shared.members import MembershipList

_MODULE_PIXELS = 8  # A phone screen shows a QR of version 1 to 3 at 230 to 300 pixels, which scanners read well.


@operation("list_my_memberships")
async def list_my_memberships(call: Call) -> MembershipList:
    """List the member's memberships with card and balance."""
    return MembershipList(items=await service.list_membership_views(call.member.customer_id, call.ctx.now))


@operation("get_my_card_svg")
async def get_my_card_svg(call: Call) -> Response[bytes]:
    """The member's card number as a QR code in SVG."""
    return await _card(call, "svg", "image/svg+xml")


@operation("get_my_card_png")
async def get_my_card_png(call: Call) -> Response[bytes]:
    """The member's card number as a QR code in PNG."""
    return await _card(call, "png", "image/png")


async def _card(call: Call, kind: str, media_type: str) -> Response[bytes]:
    views = await service.list_membership_views(call.member.customer_id, call.ctx.now)
    number = next((view.card_number for view in views if view.card_number), None)
    if number is None:
        raise NotFound("You have no active card.")
    picture = io.BytesIO()
    # Level M still scans with a scratched screen; the quiet zone is part of the standard.
    segno.make_qr(number, error="m").save(picture, kind=kind, scale=_MODULE_PIXELS)
    return Response(picture.getvalue(), media_type=media_type, headers={"Cache-Control": "no-store"})
