"""Everything an operator can set, with defaults and in words."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

PREFIX: Final = "REGULARS_"
SECRET_KEY_BYTES_MIN: Final = 32
"""A key shorter than the 256 bits of the HMAC it feeds would be the weakest part of it."""

SMTPS_PORT: Final = 465
"""The port where TLS comes first and STARTTLS has no place."""
EXAMPLE_SENDER: Final = "rewards@shop.example"

SECRETS: Final = frozenset(
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


def _default_data_dir() -> Path:
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "regulars"
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root and its stand-in `nobody` cannot enter a private home.
        return Path("/var/lib/regulars")
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "regulars"


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings; `settings_reading.load` makes checked ones, tests construct them."""

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
            names = (url_host(self.public_url) or self.host, "localhost", "127.0.0.1")
            msgspec.structs.force_setattr(self, "allowed_hosts", tuple(dict.fromkeys(names)))
        if not self.square_hook_url:
            msgspec.structs.force_setattr(self, "square_hook_url", f"{self.public_url}/hooks/square")
        if self.mailchimp_server is None and self.mailchimp_api_key and "-" in self.mailchimp_api_key:
            msgspec.structs.force_setattr(self, "mailchimp_server", self.mailchimp_api_key.rpartition("-")[2])

    def __repr__(self) -> str:
        """Show what is set without showing a secret."""
        shown = (
            f"{name}={'[secret]' if name in SECRETS and value else repr(value)}"
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
        kind=kind_in_words(kind),
        default="~/.local/share/regulars" if field.name == "data_dir" else default,
        description=meta.description,
        is_secret=field.name in SECRETS,
    )


def kind_in_words(kind: object) -> str:
    """Return what a setting of a type may be."""
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    words = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
    if get_origin(kind) is tuple:
        return "list"
    return next(word for known, word in words.items() if kind is known or known in get_args(kind))


def url_host(url: str) -> str | None:
    """Return the host of an address; None if there is none, or it cannot be read."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
