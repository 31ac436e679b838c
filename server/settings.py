"""Everything an operator can set, where it is read from, and what is refused.

A value comes from, strongest first: the command line (`overrides`), an environment variable `REGULARS_NAME`, the TOML
file named by `REGULARS_CONFIG`, the default. Every secret can also be given as `NAME_file`, the path of a file that
holds it. All problems are reported at once, each with the place it came from.
"""

import base64
import binascii
import difflib
import ipaddress
import os
import re
import secrets
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from phonenumbers import SUPPORTED_REGIONS

PREFIX: Final = "REGULARS_"
CONFIG_VARIABLE: Final = "REGULARS_CONFIG"
SECRET_KEY_BYTES_MIN: Final = 32
"""A key shorter than the 256 bits of the HMAC it feeds would be the weakest part of it."""

ARGON2_MEMORY_KIB_MIN: Final = 19456
"""With a time cost of two the least that OWASP's password storage sheet calls enough."""
ARGON2_TIME_COST_MIN: Final = 2

SMTPS_PORT: Final = 465
"""The port where TLS comes first and STARTTLS has no place."""
EXAMPLE_SENDER: Final = "rewards@shop.example"

_SECRETS: Final = frozenset(
    (
        "database_url",
        "mail_hook_key",
        "mailchimp_api_key",
        "mailchimp_hook_secret",
        "secret_key",
        "smtp_password",
        "square_access_token",
        "square_hook_key",
        "twilio_auth_token",
    )
)
_SECRET_DISTINCT_MIN: Final = 10
_HOOK_KEY_RULE: Final = "must be 32 letters and digits or more that nobody guesses; make one with: openssl rand -hex 32"
_PLACEHOLDER: Final = re.compile(
    r"change.?me|change.?this|replace.?me|replace.?this|example|placeholder|insecure|dummy|your.?(secret|key|password)"
    r"|(super|top|very)?.?secret.?(key)?$|password|qwerty|letmein|x{6}|^test|0123456789|123456789|abcdefgh",
    re.IGNORECASE,
)
# Variables with our prefix that other parts of the project read: the tests, and the console.
_FOREIGN_NAMES: Final = frozenset((CONFIG_VARIABLE, "REGULARS_TEST_DATABASE_URL"))
_FOREIGN_PREFIXES: Final = ("REGULARS_CONSOLE_",)


def _default_data_dir() -> Path:
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "regulars"
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root and its stand-in `nobody` cannot enter a private home.
        return Path("/var/lib/regulars")
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "regulars"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The checked settings; `load` makes them, tests construct them."""

    demo: Annotated[bool, Meta(description="A demo shop: generated secrets, invented people, loopback only.")] = False
    data_dir: Annotated[Path, Meta(description="Folder of the embedded database, generated secrets and file mail.")] = (
        msgspec.field(default_factory=_default_data_dir)
    )

    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port to listen on.")] = 8700
    public_url: Annotated[
        str, Meta(description="Address people reach the service at; links in mail are built from it alone.")
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...], Meta(description="Addresses or networks whose X-Forwarded-For is believed.")
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description="Host names answered to; unset: that of public_url, and loopback.")
    ] = ()

    database_url: Annotated[
        str | None, Meta(description="PostgreSQL 14 or newer, postgresql://...; unset: an embedded one.")
    ] = None
    # The search for duplicates holds four at once.
    database_pool_size: Annotated[
        int, Meta(ge=5, le=1000, description="Connections a process may hold; 5 at least.")
    ] = 10
    database_wait_seconds: Annotated[
        float, Meta(gt=0, le=60, description="Longest wait for a free connection before a request gets 503.")
    ] = 5.0
    run_worker: Annotated[bool, Meta(description="Run jobs inside `serve`; else start `regulars worker`.")] = True

    secret_key: Annotated[
        str | None,
        Meta(description="32 bytes or more as base64, hex or text; generated into data_dir with an embedded database."),
    ] = None
    password_length_min: Annotated[int, Meta(ge=8, le=64, description="Shortest password a member may choose.")] = 12
    argon2_time_cost: Annotated[int, Meta(ge=1, le=64, description="Argon2id passes; 2 at least.")] = 3
    argon2_memory_kib: Annotated[int, Meta(ge=8, le=4194304, description="Argon2id memory, KiB; 19456 at least.")] = (
        65536
    )
    argon2_parallelism: Annotated[int, Meta(ge=1, le=64, description="Argon2id lanes.")] = 1
    argon2_threads: Annotated[int, Meta(ge=1, le=64, description="Passwords hashed at the same time.")] = 1

    mail: Annotated[
        Literal["file", "smtp"], Meta(description="Where mail goes: files in mail_dir, or an SMTP server.")
    ] = "file"
    mail_dir: Annotated[Path | None, Meta(description="Folder of the file mailbox; unset: mail in data_dir.")] = None
    mail_from: Annotated[str, Meta(min_length=3, description="Sender of every mail.")] = EXAMPLE_SENDER
    smtp_host: Annotated[str | None, Meta(description="SMTP server.")] = None
    smtp_port: Annotated[int, Meta(ge=1, le=65535, description="SMTP port; 465 speaks TLS from the start.")] = 587
    smtp_username: Annotated[str | None, Meta(description="SMTP user, if the server asks for one.")] = None
    smtp_password: Annotated[str | None, Meta(description="SMTP password.")] = None
    smtp_starttls: Annotated[bool, Meta(description="Require STARTTLS; off only towards loopback.")] = True
    mail_hook_key: Annotated[
        str | None, Meta(description="Key that signs reports of bounces to /hooks/mail; unset: none are taken.")
    ] = None

    sms: Annotated[
        Literal["file", "twilio"], Meta(description="Where text messages go: files beside the mails, or Twilio.")
    ] = "file"
    twilio_account_sid: Annotated[str | None, Meta(description="Twilio account.")] = None
    twilio_auth_token: Annotated[str | None, Meta(description="Twilio auth token.")] = None
    twilio_from: Annotated[
        str | None, Meta(description="Sender of every text: a number in the form of E.164, or a name.")
    ] = None
    twilio_base_url: Annotated[str, Meta(description="Twilio, or a stand-in on loopback.")] = "https://api.twilio.com"

    audience: Annotated[Literal["none", "mailchimp"], Meta(description="Marketing audience kept in step.")] = "none"
    mailchimp_api_key: Annotated[str | None, Meta(description="Mailchimp API key.")] = None
    mailchimp_server: Annotated[str | None, Meta(description="Data centre such as us21; unset: the key's ending.")] = (
        None
    )
    mailchimp_list_id: Annotated[str | None, Meta(description="Audience (list) id.")] = None
    mailchimp_base_url: Annotated[
        str | None, Meta(description="A stand-in for Mailchimp; only loopback is accepted.")
    ] = None
    mailchimp_hook_secret: Annotated[
        str | None,
        Meta(description="Last part of the webhook's address, /hooks/mailchimp/...; unset: no webhooks are taken."),
    ] = None
    mailchimp_sync_without_consent: Annotated[
        bool, Meta(description="Also keep contacts who consented to nothing, as transactional ones.")
    ] = False

    pos: Annotated[
        Literal["push", "square"], Meta(description="Tills send by themselves (API, CSV); or also fetched from Square.")
    ] = "push"
    square_access_token: Annotated[str | None, Meta(description="Square access token.")] = None
    square_base_url: Annotated[str, Meta(description="Square, its sandbox, or a stand-in on loopback.")] = (
        "https://connect.squareup.com"
    )
    square_locations: Annotated[
        tuple[str, ...], Meta(description="Square's location ids and our stores, such as L1ABC=high-street.")
    ] = ()
    square_hook_key: Annotated[
        str | None, Meta(description="Signature key of the webhook subscription; unset: no webhooks are taken.")
    ] = None
    square_hook_url: Annotated[
        str, Meta(description="Address that Square sends webhooks to; unset: public_url and /hooks/square.")
    ] = ""

    claim_code_days: Annotated[
        int, Meta(ge=1, le=365, description="Days for which a claim code handed over at the till is valid.")
    ] = 30
    claim_letter_days: Annotated[
        int, Meta(ge=1, le=365, description="Days for which the claim codes of a batch of letters are valid.")
    ] = 90
    receipt_claim_days: Annotated[
        int, Meta(ge=0, le=365, description="Days for which codes on receipts of nobody's sales are valid; 0: none.")
    ] = 0
    letter_font: Annotated[
        Path | None, Meta(description="TrueType font of printed letters; unset: one with Western letters only.")
    ] = None

    shop_name: Annotated[str, Meta(min_length=1, max_length=80, description="The shop's name, as people read it.")] = (
        "Our shop"
    )
    default_country: Annotated[
        str, Meta(pattern="^[A-Z]{2}$", description="Country of phone numbers written without one (ISO 3166).")
    ] = "GB"

    erasure_cooling_days: Annotated[
        int, Meta(ge=0, le=14, description="Days in which a member can take the wish to be forgotten back.")
    ] = 7
    erasure_journal: Annotated[
        Path | None,
        Meta(description="File that names who was erased, by id; keep it apart from backups; unset: in data_dir."),
    ] = None

    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least level logged.")] = "info"
    log_format: Annotated[Literal["json", "console"], Meta(description="One JSON object a line, or for people.")] = (
        "json"
    )
    test_profile: Annotated[
        bool, Meta(description="Cheap password hashing for automated tests; loopback only, never in production.")
    ] = False

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        msgspec.structs.force_setattr(self, "public_url", (self.public_url or f"http://{host}:{self.port}").rstrip("/"))
        if not self.allowed_hosts:
            names = (_url_host(self.public_url) or self.host, "localhost", "127.0.0.1")
            msgspec.structs.force_setattr(self, "allowed_hosts", tuple(dict.fromkeys(names)))
        if not self.square_hook_url:
            msgspec.structs.force_setattr(self, "square_hook_url", f"{self.public_url}/hooks/square")
        if self.mailchimp_server is None and self.mailchimp_api_key and "-" in self.mailchimp_api_key:
            msgspec.structs.force_setattr(self, "mailchimp_server", self.mailchimp_api_key.rpartition("-")[2])

    def __repr__(self) -> str:
        """Show what is set without showing a secret."""
        shown = (
            f"{name}={'[secret]' if name in _SECRETS and value else repr(value)}"
            for name, value in msgspec.structs.asdict(self).items()
        )
        return f"Settings({', '.join(shown)})"

    @property
    def is_embedded(self) -> bool:
        """Whether we start a PostgreSQL of our own."""
        return self.database_url is None

    @property
    def journal_path(self) -> Path:
        """The file that names who was erased."""
        return self.erasure_journal or self.data_dir / "erasures.jsonl"

    @property
    def mail_folder(self) -> Path:
        """The folder of the file mailbox."""
        return self.mail_dir or self.data_dir / "mail"


class Problem(Struct, frozen=True, kw_only=True):
    """One thing wrong with the settings."""

    source: str
    """Where the value came from, as an operator would look for it: a variable, or a file and key."""
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.message}"


class SettingsError(Exception):
    """The settings cannot be used; every reason is listed."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class SettingDoc(Struct, frozen=True, kw_only=True):
    """One row of the settings table of the README."""

    name: str
    variable: str
    kind: str
    default: str
    description: str
    is_secret: bool


class _Raw(Struct, frozen=True):
    """A value as written, and where."""

    value: object
    source: str
    is_text: bool


def load(environ: Mapping[str, str], *, overrides: Mapping[str, object] | None = None) -> Settings:
    """Read and check the settings.

    Args:
        environ: The environment variables; those without our prefix are ignored.
        overrides: Settings by their field names, from the command line; None values are ignored.

    Raises:
        SettingsError: Something is unknown, malformed, contradictory or unsafe; it lists every problem.
    """
    problems: list[Problem] = []
    raw = _read_file(environ, problems) | _read_environment(environ, problems) | _read_overrides(overrides or {})
    _read_secret_files(raw, problems)
    values = _converted(raw, problems)
    if values.get("demo") and "data_dir" not in values:
        values["data_dir"] = _absolute(Path(".data"))
    # What did not convert is left at its default here, so that the rules below can report the rest in the same go.
    settings = Settings(**values)  # type: ignore[arg-type]  # each value was converted to its field's own type
    sources = {name: item.source for name, item in raw.items()}
    for name, message in _refusals(settings):
        problems.append(Problem(source=sources.get(name, PREFIX + name.upper()), message=message))
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def secret_key_bytes(settings: Settings) -> bytes:
    """Return the key that signs and derives, at least `SECRET_KEY_BYTES_MIN` bytes.

    Without `secret_key` it is read from `data_dir`, where it is generated once. Only a deployment with an embedded
    database gets there: several processes on one external database must be given the same key.

    Raises:
        SettingsError: The generated file is damaged or readable by others.
    """
    if settings.secret_key is not None:
        return _decoded_key(settings.secret_key)
    path = prepare_data_dir(settings.data_dir) / "secret_key"
    _create_private(path, secrets.token_hex(SECRET_KEY_BYTES_MIN))
    problems: list[Problem] = []
    text = _read_private(path, str(path), problems)
    if text is not None and len(_decoded_key(text)) < SECRET_KEY_BYTES_MIN:
        problems.append(Problem(source=str(path), message="is damaged; restore it from a backup"))
    if problems or text is None:
        raise SettingsError(tuple(problems))
    return _decoded_key(text)


def prepare_data_dir(data_dir: Path) -> Path:
    """Create the data folder if need be and return it.

    Nobody else may list it. Made by root it lets others pass through, because PostgreSQL then runs as `nobody` in a
    folder inside it; every file in it is private by its own mode.
    """
    is_root = os.name != "nt" and os.geteuid() == 0
    if not data_dir.exists():
        data_dir.mkdir(mode=0o711 if is_root else 0o700, parents=True, exist_ok=True)
    return data_dir


def describe() -> tuple[SettingDoc, ...]:
    """Return every setting in reading order, for the README and `regulars check-config`."""
    return tuple(_described(field) for field in msgspec.structs.fields(Settings))


def _described(field: msgspec.structs.FieldInfo) -> SettingDoc:
    kind, meta = get_args(field.type)
    default = "" if field.default in (None, (), "", msgspec.NODEFAULT) else str(field.default)
    if isinstance(field.default, bool):
        default = default.lower()
    return SettingDoc(
        name=field.name,
        variable=PREFIX + field.name.upper(),
        kind=_kind_in_words(kind),
        default="~/.local/share/regulars" if field.name == "data_dir" else default,
        description=meta.description,
        is_secret=field.name in _SECRETS,
    )


def _kind_in_words(kind: object) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    words = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
    if get_origin(kind) is tuple:
        return "list"
    return next(word for known, word in words.items() if kind is known or known in get_args(kind))


def _read_file(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, _Raw]:
    written = environ.get(CONFIG_VARIABLE)
    if not written:
        return {}
    path = Path(written).expanduser()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        problems.append(Problem(source=CONFIG_VARIABLE, message=f"{path} cannot be read: {reason}"))
        return {}
    if not _SECRETS.isdisjoint(table) and _is_open_to_others(path):
        problems.append(Problem(source=str(path), message="holds a secret, so others must not read it: chmod 600"))
    _refuse_unknown({f"{path}, {key}": key for key in table}, problems, shown=str)
    return {key: _Raw(value, f"{path}, {key}", False) for key, value in table.items() if key in _known_names()}


def _read_environment(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, _Raw]:
    ours = {
        name: name.removeprefix(PREFIX).lower()
        for name in environ
        if name.startswith(PREFIX) and name not in _FOREIGN_NAMES and not name.startswith(_FOREIGN_PREFIXES)
    }
    _refuse_unknown(ours, problems, shown=lambda name: PREFIX + name.upper())
    # An empty variable is how many tools write "unset".
    return {
        key: _Raw(environ[name], name, True) for name, key in ours.items() if key in _known_names() and environ[name]
    }


def _read_overrides(overrides: Mapping[str, object]) -> dict[str, _Raw]:
    unknown = overrides.keys() - _known_names()
    assert not unknown, f"The command line sets what is no setting: {unknown}"
    return {
        key: _Raw(value, f"--{key.replace('_', '-')}", False) for key, value in overrides.items() if value is not None
    }


def _read_secret_files(raw: dict[str, _Raw], problems: list[Problem]) -> None:
    for name in sorted(_SECRETS):
        item = raw.pop(f"{name}_file", None)
        if item is None:
            continue
        if name in raw:
            problems.append(Problem(source=item.source, message=f"is set as well as {raw[name].source}; keep one"))
            continue
        text = _read_private(Path(str(item.value)).expanduser(), item.source, problems)
        if text is not None:
            raw[name] = _Raw(text, item.source, True)


def _read_private(path: Path, source: str, problems: list[Problem]) -> str | None:
    try:
        if _is_open_to_others(path):
            problems.append(Problem(source=source, message=f"{path} can be read by others: chmod 600"))
            return None
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        problems.append(Problem(source=source, message=f"{path} cannot be read: {reason}"))
        return None
    if not text:
        problems.append(Problem(source=source, message=f"{path} is empty"))
        return None
    return text


def _is_open_to_others(path: Path) -> bool:
    return os.name != "nt" and bool(path.stat().st_mode & 0o077)


def _create_private(path: Path, text: str) -> None:
    """Write a file of mode 600 unless it is there; whoever is first wins, and no half-written file is ever seen."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # A hard link fails if the name is taken, where a rename would replace another process's key.
        path.hardlink_to(draft)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


def _known_names() -> frozenset[str]:
    return frozenset(Settings.__struct_fields__) | {f"{name}_file" for name in _SECRETS}


def _refuse_unknown(names: Mapping[str, str], problems: list[Problem], *, shown: Callable[[str], str]) -> None:
    for source, key in names.items():
        if key in _known_names():
            continue
        nearest = difflib.get_close_matches(key, _known_names(), n=1)
        hint = f"; did you mean {shown(nearest[0])}?" if nearest else ""
        problems.append(Problem(source=source, message=f"is not a setting{hint}"))


def _converted(raw: Mapping[str, _Raw], problems: list[Problem]) -> dict[str, object]:
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        item = raw.get(field.name)
        if item is None:
            continue
        try:
            values[field.name] = _convert(item, field.type)
        except msgspec.ValidationError as error:
            problems.append(Problem(source=item.source, message=_in_words(error, get_args(field.type)[0])))
    return values


def _convert(item: _Raw, kind: object) -> object:
    value = item.value
    if item.is_text and isinstance(value, str):
        value = value.strip()
        if get_origin(get_args(kind)[0]) is tuple:
            value = [part.strip() for part in value.split(",") if part.strip()]
    return msgspec.convert(value, type=kind, strict=not item.is_text, dec_hook=_to_path)


def _to_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return _absolute(Path(value).expanduser())
    raise msgspec.ValidationError("Expected a path")


def _in_words(error: msgspec.ValidationError, kind: object) -> str:
    if kind is bool or get_origin(kind) is Literal:
        return f"must be {_kind_in_words(kind)}"
    # The type's own words, without the path inside the value, which has no fields.
    return str(error).partition(" - at ")[0].replace("Expected", "expected", 1)


def _absolute(path: Path) -> Path:
    # Not resolved: a link that an operator made on purpose stays the name that the logs show.
    return Path(os.path.abspath(path))  # noqa: PTH100  # Path.absolute keeps "..", which then reads wrongly


def _refusals(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield (setting, message) for what each value alone or all together forbid."""
    for rule in (
        _refused_network,
        _refused_database,
        _refused_hashing,
        _refused_mail,
        _refused_texts,
        _refused_audience,
        _refused_pos,
        _refused_shop,
    ):
        yield from rule(settings)


def _refused_network(settings: Settings) -> Iterator[tuple[str, str]]:
    is_rehearsal = settings.demo or settings.test_profile
    if is_rehearsal and not _is_loopback(settings.host):
        yield "host", "a demo or test service listens on loopback only, such as 127.0.0.1"
    try:
        url = urlsplit(settings.public_url)
        is_plain = url.scheme in ("http", "https") and url.hostname and (url.port or 1)
        is_plain = is_plain and not (url.path or url.query or url.fragment or url.username or url.password)
    except ValueError:
        is_plain = False
    host = _url_host(settings.public_url) or ""
    if not is_plain:
        yield "public_url", "must be like https://rewards.your-shop.com, without a path"
    elif host in ("0.0.0.0", "::"):  # noqa: S104  # refused here, not listened on
        yield "public_url", "is needed when host is a wildcard: links in mail are built from it"
    elif url.scheme == "http" and not _is_loopback(host):
        yield "public_url", "must begin with https://; only loopback may be plain http"
    for proxy in settings.trusted_proxies:
        if not _is_network(proxy):
            yield "trusted_proxies", f"{proxy!r} is no address or network such as 10.0.0.0/8"
    for name in settings.allowed_hosts:
        if not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-fA-F:]+", name):
            yield "allowed_hosts", f"{name!r} is no host name (without scheme or port)"


def _refused_database(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.database_url is not None:
        url = settings.database_url
        if not re.match(r"postgres(ql)?://[^/]*/[^/?]+", url):
            yield "database_url", "must be like postgresql://user:password@host:5432/database"
    is_rehearsal = settings.demo or settings.test_profile
    if settings.secret_key is None:
        if not settings.is_embedded and not is_rehearsal:
            yield "secret_key", "is needed with database_url: all processes share it (openssl rand -hex 32)"
    elif len(_decoded_key(settings.secret_key)) < SECRET_KEY_BYTES_MIN:
        yield "secret_key", f"is shorter than {SECRET_KEY_BYTES_MIN} bytes; make one with: openssl rand -hex 32"
    elif not is_rehearsal and _is_placeholder(settings.secret_key):
        yield "secret_key", "is an example or easy to guess; make one with: openssl rand -hex 32"


def _refused_hashing(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.test_profile:
        return
    if settings.argon2_memory_kib < ARGON2_MEMORY_KIB_MIN:
        yield "argon2_memory_kib", f"is below the safe least of {ARGON2_MEMORY_KIB_MIN}"
    if settings.argon2_time_cost < ARGON2_TIME_COST_MIN:
        yield "argon2_time_cost", f"is below the safe least of {ARGON2_TIME_COST_MIN}"


def _refused_mail(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.mail_from.isprintable() or not re.search(r"[^@\s<]+@[^@\s>]+", settings.mail_from):
        yield "mail_from", "must be an address, such as rewards@your-shop.com or Your Shop <rewards@your-shop.com>"
    if settings.mail_hook_key is not None and not _is_hook_secret(settings.mail_hook_key):
        yield "mail_hook_key", _HOOK_KEY_RULE
    if settings.mail != "smtp":
        return
    if not settings.smtp_host:
        yield "smtp_host", "is needed with mail smtp"
    elif not settings.smtp_starttls and settings.smtp_port != SMTPS_PORT and not _is_loopback(settings.smtp_host):
        yield "smtp_starttls", "may be off only towards a server on loopback"
    if settings.mail_from == EXAMPLE_SENDER:
        yield "mail_from", "is needed with mail smtp: the sender your provider lets you use"
    if (settings.smtp_username is None) != (settings.smtp_password is None):
        missing = "smtp_username" if settings.smtp_username is None else "smtp_password"
        yield missing, "is missing: an SMTP user and password come together"


def _refused_texts(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _is_safe_target(settings.twilio_base_url):
        yield "twilio_base_url", "must be like https://api.twilio.com; only loopback may be plain http"
    if settings.sms == "twilio":
        for name in ("twilio_account_sid", "twilio_auth_token", "twilio_from"):
            if not getattr(settings, name):
                yield name, "is needed with sms twilio"


def _refused_audience(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.mailchimp_base_url is not None and not _is_loopback(_url_host(settings.mailchimp_base_url) or ""):
        yield "mailchimp_base_url", "must be a stand-in on loopback, such as http://127.0.0.1:8800; leave it unset"
    if settings.mailchimp_server is not None and not re.fullmatch("[a-z]{2,3}[0-9]+", settings.mailchimp_server):
        yield "mailchimp_server", "must be a data centre such as us21"
    if settings.mailchimp_hook_secret is not None and not _is_hook_secret(settings.mailchimp_hook_secret):
        yield "mailchimp_hook_secret", _HOOK_KEY_RULE
    if settings.audience != "mailchimp":
        return
    if not settings.mailchimp_api_key:
        yield "mailchimp_api_key", "is needed with audience mailchimp"
    elif settings.mailchimp_server is None and settings.mailchimp_base_url is None:
        yield "mailchimp_server", "is needed, as the key does not end in one (such as -us21)"
    if not settings.mailchimp_list_id:
        yield "mailchimp_list_id", "is needed with audience mailchimp"


def _refused_pos(settings: Settings) -> Iterator[tuple[str, str]]:
    if not _is_safe_target(settings.square_base_url):
        yield "square_base_url", "must be like https://connect.squareup.com; only loopback may be plain http"
    for pair in settings.square_locations:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,50}=[A-Za-z0-9._-]{1,64}", pair):
            yield "square_locations", f"{pair!r} is not like L1ABC=high-street"
    names = [pair.partition("=")[0] for pair in settings.square_locations]
    if len(set(names)) < len(names):
        yield "square_locations", "names a location twice"
    if settings.pos != "square":
        return
    if not settings.square_access_token:
        yield "square_access_token", "is needed with pos square"
    if not settings.square_locations:
        yield "square_locations", "is needed with pos square, such as L1ABC=high-street"


def _is_hook_secret(text: str) -> bool:
    # 128 bits, as 22 letters and digits or more that mean nothing.
    return bool(re.fullmatch(r"[A-Za-z0-9_-]{32,128}", text)) and not _is_placeholder(text)


def _is_safe_target(url: str) -> bool:
    host = _url_host(url)
    return bool(host) and (url.startswith("https://") or (url.startswith("http://") and _is_loopback(host or "")))


def _refused_shop(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.shop_name.isprintable():
        yield "shop_name", "holds a line break or another control character"
    if settings.default_country not in SUPPORTED_REGIONS:
        hint = "; the United Kingdom is GB" if settings.default_country == "UK" else ""
        yield "default_country", f"{settings.default_country} is no country with telephone numbers{hint}"


def _decoded_key(text: str) -> bytes:
    """Return the bytes of a key written as hex, as base64 or as itself, in this order of trying."""
    if re.fullmatch(r"([0-9a-fA-F]{2}){32,}", text):
        return bytes.fromhex(text)
    try:
        decoded = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    return decoded if len(decoded) >= SECRET_KEY_BYTES_MIN else text.encode()


def _is_placeholder(key: str) -> bool:
    return bool(_PLACEHOLDER.search(key)) or len(set(key)) < _SECRET_DISTINCT_MIN


def _url_host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
