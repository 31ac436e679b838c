"""Settings come from where the operator put them, and are refused all at once, by the name the operator used."""

import base64
import os
import secrets
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.private_files import prepare_data_dir, secret_key_bytes
from server.settings import SECRET_KEY_BYTES_MIN, Settings, SettingsError, describe
from server.settings_reading import load

EXTERNAL = "postgresql://shop:pw@db.example:5432/regulars"
GOOD_KEY = secrets.token_hex(32)
needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")


def _problems(environ: dict[str, str], **overrides: object) -> dict[str, str]:
    with pytest.raises(SettingsError) as refused:
        load(environ, overrides=overrides)
    return {problem.source: problem.message for problem in refused.value.problems}


def _private(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def _config(tmp_path: Path, text: str) -> dict[str, str]:
    return {"REGULARS_CONFIG": str(_private(tmp_path / "regulars.toml", text))}


def test_with_nothing_set_the_service_is_local_embedded_and_needs_no_secret() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8700, "http://127.0.0.1:8700")
    assert settings.is_embedded
    assert settings.mail_folder == settings.data_dir / "mail"
    assert (settings.argon2_memory_kib, settings.argon2_time_cost, settings.argon2_parallelism) == (65536, 3, 1)


def test_the_command_line_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    environ = _config(tmp_path, 'port = 1001\nshop_name = "File"\nhost = "127.0.0.3"')
    settings = load(environ | {"REGULARS_PORT": "1002", "REGULARS_HOST": "127.0.0.2"}, overrides={"port": 1003})
    assert (settings.port, settings.host, settings.shop_name) == (1003, "127.0.0.2", "File")


def test_an_empty_variable_counts_as_unset() -> None:
    assert load({"REGULARS_PORT": "", "REGULARS_DATABASE_URL": ""}).port == 8700


def test_every_problem_is_reported_at_once_by_its_source(tmp_path: Path) -> None:
    environ = _config(tmp_path, 'shop_nam = "x"\ndatabase_pool_size = "ten"\nlog_level = "loud"')
    problems = _problems(
        environ
        | {
            "REGULARS_PROT": "1",
            "REGULARS_PORT": "65536",
            "REGULARS_RUN_WORKER": "perhaps",
            "REGULARS_DEFAULT_COUNTRY": "UK",
        }
    )
    file = environ["REGULARS_CONFIG"]
    assert problems == {
        f"{file}, shop_nam": "is not a setting; did you mean shop_name?",
        f"{file}, database_pool_size": "expected `int`, got `str`",
        f"{file}, log_level": "must be debug or info or warning or error",
        "REGULARS_PROT": "is not a setting; did you mean REGULARS_PORT?",
        "REGULARS_PORT": "expected `int` <= 65535",
        "REGULARS_RUN_WORKER": "must be true or false",
        "REGULARS_DEFAULT_COUNTRY": "UK is no country with telephone numbers; the United Kingdom is GB",
    }


def test_variables_of_the_tests_and_of_the_console_are_not_ours_to_refuse() -> None:
    load({"REGULARS_TEST_DATABASE_URL": "x", "REGULARS_CONSOLE_THEME": "dark", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "No such file"), ("port = ", "Invalid value"), ("port = 1\nport = 2", "Cannot overwrite")],
)
def test_a_file_that_cannot_be_read_is_a_problem_of_the_variable(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "regulars.toml"
    if text is not None:
        path.write_text(text)
    assert reason in _problems({"REGULARS_CONFIG": str(path)})["REGULARS_CONFIG"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "0"),
        ("PORT", "8700.5"),
        ("DATABASE_POOL_SIZE", "4"),
        ("DATABASE_WAIT_SECONDS", "nan"),
        ("DATABASE_WAIT_SECONDS", "0"),
        ("DATABASE_URL", "sqlite:///x.db"),
        ("DATABASE_URL", "postgresql://host-without-database"),
        ("PASSWORD_LENGTH_MIN", "7"),
        ("PASSWORD_LENGTH_MIN", "65"),
        ("ARGON2_MEMORY_KIB", "19455"),
        ("ARGON2_TIME_COST", "1"),
        ("PUBLIC_URL", "rewards.shop.example"),
        ("PUBLIC_URL", "https://shop.example/rewards"),
        ("PUBLIC_URL", "http://shop.example"),
        ("PUBLIC_URL", "https://user@shop.example"),
        ("PUBLIC_URL", "https://shop.example:port"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("ALLOWED_HOSTS", "https://shop.example"),
        ("ALLOWED_HOSTS", "*"),
        ("MAIL", "pigeon"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "a@shop.example\nBcc: b@c.example"),
        ("MAILCHIMP_BASE_URL", "https://us1.api.mailchimp.com"),
        ("MAILCHIMP_SERVER", "us1.evil.example/"),
        ("SHOP_NAME", "Two\nlines"),
        ("DEFAULT_COUNTRY", "gb"),
    ],
)
def test_a_value_out_of_bounds_is_refused(variable: str, value: str) -> None:
    problems = _problems({f"REGULARS_{variable}": value, "REGULARS_SECRET_KEY": GOOD_KEY})
    assert list(problems) == [f"REGULARS_{variable}"]


def test_a_wildcard_host_needs_a_public_url() -> None:
    assert "REGULARS_PUBLIC_URL" in _problems({"REGULARS_HOST": "0.0.0.0"})
    load({"REGULARS_HOST": "0.0.0.0", "REGULARS_PUBLIC_URL": "https://rewards.shop.example/"})


@pytest.mark.parametrize("mode", ["demo", "test_profile"])
def test_demo_and_test_services_listen_on_loopback_only(mode: str) -> None:
    problems = _problems({"REGULARS_HOST": "192.0.2.1", "REGULARS_PUBLIC_URL": "https://shop.example"}, **{mode: True})
    assert list(problems) == ["REGULARS_HOST"]


def test_the_demo_lives_in_the_current_folder_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({}, overrides={"demo": True}).data_dir == tmp_path / ".data"
    assert load({"REGULARS_DATA_DIR": "elsewhere"}, overrides={"demo": True}).data_dir == tmp_path / "elsewhere"


def test_the_test_profile_may_hash_cheaply() -> None:
    cheap = load({"REGULARS_TEST_PROFILE": "1", "REGULARS_ARGON2_MEMORY_KIB": "8", "REGULARS_ARGON2_TIME_COST": "1"})
    assert (cheap.argon2_memory_kib, cheap.argon2_time_cost) == (8, 1)


@pytest.mark.parametrize(
    ("missing", "environ"),
    [
        (["SMTP_HOST", "MAIL_FROM"], {"MAIL": "smtp"}),
        (
            ["SMTP_PASSWORD"],
            {"MAIL": "smtp", "SMTP_HOST": "m.example", "MAIL_FROM": "a@b.example", "SMTP_USERNAME": "u"},
        ),
        (
            ["SMTP_STARTTLS"],
            {"MAIL": "smtp", "SMTP_HOST": "m.example", "MAIL_FROM": "a@b.example", "SMTP_STARTTLS": "false"},
        ),
        (["MAILCHIMP_API_KEY", "MAILCHIMP_LIST_ID"], {"AUDIENCE": "mailchimp"}),
        (["MAILCHIMP_SERVER"], {"AUDIENCE": "mailchimp", "MAILCHIMP_API_KEY": "k", "MAILCHIMP_LIST_ID": "l"}),
    ],
)
def test_what_belongs_together_is_asked_for_together(missing: list[str], environ: dict[str, str]) -> None:
    problems = _problems({f"REGULARS_{name}": value for name, value in environ.items()})
    assert sorted(problems) == sorted(f"REGULARS_{name}" for name in missing)


def test_the_mailchimp_data_centre_is_read_off_the_key() -> None:
    environ = {
        "REGULARS_AUDIENCE": "mailchimp",
        "REGULARS_MAILCHIMP_API_KEY": "abc-us21",
        "REGULARS_MAILCHIMP_LIST_ID": "l",
    }
    assert load(environ).mailchimp_server == "us21"


# Secrets.


def test_an_external_database_needs_a_secret_key_that_all_processes_share() -> None:
    assert list(_problems({"REGULARS_DATABASE_URL": EXTERNAL})) == ["REGULARS_SECRET_KEY"]
    load({"REGULARS_DATABASE_URL": EXTERNAL, "REGULARS_SECRET_KEY": GOOD_KEY})


@pytest.mark.parametrize(
    "key", ["secret", "change-me" * 5, "your-secret-key-your-secret-key-1234567", "a" * 64, "00" * 32, "x" * 31]
)
def test_short_and_example_keys_are_refused(key: str) -> None:
    assert list(_problems({"REGULARS_SECRET_KEY": key})) == ["REGULARS_SECRET_KEY"]


def test_the_demo_takes_an_example_key_but_not_a_short_one() -> None:
    load({"REGULARS_SECRET_KEY": "change-me" * 5}, overrides={"demo": True})
    assert "REGULARS_SECRET_KEY" in _problems({"REGULARS_SECRET_KEY": "change-me"}, demo=True)


@given(st.binary(min_size=SECRET_KEY_BYTES_MIN, max_size=100))
def test_a_key_is_the_same_in_hex_and_in_base64(key: bytes) -> None:
    for text in (key.hex(), key.hex().upper(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()):
        assert secret_key_bytes(Settings(secret_key=text)) == key


def test_a_generated_key_is_kept_private_and_the_same_for_all_who_start_at_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "shop")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key_bytes(settings), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) == SECRET_KEY_BYTES_MIN
    assert [path.name for path in settings.data_dir.iterdir()] == ["secret_key"]
    if sys.platform != "win32":
        assert stat.S_IMODE((settings.data_dir / "secret_key").stat().st_mode) == 0o600


def test_a_damaged_generated_key_is_refused_rather_than_replaced(tmp_path: Path) -> None:
    _private(tmp_path / "secret_key", "short")
    with pytest.raises(SettingsError, match="damaged"):
        secret_key_bytes(Settings(data_dir=tmp_path))


@pytest.mark.parametrize("name", ["mailchimp_api_key", "secret_key", "smtp_password", "database_url"])
def test_a_secret_can_lie_in_a_file_of_its_own(tmp_path: Path, name: str) -> None:
    text = EXTERNAL if name == "database_url" else GOOD_KEY
    path = _private(tmp_path / "secret", f"{text}\n")
    settings = load({f"REGULARS_{name.upper()}_FILE": str(path)}, overrides={"test_profile": True})
    assert getattr(settings, name) == text


@needs_modes
def test_a_secret_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = _private(tmp_path / "key", "abc-us1")
    path.chmod(0o640)
    assert "chmod 600" in _problems({"REGULARS_MAILCHIMP_API_KEY_FILE": str(path)})["REGULARS_MAILCHIMP_API_KEY_FILE"]
    environ = _config(tmp_path, f'secret_key = "{GOOD_KEY}"')
    os.chmod(environ["REGULARS_CONFIG"], 0o644)  # noqa: PTH101  # the path is a variable's text
    assert "chmod 600" in _problems(environ)[environ["REGULARS_CONFIG"]]


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    path = _private(tmp_path / "key", "abc-us1")
    problems = _problems({"REGULARS_MAILCHIMP_API_KEY": "x-us1", "REGULARS_MAILCHIMP_API_KEY_FILE": str(path)})
    assert list(problems) == ["REGULARS_MAILCHIMP_API_KEY_FILE"]


def test_no_message_and_no_representation_shows_a_secret() -> None:
    canary = "canary-8f2b-us999x"
    settings = load(
        {f"REGULARS_{name}": canary for name in ("SMTP_PASSWORD", "MAILCHIMP_API_KEY")},
        overrides={"mailchimp_server": "us1"},
    )
    assert canary not in repr(settings)
    problems = _problems({"REGULARS_SECRET_KEY": canary, "REGULARS_DATABASE_URL": f"mysql://u:{canary}@h/d"})
    assert len(problems) == 2
    assert canary not in str(problems)


# The data folder and the table of the README.


@needs_modes
def test_the_data_folder_can_be_listed_by_its_owner_alone(tmp_path: Path) -> None:
    assert stat.S_IMODE(prepare_data_dir(tmp_path / "a" / "b").stat().st_mode) & 0o066 == 0


def test_every_setting_is_described_with_its_variable() -> None:
    rows = {row.name: row for row in describe()}
    assert rows.keys() == set(Settings.__struct_fields__)
    assert all(row.description.endswith(".") and row.kind for row in rows.values())
    assert rows["port"] == msgspec.structs.replace(
        rows["port"], variable="REGULARS_PORT", kind="whole number", default="8700"
    )
    assert [row.name for row in describe() if row.is_secret] == [
        "database_url",
        "secret_key",
        "smtp_password",
        "mail_hook_key",
        "twilio_auth_token",
        "mailchimp_api_key",
        "mailchimp_hook_secret",
        "square_access_token",
        "square_hook_key",
    ]
