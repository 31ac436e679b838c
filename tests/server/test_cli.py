"""What the commands print, refuse and leave behind, against a real database."""

import asyncio
import hashlib
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import click
import pytest
from click.testing import CliRunner

from server.app import create_tools
from server.commands.common import Commands, Failure
from server.commands.serving import prepare_database
from server.context import system_context
from server.db.engine import DB
from server.db.migrate import is_current
from server.demo import marker
from server.settings import describe
from shared.codes import is_card_number
from tests.app import test_settings
from tests.server.command_line import INIT, KEY, Run, query

# Setting up -----------------------------------------------------------------------------------------------------------


def test_init_sets_a_shop_up_and_its_link_is_stored_as_a_hash_only(regulars: Run, database_url: str) -> None:
    answer = regulars(*INIT)

    assert answer.exit_code == 0, answer.output
    [token] = re.findall(r"/links/staff[-_]invitation#(\S+)", answer.output)
    [stored] = query(database_url, "select token_hash from one_time_token")
    assert stored["token_hash"] == hashlib.sha256(token.encode()).digest()
    [programme] = query(database_url, "select name, currency, is_default from programme")
    assert tuple(programme) == ("Corner Club", "GBP", True)
    assert "corner" in regulars("store", "list").output


def test_init_asks_for_what_is_not_given(regulars: Run) -> None:
    answers = "Corner Club\n\n\n\n\ncorner\nThe Corner\nana\nAna Flores\n"
    answer = regulars("init", stdin=answers)
    assert answer.exit_code == 0, answer.output
    assert "Corner Club is set up" in answer.output


def test_a_shop_is_set_up_once(shop: Run, database_url: str) -> None:
    answer = shop(*INIT)
    assert answer.exit_code == 1
    assert "There is one already" in answer.output
    assert len(query(database_url, "select from programme")) == 1


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--zone", "Europe/Londn", "no time zone"),
        ("--currency", "pounds", "not a currency"),
        ("--store-code", "The Shop", "small letters"),
        ("--admin", "x", "login: 2 to 40 letters"),
    ],
)
def test_init_refuses_what_cannot_be_and_writes_nothing(
    regulars: Run, database_url: str, option: str, value: str, words: str
) -> None:
    arguments = INIT.copy()
    arguments[arguments.index(option) + 1] = value
    answer = regulars(*arguments)
    assert answer.exit_code in (1, 2)
    assert words in answer.output
    assert not query(database_url, "select from programme")


def test_new_rules_are_a_new_version_and_never_begin_in_the_past(shop: Run, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('{"points": 2, "per_minor": 100}')
    changed = shop("programme", "rules", str(rules))
    late = shop("programme", "rules", str(rules), "--from", "2020-01-01")

    assert changed.exit_code == 0, changed.output
    assert "Version 2" in changed.output
    assert '"points": 2' in shop("programme", "show").output
    assert late.exit_code == 1
    assert "cannot begin in the past" in late.output


def test_rules_that_no_sale_could_be_counted_by_are_refused_with_every_field(shop: Run, database_url: str) -> None:
    answer = shop("programme", "rules", "-", stdin='{"points": 2, "per_minor": 100, "pionts": 3}')
    assert answer.exit_code == 2
    assert "pionts" in answer.output
    wrong = (
        '{"points": 2, "per_minor": 100, "expiry": {"kind": "fixed_day"},'
        ' "promotions": [{"code": "a", "name": "A", "points": 5, "stores": ["nowhere"]}]}'
    )
    answer = shop("programme", "rules", "-", stdin=wrong)
    assert answer.exit_code == 1
    assert [line.partition(":")[0] for line in answer.output.removeprefix("regulars: ").splitlines()] == [
        "rules.promotions[0].stores[0]",
        "rules.expiry.month",
    ]
    # The rules of the beginning reach back, as sales of the whole day of the launch count.
    [only] = query(
        database_url, "select v.valid_from <= p.launch_at - interval '1 day' as ok from rule_version v, programme p"
    )
    assert only["ok"]


def test_a_store_code_is_used_once(shop: Run) -> None:
    assert shop("store", "add", "harbour", "--name", "Harbour").exit_code == 0
    assert shop("store", "add", "harbour", "--name", "Harbour again").exit_code == 1


def test_issued_cards_are_valid_and_belong_to_nobody(shop: Run, database_url: str) -> None:
    answer = shop("cards", "issue", "25")
    numbers = answer.output.split()
    assert len(set(numbers)) == 25
    assert all(is_card_number(number) for number in numbers)
    rows = query(database_url, "select code, status, membership from card")
    assert {row["code"] for row in rows} == set(numbers)
    assert {(row["status"], row["membership"]) for row in rows} == {("issued", None)}


# Staff and keys -------------------------------------------------------------------------------------------------------


def test_staff_are_invited_listed_and_disabled(shop: Run) -> None:
    invited = shop("staff", "invite", "ben", "--name", "Ben Ray", "--role", "cashier", "--store", "corner")
    taken = shop("staff", "invite", "ben", "--name", "Ben Two", "--role", "cashier")
    renewed = shop("staff", "renew", "ben")
    disabled = shop("staff", "disable", "ben")

    assert invited.exit_code == 0, invited.output
    assert taken.exit_code == 1
    assert "taken" in taken.output
    assert renewed.exit_code == 0
    assert renewed.output != invited.output
    assert disabled.exit_code == 0
    assert re.search(r"ben +cashier +disabled +corner +Ben Ray", shop("staff", "list").output)


def test_whom_nobody_knows_cannot_be_disabled(shop: Run) -> None:
    answer = shop("staff", "disable", "nobody")
    assert answer.exit_code == 1
    assert answer.exception is None or isinstance(answer.exception, SystemExit)


def test_a_key_is_shown_once_and_can_be_revoked(shop: Run, database_url: str) -> None:
    made = shop("keys", "create", "--name", "Till at the window", "--store", "corner")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    [row] = query(database_url, "select id, token_hash, stores from api_key")
    assert row["token_hash"] == hashlib.sha256(token.encode()).digest()
    assert row["stores"] == ["corner"]

    listed = shop("keys", "list").output
    assert "Till at the window" in listed
    assert token not in listed
    assert shop("keys", "revoke", str(row["id"])).exit_code == 0
    assert shop("keys", "revoke", str(row["id"])).exit_code == 1
    assert "revoked" in shop("keys", "list").output


def test_a_key_for_an_unknown_store_is_not_made(shop: Run, database_url: str) -> None:
    answer = shop("keys", "create", "--name", "Till", "--store", "nowhere")
    assert answer.exit_code == 1
    assert "nowhere" in answer.output
    assert not query(database_url, "select from api_key")


# Verifying ------------------------------------------------------------------------------------------------------------


def test_verify_proves_a_right_shop(shop: Run) -> None:
    answer = shop("verify")
    assert answer.exit_code == 0, answer.output
    assert answer.output.rstrip().endswith("all balances are right")


def test_verify_names_the_first_row_of_a_changed_balance(shop: Run, database_url: str) -> None:
    add = """
    with opened as (
        insert into membership (id, programme, enrolled_at, created_at, balance)
        select gen_random_uuid(), id, now(), now(), 7 from programme returning id
    ), person as (
        insert into customer (id, enrolled_source, created_at, updated_at)
        values (gen_random_uuid(), 'till', now(), now()) returning id
    )
    insert into membership_person (id, membership, programme, customer, joined_at, eligible_from)
    select gen_random_uuid(), opened.id, programme.id, person.id, now(), now() from opened, person, programme
    returning membership
    """
    [row] = query(database_url, add)
    answer = shop("verify")

    assert answer.exit_code == 1
    assert f"membership {row['membership']}: found 7, expected 0" in answer.output
    assert answer.output.count("WRONG") == 1
    assert "all balances are right" not in answer.output


# What is expected to go wrong -----------------------------------------------------------------------------------------


def test_wrong_settings_are_all_named_at_once(regulars: Run) -> None:
    answer = regulars("check-config", REGULARS_PORT="99999", REGULARS_MAIL="pigeon", REGULARS_HOTS="x")
    assert answer.exit_code == 2
    assert all(name in answer.output for name in ("REGULARS_PORT", "REGULARS_MAIL", "REGULARS_HOTS", "REGULARS_HOST?"))


def test_check_config_lists_every_setting_and_no_secret(regulars: Run, database_url: str) -> None:
    answer = regulars("check-config")
    assert answer.exit_code == 0, answer.output
    assert all(setting.variable in answer.output for setting in describe())
    assert KEY not in answer.output
    assert database_url not in answer.output


def test_a_database_that_does_not_answer_is_said_without_its_password(regulars: Run) -> None:
    answer = regulars("verify", REGULARS_DATABASE_URL="postgresql://regulars:hush-hush@127.0.0.1:1/regulars")
    assert answer.exit_code == 3
    assert "cannot be reached" in answer.output
    assert "hush-hush" not in answer.output


def test_a_database_that_goes_down_during_a_command_is_no_fault_of_the_shop() -> None:
    @click.group(cls=Commands)
    def group() -> None: ...

    @group.command()
    def look() -> None:
        raise asyncpg.CannotConnectNowError("the database system is shutting down")

    answer = CliRunner().invoke(group, ["look"])
    assert answer.exit_code == 3
    assert answer.output == "regulars: The database went away: the database system is shutting down\n"


def test_a_database_without_tables_leads_to_migrate(regulars: Run, database_url: str) -> None:
    name = f"empty_{uuid4().hex}"
    empty = urlsplit(database_url)._replace(path=f"/{name}").geturl()
    query(database_url, f"create database {name}")
    try:
        before = regulars("verify", REGULARS_DATABASE_URL=empty)
        migrated = regulars("migrate", REGULARS_DATABASE_URL=empty)
        after = regulars("verify", REGULARS_DATABASE_URL=empty)
    finally:
        query(database_url, f"drop database {name} with (force)")
    assert before.exit_code == 1
    assert "regulars migrate" in before.output
    assert migrated.exit_code == 0, migrated.output
    assert after.exit_code == 0


def test_where_there_is_no_shop_none_is_made_by_looking(regulars: Run, data_dir: Path) -> None:
    answer = regulars("staff", "list", REGULARS_DATABASE_URL="", REGULARS_SECRET_KEY="")
    assert answer.exit_code == 1
    assert "There is no shop" in answer.output
    assert not (data_dir / "postgres").exists()


def test_a_folder_that_cannot_be_used_is_named(regulars: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data_dir = str(tmp_path / "file" / "shop")
    answer = regulars("migrate", REGULARS_DATABASE_URL="", REGULARS_SECRET_KEY="", REGULARS_DATA_DIR=data_dir)
    assert answer.exit_code == 3
    assert data_dir in answer.output


def test_a_backup_is_private_and_whole(shop: Run, tmp_path: Path) -> None:
    file = tmp_path / "shop.dump"
    answer = shop("backup", str(file))
    assert answer.exit_code == 0, answer.output
    assert file.read_bytes().startswith(b"PGDMP")
    assert file.stat().st_mode & 0o077 == 0
    reader = answer.output.strip().rpartition(": ")[2]
    listed = subprocess.run([reader, "--list", str(file)], capture_output=True, text=True, check=True).stdout
    assert "TABLE DATA public ledger_entry" in listed
    assert [path.name for path in tmp_path.iterdir()] == ["shop.dump"]


def test_a_backup_that_fails_leaves_nothing_behind(shop: Run, tmp_path: Path) -> None:
    answer = shop("backup", str(tmp_path / "nowhere" / "shop.dump"))
    assert answer.exit_code == 3
    assert "nowhere" in answer.output


def test_a_database_is_current_exactly_if_it_has_every_migration(database_url: str) -> None:
    async def look() -> bool:
        connection = await asyncpg.connect(database_url)
        try:
            return await is_current(connection)
        finally:
            await connection.close()

    assert asyncio.run(look())
    query(database_url, "delete from migration where name = '0003'")
    assert not asyncio.run(look())


# Demo shops and real ones ---------------------------------------------------------------------------------------------


def test_production_does_not_run_on_a_demo_shop(database_url: str, data_dir: Path) -> None:
    settings = test_settings(database_url, data_dir)

    async def mark() -> None:
        await DB.open(database_url, size=2)
        try:
            await marker.mark(system_context(create_tools(settings)))
        finally:
            await DB.close()

    asyncio.run(mark())
    with pytest.raises(Failure, match="holds the demo shop"):
        asyncio.run(prepare_database(settings))


def test_a_demo_does_not_run_on_a_real_shop(database_url: str, data_dir: Path, shop: Run) -> None:
    settings = test_settings(database_url, data_dir, demo=True)
    with pytest.raises(Failure, match="holds a real shop"):
        asyncio.run(prepare_database(settings))
    assert not query(database_url, "select from customer")
