"""The tables in code, the migrations and a migrated database say the same."""

from piccolo.apps.migrations.commands.new import AutoMigrationManager
from piccolo.constraints import Check, Unique
from piccolo.table import Table

from server.db.engine import DB
from server.db.piccolo_app import APP_CONFIG
from server.db.tables import TABLES
from tests.app import World

_COLUMNS = """
select column_name, is_nullable = 'YES' as null, format_type(a.atttypid, a.atttypmod) as type
from information_schema.columns c
join pg_attribute a on a.attrelid = c.table_name::regclass and a.attname = c.column_name
where c.table_schema = 'public' and c.table_name = $1
"""
_CONSTRAINTS = """
select c.conname as name, c.contype::text as kind, c.confdeltype::text as on_delete,
       array(select a.attname::text from pg_attribute a where a.attrelid = c.conrelid and a.attnum = any(c.conkey)
             order by a.attnum) as columns
from pg_constraint c where c.conrelid = $1::regclass and c.contype in ('c', 'u', 'f', 'p')
"""
_TYPES = {
    "UUID": "uuid",
    "TEXT": "text",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "BIGINT[]": "bigint[]",
    "BOOLEAN": "boolean",
    "BYTEA": "bytea",
    "DATE": "date",
    "JSONB": "jsonb",
    "TEXT[]": "text[]",
    "TIMESTAMPTZ": "timestamp with time zone",
    "NUMERIC(12, 3)": "numeric(12,3)",
}


async def test_the_migrations_make_exactly_the_tables_in_code() -> None:
    changes = await AutoMigrationManager(auto_input="n").get_alter_statements(APP_CONFIG)
    assert [statement for change in changes for statement in change.statements] == []


async def test_a_migrated_database_has_the_columns_and_constraints_of_the_code(world: World) -> None:
    for table in TABLES:
        await check_columns(table)
        await check_constraints(table)


async def check_columns(table: type[Table]) -> None:
    found = {row["column_name"]: row for row in await DB.fetch(_COLUMNS, table._meta.tablename)}
    declared = {column._meta.db_column_name: column for column in table._meta.columns}
    assert {name: (row["type"], row["null"]) for name, row in found.items()} == {
        name: (_TYPES[column.column_type.upper()], column._meta.null) for name, column in declared.items()
    }, table._meta.tablename


async def check_constraints(table: type[Table]) -> None:
    rows = await DB.fetch(_CONSTRAINTS, table._meta.tablename)
    names = {kind: {row["name"] for row in rows if row["kind"] == kind} for kind in "cu"}
    declared = table._meta.constraints
    assert names["c"] == {each._meta.name for each in declared if isinstance(each, Check)}
    assert names["u"] >= {each._meta.name for each in declared if isinstance(each, Unique)}
    references = {row["columns"][0]: row["on_delete"] for row in rows if row["kind"] == "f"}
    foreign_keys = [column._meta.db_column_name for column in table._meta.foreign_key_columns]
    # "r" is RESTRICT: no row that explains a balance may vanish with another.
    assert references == dict.fromkeys(foreign_keys, "r")


async def test_every_foreign_key_that_grows_has_an_index_or_says_why_not() -> None:
    # Those without one are never searched by, and their target is never deleted.
    without = {
        (table._meta.tablename, column._meta.name)
        for table in TABLES
        for column in table._meta.foreign_key_columns
        if not (column._meta.index or column._meta.unique or column._meta.primary_key)
    }
    assert {name for _, name in without} <= {
        "assignment", "card", "connection", "customer", "membership", "merged_into", "moved_from", "order", "order_line",
        "programme", "record", "refund", "related_entry", "replaced_by", "rule_version", "store", "successor",
    }  # fmt: skip
