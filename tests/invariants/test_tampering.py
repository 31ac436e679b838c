"""Whatever row of the value side is changed, taken away or doubled behind the program's back, `verify` finds it.

Tables and columns are the database's own, so that a new one has to be decided upon: `verify` proves it, or it stands in one
of the lists here with the reason why nothing can be said of it. `--soak` tries every row, and that each of those is missed.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from operator import attrgetter

import asyncpg
import pytest

from server.db.engine import DB
from server.ledger.verification import CHECKS, run_check
from tests.app import World
from tests.invariants.full_shop import FullShop

# Tables that say nothing of points that were given, by the reason. That what they refer to is there is proven of them, too.
OUTSIDE = {
    "who people are, how they are reached and sign in, and who was made one with whom; it has checks and tests of its own": (
        "customer customer_name_key contact_point login signup_intent member_session refresh_token one_time_token known_network "
        "presence_use sms_code card referral_code consent_wording consent_event sharing_invitation merge claim_batch claim_code "
        "personal_export personal_export_part erasure suppression duplicate_profile duplicate_candidate duplicate_mark email_change"
    ),
    "who works here and at which till, and what they did": (
        "store staff_member staff_session pos_connection api_key audit_entry idempotency_key throttle_counter"
    ),
    "what the till says of its customers, on its way here": (
        "pos_record pos_link link_check link_review pos_todo pos_state pos_cycle pos_staged hook_event order_difference"
    ),
    "what holds from now on, until a manager changes it, or is still to be done": (
        "reward redemption_terms tier_review import_batch expiry_notice audience_contact audience_state message "
        "migration pgqueuer pgqueuer_log pgqueuer_schedules pgqueuer_statistics"
    ),
}
# Columns of the other tables, and rows that are `deleted` or `doubled`, of which `verify` claims nothing, by the reason.
UNPROVEN = {
    "words for people, or the mark of something that is compared with nothing": (
        "ledger_entry.note ledger_entry.reason_code orders.number orders.external_id orders.content_hash orders.pos_customer_id "
        "orders.assignment_reason order_line.position order_line.line_id order_line.sku order_line.description "
        "order_line.category order_line.rule assignment.reason refund.external_id refund.original_external_id "
        "refund.content_hash refund.resolved_reason refund_line.line_id adjustment.note adjustment.visible "
        "adjustment.decision_note adjustment.undo_note adjustment.store balance_row.row_key balance_row.line "
        "balance_row.identified_by balance_row.identifier hold.order_reference hold.proof voucher.code_hash voucher.code_last4 "
        "voucher.void_reason sharing_operation.reason membership_person.left_reason exemption.source_key tier_change.reason "
        "programme.code programme.name programme.unit_one programme.unit_many rule_version.checksum"
    ),
    "a name of the row that no other row calls it by": (
        "allocation.id exemption.id order_line.id assignment.id tier_change.id promotion_use.id bonus_grant.id referral.id "
        "voucher.id hold.id refund_line.id adjustment.id membership_person.id sharing_operation.id"
    ),
    "who did it, or when, of which there is no second witness": (
        "ledger_entry.actor_id ledger_entry.posted_at allocation.posted_at exemption.at orders.created_at assignment.actor_kind "
        "assignment.actor_id assignment.at bonus_return.at tier_change.at referral.created_at referral.completed_at referral.order "
        "voucher.issued_at voucher.ended_at hold.created_at hold.expires_at hold.ended_at refund.created_at refund.posted_at "
        "refund.resolved_at refund.completed_at adjustment.requested_by adjustment.requested_role adjustment.requested_at "
        "adjustment.lapses_at adjustment.decided_by adjustment.decided_at adjustment.undone_by adjustment.undone_at "
        "membership.enrolled_at membership.created_at membership.closed_at membership_person.joined_at "
        "sharing_operation.actor_kind sharing_operation.actor_id sharing_operation.at sharing_operation.undo_until "
        "sharing_operation.undone_at sharing_operation.undone_by rule_version.created_at rule_version.created_by "
        "programme.created_at membership.version programme.version orders.revision"
    ),
    "rules, and what was settled once by rules of its time; nothing else says what it was to be": (
        "programme.launch_at programme.max_sharers programme.is_default programme.late_attach_days programme.reassign_days "
        "programme.claw_visit_points programme.grace_days programme.manager_late_attach_days "
        "programme.manager_reassign_days programme.adjustment_limits rule_version.version rule_version.valid_from "
        "rule_version.body membership_person.redeem_limit membership_person.eligible_from orders.completed_at "
        "order_line.quantity order_line.points_paid_minor tier_change.qualifying_points promotion_use.points "
        "promotion_use.assignment_version referral.referrer_points bonus_grant.order voucher.reward voucher.value_minor "
        "voucher.currency voucher.valid_until voucher.kind voucher.percent voucher.sku hold.amount_minor hold.currency "
        "refund.currency refund.points_owed refund.customer_differs refund.refused_for refund_line.quantity "
        "refund_line.net_minor refund_line.points_part_minor adjustment.each_max"
    ),
    "found where points depend on it, and free where there are none: open carts, parked refunds, refused or waiting wishes": (
        "orders.currency orders.customer orders.membership orders.rule_version refund.state "
        "hold.points hold.entry hold deleted hold doubled "
        "adjustment.customer adjustment.membership adjustment.points adjustment.reason_code adjustment.needs "
        "adjustment deleted adjustment doubled"
    ),
    "found in most kinds of entry; in the others there is no second source, and no sum depends on it": (
        "ledger_entry.kind ledger_entry.occurred_at ledger_entry.source_key ledger_entry.customer ledger_entry.related_entry "
        "lot.expires_at assignment.version membership.successor membership.active_at"
    ),
    "what is there twice says the same as once, and what is gone is missed by nobody but who looks for it": (
        "membership doubled tier_change doubled referral deleted promotion_use deleted sharing_operation.membership "
        "sharing_operation.other sharing_operation.customer sharing_operation.merge sharing_operation.effects "
        "sharing_operation deleted sharing_operation doubled"
    ),
}
# Found where it counts, and not in rows that count for nothing: former places and tiers, lines and sales without points,
# what was refused; nor in entries that others brought in, or that only carry a debt from one account to another.
SPARED = (
    "assignment.customer assignment.membership hold.voucher ledger_entry.order lot.earned_at lot.available_at "
    "lot.idle_days membership_person.membership membership_person.customer membership_person.role "
    "membership_person.left_at membership_person deleted membership_person doubled order_line.stored_value "
    "order_line deleted orders.skipped_reason promotion_use.order promotion_use.code refund_line deleted "
    "tier_change.membership tier_change.tier tier_change.until tier_change deleted"
)


def _names(words: str) -> set[str]:
    words = words.replace(" deleted", "|deleted").replace(" doubled", "|doubled")
    return {name.replace("|", " ") for name in words.split()}


_LISTED = _names(" ".join(UNPROVEN.values()))
_OUTSIDE = {table for tables in OUTSIDE.values() for table in tables.split()}

_COLUMNS = """
select c.table_name as "table", c.column_name as name, c.data_type as type, c.is_nullable = 'YES' as is_nullable, exists (
           select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
           where i.indrelid = format('%I', c.table_name)::regclass and i.indisprimary and a.attname = c.column_name) as is_key
from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
where c.table_schema = 'public' and t.table_type = 'BASE TABLE' and c.is_generated = 'NEVER'
order by 1, c.ordinal_position
"""
_ROWS = """
select ctid::text as place, kind from (
    select ctid, {kind} as kind, row_number() over (partition by {kind} order by {key}) as number from "{table}"
) r where number <= $1 order by kind, number
"""
# The columns that tell one kind of row of a table from another.
_KINDS = ("kind", "state", "status")
_NUMBERS = ("integer", "bigint", "smallint", "numeric")
_ANYTHING = {"uuid": "gen_random_uuid()", "text": "'x'", "bytea": "'x'", "timestamp with time zone": "now()"}


class Column:
    """A column, and other values that a row could as well have in it."""

    def __init__(self, row: asyncpg.Record) -> None:
        self.table: str = row["table"]
        self.name: str = row["name"]
        self.type: str = row["type"]
        self.is_nullable: bool = row["is_nullable"]
        self.is_key: bool = row["is_key"]

    def tamperings(self, place: str) -> Sequence[str]:
        own = f't."{self.name}"'
        return [
            f'update "{self.table}" t set "{self.name}" = {value} where ctid = \'{place}\' and {value} is distinct from {own}'
            for value in self._others(own)
        ]

    def _others(self, own: str) -> Sequence[str]:
        if self.type in _NUMBERS:
            others = [f"coalesce({own} + 1, 1)", f"coalesce({own} - 1, 1)"]
        elif self.type == "timestamp with time zone":
            others = [f"coalesce({own} {sign} interval '1 day', now())" for sign in "+-"]
        elif self.type == "boolean":
            others = [f"not {own}"]
        elif self.type == "jsonb":
            others = ["'{}'", """'{"x": 1}'"""]
        elif self.type == "ARRAY":
            others = [f"array_append({own}, 'x')"]
        elif self.type == "bytea":
            others = [f"coalesce(sha256({own}), 'x')"]
        else:
            # Of another row, as somebody would who mixes rows up, or one that nobody has.
            cast = f'::{self.type} from "{self.table}" o where o."{self.name}"::text'
            found = [f"(select min(o.\"{self.name}\"::text){cast} > coalesce({own}::text, ''))"]
            found.append(f'(select max(o."{self.name}"::text){cast} < {own}::text)')
            others = [f"coalesce({one}, {own}, {_ANYTHING[self.type]})" for one in found]
            others.append("gen_random_uuid()" if self.type == "uuid" else f"coalesce({own} || 'x', 'x')")
        return [*others, "null"] if self.is_nullable else others


class _Undone(Exception):
    """Takes a tampering back."""


class Prover:
    """Tampers with one row at a time, and asks those checks first that found the like before."""

    def __init__(self, now: datetime, *, is_soak: bool) -> None:
        self._now = now
        self._checks = list(CHECKS)
        self._is_soak = is_soak

    async def list_missed(self) -> AsyncIterator[str]:
        """Yield every column that can be changed in some row, and `deleted` and `doubled`, without being found."""
        columns = [Column(row) for row in await DB.fetch(_COLUMNS)]
        for table, group in groupby(columns, key=attrgetter("table")):
            if table not in _OUTSIDE:
                for name, tamperings in await self._list_tamperings(table, list(group)):
                    if (self._is_soak or name not in _LISTED) and await self._is_missed(tamperings):
                        yield name

    async def _list_tamperings(self, table: str, columns: Sequence[Column]) -> list[tuple[str, list[str]]]:
        kind = " || ' ' || ".join(f'"{column.name}"' for column in columns if column.name in _KINDS) or "''"
        key = next(column.name for column in columns if column.is_key)
        rows = await DB.fetch(_ROWS.format(kind=kind, key=f'"{key}"', table=table), 1_000 if self._is_soak else 1)
        assert rows, f"nothing has happened in the full shop that leaves a row in {table}"
        places = [row["place"] for row in rows]
        names = ", ".join(f'"{column.name}"' for column in columns)
        copied = ", ".join("gen_random_uuid()" if column.name == "id" else f'"{column.name}"' for column in columns)
        double = f'insert into "{table}" ({names}) select {copied} from "{table}"'
        return [
            *(
                (f"{table}.{column.name}", [one for place in places for one in column.tamperings(place)])
                for column in columns
            ),
            (f"{table} deleted", [f"delete from \"{table}\" where ctid = '{place}'" for place in places]),
            (f"{table} doubled", [f"{double} where ctid = '{place}'" for place in places]),
        ]

    async def _is_missed(self, tamperings: Sequence[str]) -> bool:
        for tampering in tamperings:
            if not await self._finds(tampering):
                return True
        return False

    async def _finds(self, tampering: str) -> bool:
        """Return whether a tampering is found, or refused by the database, or is none; it is undone again."""
        is_found = True
        # What a check cannot even read, as a time zone that there is not, ends `verify` with an error.
        with suppress(asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, _Undone):
            async with DB.transaction():
                await DB.run_script("set local session_replication_role = replica")
                is_found = await self._changes_nothing(tampering) or await self._is_found()
                raise _Undone
        return is_found

    @staticmethod
    async def _changes_nothing(tampering: str) -> bool:
        return not await DB.fetch(f"{tampering} returning 1")

    async def _is_found(self) -> bool:
        for place, check in enumerate(self._checks):
            if not (await run_check(check, self._now)).is_right:
                self._checks.insert(0, self._checks.pop(place))
                return True
        return False


@pytest.mark.timeout(1800)
async def test_no_row_can_be_tampered_with_unseen(world: World, request: pytest.FixtureRequest) -> None:
    is_soak = request.config.getoption("--soak")
    await FullShop.open(world)
    tables = {row["table"] for row in await DB.fetch(_COLUMNS)}
    assert tables >= _OUTSIDE
    missed = [name async for name in Prover(world.clock.now(), is_soak=is_soak).list_missed()]
    assert set(missed) - (_names(SPARED) if is_soak else set()) == (_LISTED if is_soak else set())
