"""The mistakes: one text of one file each, and the rule that the other text breaks."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A mistake: `old` stands once in the file and becomes `new`, which breaks `rule`."""

    name: str
    file: str
    old: str
    new: str
    rule: str


MUTANTS = (
    Mutant(
        "lapses-late",
        "server/ledger/store.py",
        "coalesce(sum(remaining) filter (where available_at <= $2 and (expires_at is null or expires_at > $2)), 0) as available",
        "coalesce(sum(remaining) filter (where available_at <= $2 and (expires_at is null or expires_at >= $2)), 0) as available",
        "points are gone at the very instant at which they lapse",
    ),
    Mutant(
        "largest-remainder",
        "server/programmes/rules.py",
        "by_remainder = sorted(range(len(exact)), key=lambda i: (shares[i] * parts - exact[i], i))",
        "by_remainder = list(range(len(exact)))",
        "what rounding leaves over goes to the lines with the largest remainders",
    ),
    Mutant(
        "utc-days",
        "server/programmes/rules.py",
        "midnight(at.astimezone(ZoneInfo(zone)).date() + timedelta(days=days_later), zone)",
        "midnight(at.date() + timedelta(days=days_later), zone)",
        "days are those of the programme's zone, in summer too",
    ),
    Mutant(
        "newest-rules",
        "server/orders/sales.py",
        "version = programme.rules_at(order.completed_at) if",
        "version = programme.rule_versions[0] if",
        "a sale earns by the rules of its completion, whenever it is counted",
    ),
    Mutant(
        "start-of-day",
        "server/orders/sales.py",
        "if sale.order.completed_at < eligible_from:",
        "if sale.order.completed_at <= eligible_from:",
        "a sale of the first instant of the first day counts",
    ),
    Mutant(
        "tier-of-now",
        "server/tiers/store.py",
        "where membership in (select regulars_family($1)) and at <= $2\n",
        "where membership in (select regulars_family($1)) and $2::timestamptz is not null\n",
        "a sale is multiplied by the tier of its completion, not by that of later",
    ),
    Mutant(
        "debts-forgotten",
        "server/ledger/credits.py",
        "fills = plan_fills(credit.points, await store.list_debts(credit.membership_id)) if deficit else ()",
        "fills = plan_fills(0, await store.list_debts(credit.membership_id)) if deficit else ()",
        "a credit pays debts first",
    ),
    Mutant(
        "pending-first",
        "server/ledger/rules.py",
        "for lot in (*available, *pending):",
        "for lot in (*pending, *available):",
        "points are taken back from available lots before pending ones",
    ),
    Mutant(
        "oldest-first",
        "server/ledger/rules.py",
        "return (lot.expires_at is None, lot.expires_at or lot.earned_at, lot.earned_at, lot.entry_id)",
        "return (False, lot.earned_at, lot.earned_at, lot.entry_id)",
        "what lapses soonest is spent first",
    ),
    Mutant(
        "lapsed-taken-twice",
        "server/ledger/rules.py",
        "exempt = min(wanted, lapsed_from_own)",
        "exempt = 0",
        "points that have lapsed are not taken back once more",
    ),
    Mutant(
        "restored-anew",
        "server/ledger/movements.py",
        'available_at=lot["available_at"],',
        "available_at=ctx.now,",
        "points come back with the dates they had",
    ),
    Mutant(
        "no-grace",
        "server/ledger/movements.py",
        "return idle_until(ctx.now, grace.days, zone), None",
        "return expires_at, idle_days",
        "points that lapsed while they were spent get days of grace when they come back",
    ),
    Mutant(
        "key-ignored",
        "server/http.py",
        "            key=key,\n",
        "            key=self.ctx.request_id,\n",
        "a call that is sent again under its key has one effect",
    ),
    Mutant(
        "effect-without-key",
        "server/idempotency.py",
        "        return await lock_reply(call) or await keep_reply(ctx, call, status, await work())",
        "        reply = await lock_reply(call)\n        answer = None if reply else await work()\n"
        "    async with DB.transaction():\n        return reply or await keep_reply(ctx, call, status, answer)",
        "an effect and its key commit together",
    ),
    Mutant(
        "hold-for-ever",
        "server/rewards/hold_store.py",
        "from hold where membership = m.id and state = 'open' and expires_at > $3",
        "from hold where membership = m.id and state = 'open' and created_at <= $3",
        "a hold counts for nothing once its time is over",
    ),
    Mutant(
        "late-capture",
        "server/rewards/holds.py",
        'check_points(wallet.standing, hold["points"])',
        "pass",
        "a late capture takes nothing that is held for another sale",
    ),
    Mutant(
        "held-twice",
        "server/rewards/vouchers.py",
        'check_points(wallet.standing, reward["points_cost"])',
        'check_points(wallet.standing, min(wallet.standing.spendable, reward["points_cost"]))',
        "points on hold buy no reward",
    ),
    Mutant(
        "used-and-cancelled",
        "server/rewards/vouchers.py",
        "await check_unspent(ctx, voucher)",
        'voucher["status"] == "held" or await check_unspent(ctx, voucher)',
        "a voucher that is held for a sale cannot be cancelled",
    ),
    Mutant(
        "refund-rounded",
        "server/orders/returns.py",
        "line.line_id: floor((points - part) * shares[line.line_id]) +",
        "line.line_id: round((points - part) * shares[line.line_id]) +",
        "a refund of a part takes its share rounded down",
    ),
    Mutant(
        "refund-not-cumulative",
        "server/refunds/service.py",
        'left = wanted - await store.get_restored(order["id"])',
        "left = wanted",
        "points that paid for a sale come back once, however many refunds there are",
    ),
    Mutant(
        "undo-forgets-debt",
        "server/adjustments/service.py",
        'owed: int = -row["points"] - sum(lot["points"] for lot in taken)',
        "owed = 0",
        "an adjustment that is taken back gives back also what had become a debt",
    ),
    Mutant(
        "write-off",
        "server/orders/postings.py",
        'if policy != "available_only":',
        'if policy == "allow_negative":',
        "spent points are written off only where the programme says so",
    ),
    Mutant(
        "stale-preview",
        "server/orders/assignments.py",
        "    if form.preview_hash != move.hash:\n",
        "    if form.preview_hash is None:\n",
        "nobody carries out what they have not seen",
    ),
    Mutant(
        "let-be-twice",
        "server/ledger/movements.py",
        "lapsed_from_own=max(0, lapsed - exempted_before),",
        "lapsed_from_own=lapsed,",
        "points that lapsed are let be once, however often goods of their sale come back",
    ),
    Mutant(
        "given-back-twice",
        "server/ledger/store.py",
        "select a.lot_entry, (a.points - coalesce(r.points, 0))::bigint as points,",
        "select a.lot_entry, a.points,",
        "of each lot comes back what was taken from it, and no more",
    ),
    Mutant(
        "first-to-lapse-back",
        "server/ledger/rules.py",
        "    for taken in reversed(allocations):\n",
        "    for taken in allocations:\n",
        "of what paid for a sale the points that lapse last come back first",
    ),
    Mutant(
        "undo-mixes-lots",
        "server/adjustments/service.py",
        "taken=taken,",
        "taken=None,",
        "an adjustment that is taken back gives back the lots that it took, not those that paid its debt",
    ),
    Mutant(
        "booked-for-ever",
        "server/ledger/lapse_store.py",
        "least(min(l.available_at) filter (where l.available_at > $1), min(l.expires_at)) as until",
        "min(l.available_at) filter (where l.available_at > $1) as until",
        "figures hold until the next lot lapses, also after lapses were booked",
    ),
    Mutant(
        "shared-taken-apart",
        "server/ledger/rules.py",
        "later = min(wanted, deferred)",
        "later = 0 * deferred",
        "a sale that moves within an account touches no other points of it",
    ),
    Mutant(
        "batch-of-lapsed",
        "server/orders/batch_store.py",
        "coalesce(sum(points) filter (where available_at <= $2 and coalesce(expires_at > $2, true)), 0)::bigint as available,",
        "coalesce(sum(points) filter (where available_at <= $2), 0)::bigint as available,",
        "points of an old sale that have lapsed are not to be spent when it comes in a batch",
    ),
    Mutant(
        "void-keeps-payment",
        "server/orders/changes.py",
        """back = await payments.give_back(ctx, locked, source_key=f"void:{order['id']}")""",
        """back = await payments.give_back(ctx, [one for one in locked if one.is_open], source_key=f"void:{order['id']}")""",
        "what paid for a sale comes back when it is voided",
    ),
)
