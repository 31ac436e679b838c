"""Use cases of vouchers: what is offered, taking one for points, showing and cancelling."""

from functools import partial
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.audit.store import record
from server.auth import Member, Staff, check_stepped_up
from server.context import Context
from server.customers.service import check_exists
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import NotFound, Refused
from server.idempotency import IdempotentCall, StoredReply, find_reply, once
from server.ledger.movements import Origin, give_back, spend
from server.memberships.service import check_not_self
from server.memberships.store import lock_memberships
from server.rewards import catalogue_store, hold_store
from server.rewards import voucher_store as store
from server.rewards.catalogue_store import get_terms
from server.rewards.rules import Offer, voucher_valid_until
from server.rewards.service import check_unspent, code_of, hash_code
from server.rewards.spending import (
    Home,
    Wallet,
    check_by_card,
    check_may_spend,
    check_points,
    count_try,
    list_homes,
    open_wallet,
    use_presence,
)
from server.sessions.service import prove_password
from shared.codes import normalise_voucher_code
from shared.problems import Code
from shared.rewards import (
    CancelVoucher,
    RewardKind,
    RewardOffer,
    RewardOffers,
    RewardStatus,
    StaffTakeReward,
    TakeReward,
    VoucherIssued,
    VoucherList,
    VoucherStatus,
    VoucherView,
)

_BY_CARD, _PROVEN = "spent_by_card", "spent_on_voucher"


async def list_offers(ctx: Context, customer_id: UUID) -> RewardOffers:
    """Return what a member can take now, cheapest first; programme by programme, if they are in several.

    Raises:
        NotFound: The customer is in no membership.
        Refused: MEMBERSHIP_CLOSED.
    """
    wallets = [await open_wallet(ctx, home) for home in await list_homes(customer_id)]
    items: list[RewardOffer] = []
    for wallet in wallets:
        rows = await catalogue_store.list_offers(wallet.programme.id, customer_id)
        items += [_offer_view(row, wallet) for row in rows if _offer(row).is_open_at(ctx.now)]
    return RewardOffers(spendable=wallets[0].standing.spendable, items=tuple(items))


async def list_vouchers(ctx: Context, customer_id: UUID) -> VoucherList:
    """Return a customer's vouchers, newest first."""
    return VoucherList(items=tuple(_view(row) for row in await store.list_vouchers(customer_id, ctx.now)))


async def list_customer_vouchers(ctx: Context, customer_id: UUID) -> VoucherList:
    """Return a customer's vouchers for staff.

    Raises:
        NotFound: There is no such customer.
    """
    found = await list_vouchers(ctx, customer_id)
    if not found.items:
        await check_exists(customer_id)
    return found


async def issue_to_member(ctx: Context, member: Member, call: IdempotentCall, form: TakeReward) -> StoredReply:
    """Take a reward for points in the app, once; the password is needed once the day's small limit is passed.

    Raises:
        Refused: REAUTH_REQUIRED, REWARD_UNAVAILABLE, PREVIEW_STALE (it is another than was shown), INSUFFICIENT_POINTS,
            REDEMPTION_LIMIT, REDEMPTION_HELD, MEMBERSHIP_CLOSED.
        Throttled: Too many wrong passwords.
    """
    is_proven = False
    if form.password is not None and await find_reply(call) is None:
        await prove_password(ctx, member.customer_id, form.password)
        is_proven = True
    home = await _find_home(member.customer_id, form.reward_id)
    work = partial(_issue_to_member, ctx, member, home, form, is_proven)
    return _with_code(ctx, await once(ctx, call, 201, work))


async def issue_at_till(
    ctx: Context, staff: Staff, customer_id: UUID, call: IdempotentCall, form: StaffTakeReward
) -> StoredReply:
    """Take a reward for a customer at the till, once: with the app's digits, or within the day's small limit.

    Raises:
        NotFound: The customer is in no membership.
        Throttled: Too many tries at the digits.
        Refused: SELF_DEALING, PRESENCE_NEEDED, PRESENCE_WRONG, or as in `issue_to_member`.
    """
    await check_not_self(staff.customer_id, customer_id)
    home = await _find_home(customer_id, form.reward_id)
    if form.presence_code is not None:
        await count_try(ctx, customer_id, call, form.presence_code)
    work = partial(_issue_at_till, ctx, home, form)
    return _with_code(ctx, await once(ctx, call, 201, work))


async def cancel_voucher(ctx: Context, staff: Staff, voucher_id: UUID, form: CancelVoucher) -> VoucherView:
    """Void an unused voucher and give its points back with their dates, in the caller's transaction.

    Raises:
        NotFound: There is no such voucher.
        Refused: SELF_DEALING, VOUCHER_USED, MEMBERSHIP_CLOSED.
    """
    found = await store.find_voucher(voucher_id, ctx.now)
    if found is None:
        raise NotFound
    await check_not_self(staff.customer_id, found["customer"])
    (membership,) = await lock_memberships([found["membership"]])
    if membership["status"] != "active":
        raise Refused(Code.MEMBERSHIP_CLOSED)
    voucher = await hold_store.lock_voucher(voucher_id)
    await check_unspent(ctx, voucher)
    await store.cancel_voucher(voucher_id, ctx.now)
    given = await _give_back(ctx, membership, voucher)
    await record(
        ctx,
        "voucher.cancelled",
        subject_kind="voucher",
        subject_id=voucher_id,
        customer_id=voucher["customer"],
        reason=form.reason,
        details={"points": given},
    )
    await mark_membership(ctx, membership["id"])
    return await _get_view(ctx, voucher_id)


async def _find_home(customer_id: UUID, reward_id: UUID) -> Home:
    """Return the customer's membership in the programme of a reward."""
    homes = await list_homes(customer_id)
    programme_id = await catalogue_store.find_programme_of(reward_id)
    home = next((home for home in homes if home.programme_id == programme_id), None)
    if home is None:
        raise Refused(Code.REWARD_UNAVAILABLE)
    return home


class _Deal(msgspec.Struct, frozen=True, kw_only=True):
    """A reward about to be taken: the locked membership and reward, and what there is to spend."""

    membership: Row
    wallet: Wallet
    reward: Row

    @property
    def cost(self) -> int:
        """The points it takes."""
        cost: int = self.reward["points_cost"]
        return cost


async def _issue_to_member(
    ctx: Context,
    member: Member,
    home: Home,
    form: TakeReward,
    is_proven: bool,  # noqa: FBT001 - bound by partial
) -> VoucherIssued:
    deal = await _open_deal(ctx, home, form)
    if deal.wallet.standing.spent_today + deal.cost > deal.wallet.terms.card_daily_points and not is_proven:
        check_stepped_up(ctx, member)
    return await _issue(ctx, deal, reason_code=_PROVEN)


async def _issue_at_till(ctx: Context, home: Home, form: StaffTakeReward) -> VoucherIssued:
    deal = await _open_deal(ctx, home, form)
    if form.presence_code is None:
        check_by_card(deal.wallet, deal.cost)
        return await _issue(ctx, deal, reason_code=_BY_CARD)
    await use_presence(ctx, home.customer_id, form.presence_code)
    return await _issue(ctx, deal, reason_code=_PROVEN)


async def _open_deal(ctx: Context, home: Home, form: TakeReward | StaffTakeReward) -> _Deal:
    """Lock membership and reward, so that points and stock are counted exactly, and check that it can be had."""
    (membership,) = await lock_memberships([home.membership_id])
    wallet = await open_wallet(ctx, home)
    await catalogue_store.lock_reward(form.reward_id)
    reward = await catalogue_store.get_offer(form.reward_id, home.customer_id)
    offer = _offer(reward)
    if not offer.is_open_at(ctx.now):
        raise Refused(Code.REWARD_UNAVAILABLE)
    if offer.left == 0:
        raise Refused(Code.REWARD_UNAVAILABLE, "None is left for this customer.")
    if form.version not in (None, reward["version"]):
        raise Refused(Code.PREVIEW_STALE)
    check_may_spend(wallet.standing, ctx.now)
    check_points(wallet.standing, reward["points_cost"])
    return _Deal(membership=membership, wallet=wallet, reward=reward)


async def _issue(ctx: Context, deal: _Deal, *, reason_code: str) -> VoucherIssued:
    voucher_id, home = new_id(), deal.wallet.home
    origin = Origin(
        source_key=f"voucher:{voucher_id}",
        customer_id=home.customer_id,
        reason_code=reason_code,
        note=deal.reward["name"],
    )
    code = code_of(ctx, voucher_id)
    await store.insert_voucher(
        ctx,
        voucher_id,
        deal.reward["id"],
        membership_id=home.membership_id,
        customer_id=home.customer_id,
        code_hash=hash_code(ctx, normalise_voucher_code(code)),
        code_last4=code[-4:],
        valid_until=voucher_valid_until(ctx.now, deal.reward["valid_days"], deal.reward["zone"]),
        entry_id=await spend(ctx, deal.membership, deal.cost, origin),
    )
    await record(
        ctx,
        "voucher.issued",
        subject_kind="voucher",
        subject_id=voucher_id,
        customer_id=home.customer_id,
        details={"reward": deal.reward["code"], "points": deal.cost},
    )
    await mark_membership(ctx, home.membership_id)
    # The answer is stored for retries, so the code is added to what is sent only.
    return VoucherIssued(voucher=await _get_view(ctx, voucher_id), code="")


def _with_code(ctx: Context, reply: StoredReply) -> StoredReply:
    issued = msgspec.json.decode(reply.body, type=VoucherIssued)
    whole = msgspec.structs.replace(issued, code=code_of(ctx, issued.voucher.id))
    return msgspec.structs.replace(reply, body=msgspec.json.encode(whole))


async def _give_back(ctx: Context, membership: Row, voucher: Row) -> int:
    if voucher["issue_entry"] is None:
        return 0
    origin = Origin(
        source_key=f"voucher:{voucher['id']}", customer_id=voucher["customer"], reason_code="voucher_cancelled"
    )
    terms = await get_terms(membership["programme"])
    return await give_back(
        ctx,
        membership,
        voucher["points_cost"],
        origin,
        spent_entry_id=voucher["issue_entry"],
        grace=terms.grace,
    )


async def _get_view(ctx: Context, voucher_id: UUID) -> VoucherView:
    row = await store.find_voucher(voucher_id, ctx.now)
    assert row is not None
    return _view(row)


def _view(row: Row) -> VoucherView:
    return VoucherView(
        id=row["id"],
        reward_name=row["reward_name"],
        kind=RewardKind(row["kind"]),
        value_minor=row["value_minor"],
        currency=row["currency"],
        percent=row["percent"],
        sku=row["sku"],
        points_cost=row["points_cost"],
        status=VoucherStatus(row["status_now"]),
        code_ending=row["code_last4"],
        issued_at=row["issued_at"],
        valid_until=row["valid_until"],
        ended_at=row["ended_at"],
    )


def _offer(row: Row) -> Offer:
    return Offer(
        status=RewardStatus(row["status"]),
        active_from=row["active_from"],
        active_until=row["active_until"],
        stock=row["stock"],
        member_limit=row["member_limit"],
        issued=row["issued"],
        issued_to_customer=row["issued_to_customer"],
    )


def _offer_view(row: Row, wallet: Wallet) -> RewardOffer:
    left, spendable = _offer(row).left, wallet.standing.spendable
    return RewardOffer(
        id=row["id"],
        name=row["name"],
        kind=RewardKind(row["kind"]),
        description=row["description"],
        points_cost=row["points_cost"],
        value_minor=row["value_minor"],
        currency=row["currency"],
        percent=row["percent"],
        valid_days=row["valid_days"],
        active_until=row["active_until"],
        left=left,
        affordable=row["points_cost"] <= spendable and left != 0,
        programme_code=wallet.programme.code,
        spendable=spendable,
        version=row["version"],
    )
