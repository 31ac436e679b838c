"""The tables in code and a migrated database say the same."""

from piccolo.table import sort_table_classes

from server.db.engine import DB
from server.db.tables import TABLES
from tests.app import World

# A default of null is none. Piccolo has no words for generated columns.
_COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull,
       nullif(split_part(pg_get_expr(d.adbin, d.adrelid), '::', 1), 'NULL') as "default"
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and a.attgenerated = ''
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace
"""
_CONSTRAINTS = """
select c.relname, k.conname, pg_get_constraintdef(k.oid) as definition
from pg_constraint k join pg_class c on c.oid = k.conrelid
where c.relnamespace = current_schema()::regnamespace and k.contype in ('c', 'f', 'p', 'u')
"""
_INDEXES = """
select tablename as relname, indexname, replace(indexdef, schemaname || '.', '') as definition
from pg_indexes where schemaname = current_schema()
"""

_WITHOUT_INDEX = """
select t.relname::text as name, array_agg(a.attname::text order by a.attname) as columns
from pg_constraint k
join pg_class t on t.oid = k.conrelid
join pg_attribute a on a.attrelid = t.oid and a.attnum = k.conkey[1]
where k.contype = 'f' and t.relnamespace = current_schema()::regnamespace
  and not exists (select from pg_index i where i.indrelid = t.oid and i.indkey[0] = a.attnum)
group by 1 order by 1
"""


async def test_the_migrations_make_exactly_the_tables_in_code(world: World) -> None:
    migrated = await _describe()
    async with DB.transaction():
        await DB.run_script("create schema in_code; set local search_path = in_code;")
        for table in sort_table_classes(list(TABLES)):
            for statement in table.create_table().ddl:
                await DB.run_script(statement)
        in_code = await _describe()
    names = {table._meta.tablename for table in TABLES}
    for what in ("columns", "constraints"):
        assert {row for row in migrated[what] if row[0] in names} == in_code[what]
    # Migrations add those that Piccolo has no words for: partial ones, and ones over expressions.
    assert in_code["indexes"] <= migrated["indexes"]


async def test_rows_that_explain_a_balance_never_vanish_with_others(world: World) -> None:
    actions = await DB.fetch("select distinct confdeltype::text as action from pg_constraint where contype = 'f'")
    assert [row["action"] for row in actions] == ["r"]


async def _describe() -> dict[str, set[tuple[object, ...]]]:
    queries = {"columns": _COLUMNS, "constraints": _CONSTRAINTS, "indexes": _INDEXES}
    return {what: {tuple(row.values()) for row in await DB.fetch(sql)} for what, sql in queries.items()}


async def test_every_foreign_key_that_is_searched_by_has_an_index(world: World) -> None:
    rows = await DB.fetch(_WITHOUT_INDEX)
    # Their targets are never deleted, and what is asked of them is found by another column first.
    assert [(row["name"], row["columns"]) for row in rows] == [
        ("assignment", ["customer", "membership"]),
        ("audience_contact", ["moved_from"]),
        ("balance_row", ["membership"]),
        ("bonus_grant", ["membership"]),
        ("card", ["replaced_by"]),
        ("consent_event", ["store"]),
        ("exemption", ["membership"]),
        ("hold", ["store"]),
        ("ledger_entry", ["customer", "rule_version"]),
        ("membership_person", ["programme"]),
        ("order_difference", ["customer"]),
        ("orders", ["rule_version"]),
        ("refund", ["customer", "store"]),
        ("tier_review", ["rule_version"]),
        ("voucher", ["replaced_by"]),
    ]
