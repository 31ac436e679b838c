"""What values of settings are refused, each alone or all together."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from phonenumbers import SUPPORTED_REGIONS

from server.settings import EXAMPLE_SENDER, SECRET_KEY_BYTES_MIN, SMTPS_PORT, Settings, url_host

_ARGON2_MEMORY_KIB_MIN: Final = 19456
"""With a time cost of two the least that OWASP's password storage sheet calls enough."""
_ARGON2_TIME_COST_MIN: Final = 2
_SECRET_DISTINCT_MIN: Final = 10
_HOOK_KEY_RULE: Final = "must be 32 letters and digits or more that nobody guesses; make one with: openssl rand -hex 32"
_PLACEHOLDER: Final = re.compile(
    r"change.?me|change.?this|replace.?me|replace.?this|example|placeholder|insecure|dummy|your.?(secret|key|password)"
    r"|(super|top|very)?.?secret.?(key)?$|password|qwerty|letmein|x{6}|^test|0123456789|123456789|abcdefgh",
    re.IGNORECASE,
)


def iterate_refusals(settings: Settings) -> Iterator[tuple[str, str]]:
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
    host = url_host(settings.public_url) or ""
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
    elif len(decoded_key(settings.secret_key)) < SECRET_KEY_BYTES_MIN:
        yield "secret_key", f"is shorter than {SECRET_KEY_BYTES_MIN} bytes; make one with: openssl rand -hex 32"
    elif not is_rehearsal and _is_placeholder(settings.secret_key):
        yield "secret_key", "is an example or easy to guess; make one with: openssl rand -hex 32"


def _refused_hashing(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.test_profile:
        return
    if settings.argon2_memory_kib < _ARGON2_MEMORY_KIB_MIN:
        yield "argon2_memory_kib", f"is below the safe least of {_ARGON2_MEMORY_KIB_MIN}"
    if settings.argon2_time_cost < _ARGON2_TIME_COST_MIN:
        yield "argon2_time_cost", f"is below the safe least of {_ARGON2_TIME_COST_MIN}"


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
    if settings.mailchimp_base_url is not None and not _is_loopback(url_host(settings.mailchimp_base_url) or ""):
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


def _refused_shop(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.shop_name.isprintable():
        yield "shop_name", "holds a line break or another control character"
    if settings.default_country not in SUPPORTED_REGIONS:
        hint = "; the United Kingdom is GB" if settings.default_country == "UK" else ""
        yield "default_country", f"{settings.default_country} is no country with telephone numbers{hint}"


def decoded_key(text: str) -> bytes:
    """Return the bytes of a key written as hex, as base64 or as itself, in this order of trying."""
    if re.fullmatch(r"([0-9a-fA-F]{2}){32,}", text):
        return bytes.fromhex(text)
    try:
        decoded = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    return decoded if len(decoded) >= SECRET_KEY_BYTES_MIN else text.encode()


def _is_hook_secret(text: str) -> bool:
    # 128 bits, as 22 letters and digits or more that mean nothing.
    return bool(re.fullmatch(r"[A-Za-z0-9_-]{32,128}", text)) and not _is_placeholder(text)


def _is_safe_target(url: str) -> bool:
    host = url_host(url)
    return bool(host) and (url.startswith("https://") or (url.startswith("http://") and _is_loopback(host or "")))


def _is_placeholder(key: str) -> bool:
    return bool(_PLACEHOLDER.search(key)) or len(set(key)) < _SECRET_DISTINCT_MIN


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
