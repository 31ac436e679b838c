from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns.base import OnDelete, OnUpdate
from piccolo.columns.column_types import UUID, Boolean, ForeignKey, Text, Timestamptz
from piccolo.columns.indexes import IndexMethod
from piccolo.constraints import Check
from piccolo.table import Table


class Customer(Table, tablename="customer", schema=None):
    id = UUID(
        default=None,
        null=False,
        primary_key=True,
        unique=False,
        index=False,
        index_method=IndexMethod.btree,
        choices=None,
        db_column_name=None,
        secret=False,
    )


class PosRecord(Table, tablename="pos_record", schema=None):
    id = UUID(
        default=None,
        null=False,
        primary_key=True,
        unique=False,
        index=False,
        index_method=IndexMethod.btree,
        choices=None,
        db_column_name=None,
        secret=False,
    )


class StaffMember(Table, tablename="staff_member", schema=None):
    id = UUID(
        default=None,
        null=False,
        primary_key=True,
        unique=False,
        index=False,
        index_method=IndexMethod.btree,
        choices=None,
        db_column_name=None,
        secret=False,
    )


ID = "0034"
VERSION = "1.38.0"
DESCRIPTION = "What people have to do in a till, and which tills know the members"


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="regulars", description=DESCRIPTION)

    manager.add_table(class_name="PosTodo", tablename="pos_todo", schema=None, columns=None)

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="id",
        db_column_name="id",
        column_class_name="UUID",
        column_class=UUID,
        params={
            "default": None,
            "null": False,
            "primary_key": True,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="kind",
        db_column_name="kind",
        column_class_name="Text",
        column_class=Text,
        params={
            "default": "merge",
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="customer",
        db_column_name="customer",
        column_class_name="ForeignKey",
        column_class=ForeignKey,
        params={
            "references": Customer,
            "on_delete": OnDelete.restrict,
            "on_update": OnUpdate.restrict,
            "target_column": None,
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": True,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="kept_record",
        db_column_name="kept_record",
        column_class_name="ForeignKey",
        column_class=ForeignKey,
        params={
            "references": PosRecord,
            "on_delete": OnDelete.restrict,
            "on_update": OnUpdate.restrict,
            "target_column": None,
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": True,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="absorbed_record",
        db_column_name="absorbed_record",
        column_class_name="ForeignKey",
        column_class=ForeignKey,
        params={
            "references": PosRecord,
            "on_delete": OnDelete.restrict,
            "on_update": OnUpdate.restrict,
            "target_column": None,
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": True,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="state",
        db_column_name="state",
        column_class_name="Text",
        column_class=Text,
        params={
            "default": "open",
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="created_at",
        db_column_name="created_at",
        column_class_name="Timestamptz",
        column_class=Timestamptz,
        params={
            "default": None,
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="error",
        db_column_name="error",
        column_class_name="Text",
        column_class=Text,
        params={
            "default": "",
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="done_at",
        db_column_name="done_at",
        column_class_name="Timestamptz",
        column_class=Timestamptz,
        params={
            "default": None,
            "null": True,
            "primary_key": False,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="done_by",
        db_column_name="done_by",
        column_class_name="ForeignKey",
        column_class=ForeignKey,
        params={
            "references": StaffMember,
            "on_delete": OnDelete.restrict,
            "on_update": OnUpdate.restrict,
            "target_column": None,
            "null": True,
            "primary_key": False,
            "unique": False,
            "index": True,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_column(
        table_class_name="PosTodo",
        tablename="pos_todo",
        column_name="note",
        db_column_name="note",
        column_class_name="Text",
        column_class=Text,
        params={
            "default": "",
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.add_constraint(
        table_class_name="PosTodo",
        tablename="pos_todo",
        constraint_name="pos_todo_kind_known",
        constraint_class=Check,
        params={"condition": "kind in ('merge')"},
        schema=None,
    )

    manager.add_constraint(
        table_class_name="PosTodo",
        tablename="pos_todo",
        constraint_name="pos_todo_state_known",
        constraint_class=Check,
        params={"condition": "state in ('open', 'done', 'dropped')"},
        schema=None,
    )

    manager.add_constraint(
        table_class_name="PosTodo",
        tablename="pos_todo",
        constraint_name="pos_todo_done_says_when",
        constraint_class=Check,
        params={"condition": "(state = 'open') = (done_at is null)"},
        schema=None,
    )

    manager.add_constraint(
        table_class_name="PosTodo",
        tablename="pos_todo",
        constraint_name="pos_todo_of_two",
        constraint_class=Check,
        params={"condition": "kept_record <> absorbed_record"},
        schema=None,
    )

    manager.add_column(
        table_class_name="PosState",
        tablename="pos_state",
        column_name="knows_members",
        db_column_name="knows_members",
        column_class_name="Boolean",
        column_class=Boolean,
        params={
            "default": False,
            "null": False,
            "primary_key": False,
            "unique": False,
            "index": False,
            "index_method": IndexMethod.btree,
            "choices": None,
            "db_column_name": None,
            "secret": False,
        },
        schema=None,
    )

    manager.drop_constraint(
        table_class_name="LinkReview",
        tablename="link_review",
        constraint_name="link_review_reason_known",
        schema=None,
    )

    manager.add_constraint(
        table_class_name="LinkReview",
        tablename="link_review",
        constraint_name="link_review_reason_listed",
        constraint_class=Check,
        params={"condition": "reason in ('ambiguous', 'taken', 'merged_in_pos', 'disputed')"},
        schema=None,
    )

    return manager
