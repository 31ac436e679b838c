"""What moves value has one effect, however often and however closely together it is sent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.openapi.examples import EXAMPLES
from server.programmes import store as programmes
from shared.endpoints import BY_OPERATION, ENDPOINTS
from shared.endpoints import Caller as Sender
from shared.enums import Role
from tests.api.conformity import check_problem
from tests.api.mutations import some_of
from tests.api.shop import Shop
from tests.app import PASSWORD, expect
from tests.ledgers import assert_verified

Fields = Mapping[str, Any]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A call that works, and another one of the same operation.

    Attributes:
        path: Where both go.
        body: What has an effect.
        other: What asks for something else.
    """

    path: str
    body: dict[str, Any]
    other: dict[str, Any]


async def sale(_: Shop) -> Case:
    """A sale, and one with another receipt number."""
    return Case(path="/v1/pos/orders", body=_.order("sale-1"), other=_.order("sale-2"))


async def plain_sale(shop: Shop) -> Case:
    """A sale without a customer, which takes the other way through the service."""
    body = shop.order("sale-1") | {"customer": None}
    return Case(path="/v1/pos/orders", body=body, other=body | {"external_id": "sale-2"})


async def registration(_: Shop) -> Case:
    """A customer at the till, and another one."""
    body = {"given_name": "Dee", "email": "dee@shop.test"}
    return Case(path="/v1/staff/customers", body=body, other=body | {"email": "eve@shop.test"})


async def staff_change(shop: Shop) -> Case:
    """An email change by staff, as previewed."""
    path = f"/v1/staff/customers/{shop.ben.customer_id}/email-changes"
    wish = {"new_email": "ben@new.test", "mode": "reissue", "reason": "at the desk", "identity_attested": True}
    return await _previewed(shop, path, wish)


async def correction(shop: Shop) -> Case:
    """A typo put right, as previewed."""
    path = f"/v1/staff/customers/{shop.till_customer_id}/corrections"
    return await _previewed(shop, path, {"new_email": "cyd@shop.test", "reason": "a typo"})


async def override(shop: Shop) -> Case:
    """Another address for somebody who cannot reach the proven one, as previewed."""
    path = f"/v1/staff/customers/{shop.ben.customer_id}/email-overrides"
    return await _previewed(
        shop, path, {"new_email": "b@new.test", "reason": "left that firm", "identity_attested": True}
    )


async def override_approval(shop: Shop) -> Case:
    """The same, which a cashier asked for."""
    case = await override(shop)
    cashier = shop.staff[Role.CASHIER]
    asked = expect(await shop.send("request_email_override", path=case.path, json=case.body, add=cashier), 201)
    path = f"/v1/staff/email-overrides/{asked['id']}"
    shown = expect(await shop.client.get(path, headers=shop.staff[Role.MANAGER]), 200)
    body = {"preview_hash": shown["preview"]["preview_hash"]}
    return Case(path=f"{path}/approve", body=body, other=body | {"note": "something else"})


async def _previewed(shop: Shop, path: str, wish: dict[str, Any]) -> Case:
    answer = await shop.client.post(f"{path}/preview", json=wish, headers=shop.staff[Role.MANAGER])
    body = wish | {"preview_hash": expect(answer, 200)["preview_hash"]}
    return Case(path=path, body=body, other=body | {"reason": "something else"})


async def undo(shop: Shop) -> Case:
    """A change taken back."""
    change = await staff_change(shop)
    headers = shop.staff[Role.MANAGER] | {"Idempotency-Key": f"test-{new_id()}"}
    done = expect(await shop.client.post(change.path, json=change.body, headers=headers), 201)
    path = f"/v1/staff/email-changes/{done['id']}/undo"
    return Case(path=path, body={"reason": "not wanted"}, other={"reason": "something else"})


async def adjustment(shop: Shop) -> Case:
    """Points given, as previewed."""
    path = f"/v1/staff/customers/{shop.ana.customer_id}/adjustments"
    case = await _previewed(shop, path, {"points": 5, "reason_code": "goodwill"})
    return msgspec.structs.replace(case, other=case.body | {"note": "something else"})


async def _requested(shop: Shop, points: int) -> dict[str, Any]:
    case = await _previewed(
        shop, f"/v1/staff/customers/{shop.ana.customer_id}/adjustments", {"points": points, "reason_code": "goodwill"}
    )
    headers = shop.staff[Role.CASHIER] | {"Idempotency-Key": f"test-{new_id()}"}
    body = {"points": points, "reason_code": "goodwill"}
    seen = await shop.client.post(f"{case.path}/preview", json=body, headers=headers)
    signed = body | {"preview_hash": expect(seen, 200)["preview_hash"]}
    done: dict[str, Any] = expect(await shop.client.post(case.path, json=signed, headers=headers), 201)
    return done


async def approval(shop: Shop) -> Case:
    """Points that a cashier asked for."""
    asked = await _requested(shop, 500)
    body = {"preview_hash": asked["preview_hash"]}
    return Case(path=f"/v1/staff/adjustments/{asked['id']}/approve", body=body, other=body | {"note": "something else"})


async def adjustment_undo(shop: Shop) -> Case:
    """Points taken back that a cashier gave."""
    done = await _requested(shop, 5)
    path = f"/v1/staff/adjustments/{done['id']}/undo"
    body = {"reason": "not wanted"}
    shown = expect(await shop.client.post(f"{path}/preview", json=body, headers=shop.staff[Role.MANAGER]), 200)
    body["preview_hash"] = shown["preview_hash"]
    return Case(path=path, body=body, other=body | {"reason": "something else"})


async def my_voucher(shop: Shop) -> Case:
    """A voucher for the last one of a reward, and for another reward."""
    return Case(path="/v1/me/vouchers", **await _last_ones(shop))


async def till_voucher(shop: Shop) -> Case:
    """The same by staff."""
    return Case(path=f"/v1/staff/customers/{shop.ana.customer_id}/vouchers", **await _last_ones(shop))


async def _last_ones(shop: Shop) -> dict[str, Any]:
    form = {"name": "Off", "kind": "amount_off", "points_cost": 100, "value_minor": 100, "stock": 1}
    rewards = [expect(await shop.send("create_reward", json=form | {"code": code}), 201) for code in ("last", "other")]
    return {name: {"reward_id": reward["id"]} for name, reward in zip(("body", "other"), rewards, strict=True)}


async def cancelled_voucher(shop: Shop) -> Case:
    """A voucher taken back, and with another reason."""
    path = f"/v1/staff/vouchers/{shop.voucher_id}/cancel"
    return Case(path=path, body={"reason": "took the wrong one"}, other={"reason": "something else"})


async def hold(shop: Shop) -> Case:
    """Points for a sale, when the card alone may spend them once more today; and for another sale."""
    expect(await shop.send("put_redemption_terms", json=shop.terms(version=1, card_daily_points=300)), 200)
    return Case(path="/v1/pos/holds", body=shop.hold("cart-2"), other=shop.hold("cart-3"))


async def capture(shop: Shop) -> Case:
    """A hold that is paid, and for another sale."""
    path = f"/v1/pos/holds/{shop.hold_id}/capture"
    return Case(path=path, body={"order_reference": "sale-1"}, other={"order_reference": "sale-2"})


async def rules(shop: Shop) -> Case:
    """New rules, as previewed."""
    path = f"/v1/staff/programmes/{shop.programme_id}/rules"
    proposal = {"rules": {"points": 2, "per_minor": 100}}
    answer = await shop.client.post(
        f"{path}/preview", json=proposal | {"since": "2026-01-01T00:00:00Z"}, headers=shop.staff[Role.MANAGER]
    )
    body = proposal | {"reason": "agreed", "preview_hash": expect(answer, 200)["preview_hash"]}
    return Case(path=path, body=body, other=body | {"reason": "something else"})


async def joining(shop: Shop) -> Case:
    """A further programme, and another one."""
    for code in ("club", "circle"):
        await programmes.insert_programme(
            shop.world.ctx, code=code, name=code.title(), zone="Europe/London", currency="GBP",
            launch_at=shop.world.clock.now(), is_default=False,
        )  # fmt: skip
    path = f"/v1/staff/customers/{shop.ana.customer_id}/memberships"
    return Case(path=path, body={"programme_code": "club"}, other={"programme_code": "circle"})


async def batch(shop: Shop) -> Case:
    """Two sales at once, and one of them."""
    orders = [shop.order("sale-1"), shop.order("sale-2")]
    return Case(path="/v1/pos/orders/batch", body={"orders": orders}, other={"orders": orders[:1]})


async def refund(shop: Shop) -> Case:
    """Half of what was sold, and the other half."""
    expect(await shop.send("push_order", json=shop.order("sale-1")), 201)
    body: dict[str, Any] = {**EXAMPLES[BY_OPERATION["push_refund"].request]}  # type: ignore[index]
    body |= {"original_order": "sale-1", "completed_at": shop.world.clock.now().isoformat()}
    body["lines"] = [{"line_id": "1", "net_minor": 3750}]
    return Case(path="/v1/pos/refunds", body=body, other=body | {"external_id": "return-2"})


async def refund_attachment(shop: Shop) -> Case:
    """A refund without a sale, attached to the first one as previewed."""
    body: dict[str, Any] = {**EXAMPLES[BY_OPERATION["push_refund"].request]}  # type: ignore[index]
    body |= {"completed_at": shop.world.clock.now().isoformat(), "lines": [{"line_id": "1", "net_minor": 3750}]}
    sent = expect(await shop.send("push_refund", json=body | {"original_order": None}), 201)
    wish = {"order_id": str(shop.order_id), "reason": "the receipt says so"}
    return await _previewed(shop, f"/v1/staff/refunds/{sent['refund_id']}/attachment", wish)


async def assignment(shop: Shop) -> Case:
    """A sale given to somebody else, as previewed."""
    sold = expect(await shop.send("push_order", json=shop.order("sale-1")), 201)
    wish = {"customer_id": str(shop.ben.customer_id), "reason": "not the buyer"}
    return await _previewed(shop, f"/v1/staff/orders/{sold['order_id']}/assignment", wish)


async def recording(shop: Shop) -> Case:
    """A sale written down by hand, as previewed."""
    store = await DB.fetch_value("select code from store limit 1")
    wish = {"customer_id": str(shop.ana.customer_id), "net_minor": 4200, "number": "R-1", "store": store}
    answer = await shop.client.post("/v1/staff/orders/preview", json=wish, headers=shop.staff[Role.MANAGER])
    body = wish | {"preview_hash": expect(answer, 200)["preview_hash"]}
    return Case(path="/v1/staff/orders", body=body, other=body | {"number": "R-2"})


async def _sharing(shop: Shop, act: str, wish: dict[str, Any]) -> Case:
    """Return something shared with Ben, as previewed and agreed to."""
    path = f"/v1/staff/memberships/{shop.ben.membership_id}/{act}"
    wish = {"reason": "one household", **wish}
    shown = expect(await shop.client.post(f"{path}/preview", json=wish, headers=shop.staff[Role.MANAGER]), 200)
    agreed = wish if act.endswith("undo") else wish | {"agreed_by": shown["must_agree"]}
    body = agreed | {"preview_hash": shown["preview_hash"]}
    return Case(path=path, body=body, other=body | {"reason": "something else"})


async def _shared(shop: Shop, act: str, wish: dict[str, Any]) -> dict[str, Any]:
    case = await _sharing(shop, act, wish)
    headers = shop.staff[Role.MANAGER] | {"Idempotency-Key": f"test-{new_id()}"}
    done: dict[str, Any] = expect(await shop.client.post(case.path, json=case.body, headers=headers), 201)
    return done


async def _other_membership(shop: Shop) -> str:
    sql = "select membership from membership_person where customer = $1 and left_at is null"
    return str(await DB.fetch_value(sql, shop.till_customer_id))


async def combination(shop: Shop) -> Case:
    """Two memberships that become one."""
    return await _sharing(shop, "combine", {"other_membership_id": await _other_membership(shop)})


async def undone_combination(shop: Shop) -> Case:
    """And are two again."""
    done = await _shared(shop, "combine", {"other_membership_id": await _other_membership(shop)})
    return await _sharing(shop, f"combine/{done['operation_id']}/undo", {})


async def leaving(shop: Shop) -> Case:
    """A sharer leaves."""
    await _shared(shop, "combine", {"other_membership_id": await _other_membership(shop)})
    return await _sharing(shop, "leave", {"customer_id": str(shop.till_customer_id)})


async def undone_leaving(shop: Shop) -> Case:
    """And comes back."""
    await _shared(shop, "combine", {"other_membership_id": await _other_membership(shop)})
    done = await _shared(shop, "leave", {"customer_id": str(shop.till_customer_id)})
    path = f"/v1/staff/memberships/{shop.ben.membership_id}/leave/{done['operation_id']}/undo"
    return Case(path=path, body={"reason": "came back"}, other={"reason": "something else"})


async def _newcomer(shop: Shop) -> dict[str, Any]:
    """Return a customer who has no membership any more."""
    sql = """
    with gone as (
        update membership_person set left_at = $2, left_reason = 'test' where customer = $1 returning membership
    )
    update membership set status = 'closed' from gone where id = gone.membership
    """
    await DB.fetch(sql, shop.till_customer_id, shop.world.clock.now())
    await DB.fetch("update card set status = 'blocked' where customer = $1", shop.till_customer_id)
    return {"customer_id": str(shop.till_customer_id)}


async def sharer(shop: Shop) -> Case:
    """Somebody shares a membership."""
    return await _sharing(shop, "join", await _newcomer(shop))


async def undone_sharer(shop: Shop) -> Case:
    """And does not after all."""
    done = await _shared(shop, "join", await _newcomer(shop))
    path = f"/v1/staff/memberships/{shop.ben.membership_id}/join/{done['operation_id']}/undo"
    return Case(path=path, body={"reason": "not wanted"}, other={"reason": "something else"})


async def acceptance(shop: Shop) -> Case:
    """Ana brings her points into Ben's membership, whose invitation she has."""
    expect(await shop.send("release_hold"), 200)
    path = f"/v1/me/memberships/{shop.ben.membership_id}/sharing-invitations"
    body = {"email": "ana@shop.test", "password": PASSWORD}
    expect(await shop.client.post(path, json=body, headers=shop.ben.headers), 202)
    waiting = expect(await shop.send("list_my_sharing_invitations"), 200)["received"]
    path = f"/v1/me/sharing-invitations/{waiting[0]['id']}/accept"
    body = {"combine": True, "password": PASSWORD}
    return Case(path=path, body=body, other={"combine": True})


async def own_leaving(shop: Shop) -> Case:
    """And leaves again."""
    case = await acceptance(shop)
    headers = shop.ana.headers | {"Idempotency-Key": f"test-{new_id()}"}
    expect(await shop.client.post(case.path, json=case.body, headers=headers), 200)
    path = f"/v1/me/memberships/{shop.ben.membership_id}/leave"
    shown = expect(await shop.client.post(f"{path}/preview", json={}, headers=shop.ana.headers), 200)
    body = {"password": PASSWORD, "preview_hash": shown["preview_hash"]}
    return Case(path=path, body=body, other={"preview_hash": shown["preview_hash"]})


async def pos_record(_: Shop) -> Case:
    """A customer record of the till, and another one."""
    body = {"external_id": "pos-1", "given_name": "Dee", "email": "dee@shop.test"}
    return Case(path="/v1/pos/customers", body=body, other=body | {"external_id": "pos-2"})


async def pos_records(shop: Shop) -> Case:
    """The same in a batch."""
    one = await pos_record(shop)
    return Case(path="/v1/pos/customers/batch", body={"customers": [one.body]}, other={"customers": [one.other]})


async def record_taking(shop: Shop) -> Case:
    """A customer made of a record."""
    path = f"/v1/staff/pos-records/{shop.record_id}/customer"
    return Case(path=path, body={"reason": "known for years"}, other={"join": False})


async def link(shop: Shop) -> Case:
    """A record linked, as previewed."""
    path = f"/v1/staff/customers/{shop.ana.customer_id}/links"
    return await _previewed(shop, path, {"record_id": str(shop.record_id), "attestation": "saw_id"})


async def link_approval(shop: Shop) -> Case:
    """A link that a cashier asked for."""
    case = await _previewed(shop, f"/v1/staff/links/{shop.asked_link_id}/approve", {"note": "looked at it"})
    return Case(path=case.path, body=case.body, other=case.body | {"note": "something else"})


async def hold_lift(shop: Shop) -> Case:
    """A hold on Ben's spending that is lifted."""
    held_until = shop.world.clock.now() + timedelta(days=1)
    await DB.fetch(
        "update customer set redemption_held_until = $2, redemption_held_reason = 'email_override' where id = $1",
        shop.ben.customer_id,
        held_until,
    )
    body = {"held_until": held_until.isoformat(), "identity_attested": True, "reason": "saw the passport"}
    path = f"/v1/staff/customers/{shop.ben.customer_id}/redemption-hold/lift"
    return Case(path=path, body=body, other=body | {"reason": "something else"})


async def link_end(shop: Shop) -> Case:
    """A link that is over, as previewed."""
    return await _previewed(shop, f"/v1/staff/links/{shop.link_id}/end", {"reason": "another person"})


async def merging(shop: Shop) -> Case:
    """A till's record that becomes part of Ben."""
    path = "/v1/staff/merges"
    ids = {"survivor_id": str(shop.ben.customer_id), "absorbed_id": str(shop.till_customer_id)}
    return await _previewed(shop, path, ids | {"reason": "registered twice", "choices": {"cancel_email_changes": True}})


async def _merged(shop: Shop, case: Case) -> str:
    headers = shop.staff[Role.MANAGER] | {"Idempotency-Key": f"test-{new_id()}"}
    return str(expect(await shop.client.post(case.path, json=case.body, headers=headers), 201)["id"])


async def undone_merge(shop: Shop) -> Case:
    """And two again."""
    merge_id = await _merged(shop, await merging(shop))
    return await _previewed(shop, f"/v1/staff/merges/{merge_id}/undo", {"reason": "two people"})


async def approved_merge(shop: Shop) -> Case:
    """What somebody else asked for: one of the two is blocked."""
    await DB.fetch("update customer set status = 'blocked' where id = $1", shop.till_customer_id)
    merge_id = await _merged(shop, await merging(shop))
    # The manager of these tests is the second person.
    other = await shop.world.add_staff(Role.MANAGER)
    await DB.fetch("update merge set requested_by = $2 where id = $1", UUID(merge_id), other)
    shown = await shop.client.get(f"/v1/staff/merges/{merge_id}", headers=shop.staff[Role.MANAGER])
    body = {"preview_hash": expect(shown, 200)["preview_hash"]}
    return Case(path=f"/v1/staff/merges/{merge_id}/approve", body=body, other=body | {"note": "something else"})


async def claim(shop: Shop) -> Case:
    """A claim code of a customer without a sign-in, and with another second check."""
    expect(await shop.send("release_hold"), 200)
    form = {"given_name": "Dee", "phone": "+442079460123"}
    registered = expect(await shop.send("register_customer", json=form), 201)
    path = f"/v1/staff/customers/{registered['id']}/claim-codes"
    issued = expect(await shop.send("issue_claim_code", path=path), 201)
    return Case(path="/v1/me/claims", body={"code": issued["code"]}, other={"code": issued["code"], "check": "Dee"})


CASES: dict[str, tuple[str, Callable[[Shop], Awaitable[Case]]]] = {
    "sale": ("push_order", sale),
    "sale without a customer": ("push_order", plain_sale),
    "batch of sales": ("push_orders", batch),
    "refund": ("push_refund", refund),
    "refund attachment": ("attach_refund", refund_attachment),
    "assignment": ("assign_order", assignment),
    "recording": ("record_order", recording),
    "registration": ("register_customer", registration),
    "POS record": ("push_pos_customer", pos_record),
    "POS records": ("push_pos_customers", pos_records),
    "record taking": ("take_pos_record", record_taking),
    "link": ("make_link", link),
    "link approval": ("approve_link", link_approval),
    "link end": ("end_link", link_end),
    "email change": ("change_email", staff_change),
    "correction": ("correct_email", correction),
    "correction of a proven address": ("request_email_override", override),
    "approved correction": ("approve_email_override", override_approval),
    "undo": ("undo_email_change", undo),
    "lifted hold": ("lift_redemption_hold", hold_lift),
    "own voucher": ("issue_my_voucher", my_voucher),
    "voucher at the till": ("issue_customer_voucher", till_voucher),
    "cancelled voucher": ("cancel_voucher", cancelled_voucher),
    "hold": ("open_hold", hold),
    "capture": ("capture_hold", capture),
    "adjustment": ("adjust_points", adjustment),
    "approval": ("approve_adjustment", approval),
    "undone adjustment": ("undo_adjustment", adjustment_undo),
    "rules": ("publish_rules", rules),
    "further programme": ("join_programme", joining),
    "combination": ("combine_memberships", combination),
    "undone combination": ("undo_combine", undone_combination),
    "leaving": ("leave_membership", leaving),
    "undone leaving": ("undo_leave", undone_leaving),
    "sharer": ("join_membership", sharer),
    "undone sharer": ("undo_join", undone_sharer),
    "acceptance": ("accept_sharing_invitation", acceptance),
    "own leaving": ("leave_my_membership", own_leaving),
    "merging": ("merge_customers", merging),
    "approved merge": ("approve_merge", approved_merge),
    "undone merge": ("undo_merge", undone_merge),
    "claim": ("claim", claim),
}
# Sent again, these answer what became of the thing itself, whatever the key.
TOLD_AGAIN = {
    "push_order",
    "push_orders",
    "push_refund",
    "push_pos_customer",
    "push_pos_customers",
    "capture_hold",
    "combine_memberships",
}
# These say whether anything was new: the first is told so, the others that nothing has changed.
TELLS_CHANGES = {"push_pos_customer", "push_pos_customers"}
# These move no points and take no sale or voucher along.
QUIET = {
    "correct_email",
    "request_email_override",
    "approve_email_override",
    "publish_rules",
    "push_pos_customer",
    "push_pos_customers",
}
AT_ONCE, SOME_AT_ONCE = 64, 3
GOOD_KEY = "till-4-receipt-000123"

each = pytest.mark.parametrize("name", CASES)


class Caller:
    """Sends the calls of one case."""

    def __init__(self, shop: Shop, operation: str, case: Case) -> None:
        self.shop = shop
        self.operation = operation
        self.case = case

    @classmethod
    async def of(cls, shop: Shop, name: str) -> "Caller":
        operation, make = CASES[name]
        return cls(shop, operation, await make(shop))

    async def send(self, key: str | bytes | None = GOOD_KEY, body: Fields | None = None) -> httpx.Response:
        shop = self.shop
        headers = {Sender.KEY: shop.key, Sender.MEMBER: shop.ana.headers, Sender.STAFF: shop.staff[Role.MANAGER]}[
            BY_OPERATION[self.operation].caller
        ]
        raw = {name: value.encode() for name, value in headers.items()}
        if key is not None:
            raw["Idempotency-Key"] = key if isinstance(key, bytes) else key.encode()
        return await self.shop.send(
            self.operation,
            headers=raw,
            path=self.case.path,
            json=dict(self.case.body if body is None else body),  # type: ignore[arg-type]
        )


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A call that works and that under another key would be another act; and what the same key must not be used for."""

    path: str
    body: dict[str, Any] | None = None
    other: dict[str, Any] | None = None
    other_path: str | None = None


async def claim_code(shop: Shop) -> Again:
    """A claim code for a customer without a sign-in; the key belongs to this customer's path."""
    path = f"/v1/staff/customers/{shop.till_customer_id}/claim-codes"
    return Again(path=path, other_path=f"/v1/staff/customers/{shop.ben.customer_id}/claim-codes")


async def receipt_code(shop: Shop) -> Again:
    """A claim code for the receipt of a sale to nobody, and of another one."""
    paths = []
    for external_id in ("sale-1", "sale-2"):
        sold = expect(await shop.send("push_order", json=shop.order(external_id) | {"customer": None}), 201)
        paths.append(f"/v1/staff/orders/{sold['order_id']}/claim-codes")
    return Again(path=paths[0], other_path=paths[1])


async def claim_batch(shop: Shop) -> Again:
    """Codes for everybody whom no email reaches, and for those who have one already, too."""
    expect(await shop.send("register_customer", json={"given_name": "Dee", "phone": "+442079460123"}), 201)
    return Again(path="/v1/staff/claim-batches", body={"reissue": True}, other={"reissue": False})


async def own_export(_: Shop) -> Again:
    """A copy of everything held about Ana; another body of the same."""
    return Again(path="/v1/me/exports", body={"password": PASSWORD}, other={})


async def export(shop: Shop) -> Again:
    """The same at the desk."""
    body = {"identity_attested": True, "reason": "asked for it"}
    path = f"/v1/staff/customers/{shop.ben.customer_id}/exports"
    return Again(path=path, body=body, other=body | {"reason": "something else"})


async def own_erasure(shop: Shop) -> Again:
    """Ana's wish to be forgotten."""
    expect(await shop.send("release_hold"), 200)
    return Again(path="/v1/me/erasure", body={"password": PASSWORD}, other={})


async def cancelled_own_erasure(shop: Shop) -> Again:
    """And that she thought better of it."""
    case = await own_erasure(shop)
    headers = shop.ana.headers | {"Idempotency-Key": f"test-{new_id()}"}
    expect(await shop.client.post(case.path, json=case.body, headers=headers), 202)
    return Again(path=case.path)


async def erasure(shop: Shop) -> Again:
    """A wish told at the desk."""
    path = f"/v1/staff/customers/{shop.till_customer_id}/erasure"
    shown = expect(await shop.client.post(f"{path}/preview", headers=shop.staff[Role.MANAGER]), 200)
    body = {"identity_attested": True, "reason": "told at the desk", "preview_hash": shown["preview_hash"]}
    return Again(path=path, body=body, other=body | {"reason": "something else"})


async def _asked_erasure(shop: Shop) -> str:
    case = await erasure(shop)
    headers = await shop.world.staff_headers(Role.MANAGER) | {"Idempotency-Key": f"test-{new_id()}"}
    return str(expect(await shop.client.post(case.path, json=case.body, headers=headers), 202)["id"])


async def approved_erasure(shop: Shop) -> Again:
    """And approved by another person."""
    path = f"/v1/staff/erasures/{await _asked_erasure(shop)}"
    shown = expect(await shop.client.get(path, headers=shop.staff[Role.MANAGER]), 200)
    body = {"preview_hash": shown["preview_hash"]}
    return Again(path=f"{path}/approve", body=body, other=body | {"note": "something else"})


async def cancelled_erasure(shop: Shop) -> Again:
    """Or refused."""
    path = f"/v1/staff/erasures/{await _asked_erasure(shop)}/cancel"
    return Again(path=path, body={"reason": "rang up"}, other={"reason": "something else"})


async def letting_go(shop: Shop) -> Again:
    """Somebody who has not come for years."""
    sql = "update customer set created_at = $2, updated_at = $2 where id = $1"
    await DB.fetch(sql, shop.till_customer_id, shop.world.clock.now() - timedelta(days=1_500))
    search = {"years": 3}
    path = "/v1/staff/erasures/dormant"
    admin = shop.staff[Role.ADMIN]
    shown = expect(await shop.client.post(f"{path}/preview", json=search, headers=admin), 200)
    body = search | {"reason": "tidying up", "preview_hash": shown["preview_hash"]}
    return Again(path=path, body=body, other=body | {"reason": "something else"})


AGAIN: dict[str, tuple[str, Callable[[Shop], Awaitable[Again]]]] = {
    "claim code": ("issue_claim_code", claim_code),
    "receipt code": ("issue_receipt_code", receipt_code),
    "batch of claim codes": ("create_claim_batch", claim_batch),
    "own export": ("request_my_export", own_export),
    "export": ("request_customer_export", export),
    "own erasure": ("request_my_erasure", own_erasure),
    "cancelled own erasure": ("cancel_my_erasure", cancelled_own_erasure),
    "erasure": ("request_customer_erasure", erasure),
    "approved erasure": ("approve_erasure", approved_erasure),
    "cancelled erasure": ("cancel_erasure", cancelled_erasure),
    "letting go": ("erase_dormant", letting_go),
}


@pytest.mark.parametrize("name", AGAIN)
async def test_what_is_asked_for_and_asked_again_after_a_lost_answer_is_one_act(shop: Shop, name: str) -> None:
    operation, make = AGAIN[name]
    case = await make(shop)
    headers_of_it = shop.headers(BY_OPERATION[operation])
    credential = {"Authorization": headers_of_it["Authorization"]}

    async def send(key: str | None = GOOD_KEY, **changed: Any) -> httpx.Response:  # noqa: ANN401 - what differs
        headers = credential | ({"Idempotency-Key": key} if key else {})
        wish = {"path": case.path, "json": case.body} | changed
        return await shop.send(operation, headers=headers, **wish)

    before = await shop.snapshot()
    for key in (None, "short"):
        assert check_problem(await send(key)).code == "IDEMPOTENCY_KEY_MISSING"
    assert await shop.snapshot() == before
    answers = await asyncio.gather(*(send() for _ in range(4)))
    assert all(answer.is_success for answer in answers), [answer.text for answer in answers]
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 3
    after = await shop.snapshot()
    assert after != before
    shop.later(minutes=5)
    again = await send()
    assert (again.content, again.headers["idempotency-replayed"]) == (answers[0].content, "true")
    for changed in [{"json": case.other}] * bool(case.other) + [{"path": case.other_path}] * bool(case.other_path):
        assert check_problem(await send(**changed)).code == "IDEMPOTENCY_CONFLICT"
    assert await shop.snapshot() | {"staff_session": ""} == after | {"staff_session": ""}


def test_every_idempotent_operation_has_a_case() -> None:
    cases = {operation for operation, _ in (*CASES.values(), *AGAIN.values())}
    assert cases == {row.operation for row in ENDPOINTS if row.idempotent}


MALFORMED_KEYS = (
    "",
    "short",
    "x" * 15,
    "x" * 65,
    "x" * 5000,
    "with blanks in it",
    "semi;colon;colon;",
    "ünïcödé-ünïcödé",
    "a" * 20 + "\n",
)


@each
async def test_a_key_is_for_one_call_and_its_repetitions(shop: Shop, name: str) -> None:
    caller = await Caller.of(shop, name)
    body, other = caller.case.body, caller.case.other
    before = await shop.snapshot()
    for key in (None, *some_of(MALFORMED_KEYS, 2, turn=list(CASES).index(name))):
        assert check_problem(await caller.send(key)).code == "IDEMPOTENCY_KEY_MISSING", key
    # A refused call leaves its key unused.
    assert (await caller.send(body={"nonsense": 1})).status_code == 400
    assert await shop.snapshot() == before
    # At once, and one of them for something else: whichever comes first decides what the key is for.
    bodies = (body, body, other, body)
    answers = await asyncio.gather(*(caller.send(body=sent) for sent in bodies))
    done = next((sent for sent, answer in zip(bodies, answers, strict=True) if answer.is_success), body)
    good = [answer for sent, answer in zip(bodies, answers, strict=True) if sent is done]
    assert all(answer.is_success for answer in good), [answer.text for answer in answers]
    assert len({answer.content for answer in good}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == len(good) - 1
    for sent, answer in zip(bodies, answers, strict=True):
        assert sent is done or check_problem(answer).code == "IDEMPOTENCY_CONFLICT"
    after = await shop.snapshot()
    assert after != before
    shop.later(minutes=5)
    for _ in range(2):
        again = await caller.send(body=done)
        assert (again.status_code, again.content) == (good[0].status_code, good[0].content)
        assert again.headers["idempotency-replayed"] == "true"
    assert check_problem(await caller.send(body=other if done is body else body)).code == "IDEMPOTENCY_CONFLICT"
    # A staff session notes that it is in use.
    assert await shop.snapshot() | {"staff_session": ""} == after | {"staff_session": ""}


@each
async def test_the_same_thing_under_many_keys_at_once_happens_once_and_breaks_nothing(shop: Shop, name: str) -> None:
    caller = await Caller.of(shop, name)
    many = SOME_AT_ONCE if caller.operation in QUIET else AT_ONCE
    answers: list[httpx.Response] = []
    waiting = [f"another-key-{i:06}" for i in range(many)]
    while waiting:
        sent = await asyncio.gather(*(caller.send(key) for key in waiting))
        # Whom the service is too busy for asks again.
        waiting = [key for key, answer in zip(waiting, sent, strict=True) if answer.status_code == 503]
        answers += [answer for answer in sent if answer.status_code != 503]
    done = [answer for answer in answers if answer.is_success]
    # A till that sends its receipt again is told what it earned; the rest is refused, as the world has moved on.
    assert len({answer.content for answer in done}) == (2 if caller.operation in TELLS_CHANGES else 1)
    assert len(done) == (many if caller.operation in TOLD_AGAIN else 1)
    for answer in answers:
        # Passwords that come along are counted.
        assert answer.is_success or check_problem(answer).status in (400, 404, 409, 429)
    await assert_verified(shop.world)


async def test_a_key_belongs_to_its_caller(shop: Shop) -> None:
    caller = await Caller.of(shop, "registration")
    assert (await caller.send()).is_success
    theirs = shop.staff[Role.CASHIER] | {"Idempotency-Key": GOOD_KEY}
    answer = await shop.send("register_customer", headers=theirs, json=caller.case.other)
    assert answer.status_code == 201
    assert "idempotency-replayed" not in answer.headers


async def test_a_key_belongs_to_its_path(shop: Shop) -> None:
    caller = await Caller.of(shop, "email change")
    assert (await caller.send()).is_success
    path = f"/v1/staff/customers/{shop.ana.customer_id}/email-changes"
    headers = shop.staff[Role.MANAGER] | {"Idempotency-Key": GOOD_KEY}
    before = await shop.snapshot()
    answer = await shop.send("change_email", headers=headers, path=path, json=caller.case.body)
    assert check_problem(answer).code == "IDEMPOTENCY_CONFLICT"
    assert await shop.snapshot() == before
