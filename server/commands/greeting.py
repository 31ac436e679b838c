"""What a service says once it listens: where everything is and how to get in."""

import os
import shlex
import sys
from pathlib import Path

from server.demo.signins import FILE_NAME, STAFF_NAMES, DemoSignIns
from server.settings import Settings

_LABEL_WIDTH = 10


def address_of(settings: Settings) -> str:
    """Return the address that the service listens at, as a browser on this machine takes it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not listened on here
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def greeting(settings: Settings, sign_ins: DemoSignIns | None) -> str:
    """Return the lines to print; those of a demo hold its sign-ins."""
    address = address_of(settings)
    title = f"{settings.shop_name} is open at {address}"
    lines = [("API page", f"{address}/schema"), ("Mail", _mail(settings))]
    lines += [("Console", f"{_program('regulars-console')} --server {address}")]
    if sign_ins is not None:
        lines += [
            ("Staff", f"{', '.join(STAFF_NAMES)}: password {sign_ins.staff_password}"),
            ("Member", f"{sign_ins.member_email}: password {sign_ins.member_password}"),
            ("Till key", sign_ins.pos_key),
            ("", f"these also stand in {_shown(settings.data_dir / FILE_NAME)}"),
        ]
    lines += [("Mailchimp", _audience(settings))]
    if not settings.run_worker:
        lines += [("Jobs", "none run in this process; start `regulars worker`")]
    listed = "\n".join(f"  {label:<{_LABEL_WIDTH}} {text}" for label, text in lines)
    return f"\n{title}\n\n{listed}\n\nCtrl-C stops it."


def _mail(settings: Settings) -> str:
    if settings.mail == "smtp":
        return f"to {settings.smtp_host}, port {settings.smtp_port}"
    files = f"files in {_shown(settings.mail_folder)}"
    return files if settings.demo else f"{files}; NOBODY RECEIVES IT until REGULARS_MAIL=smtp is set"


def _audience(settings: Settings) -> str:
    if settings.audience == "none":
        return "not connected"
    if settings.mailchimp_base_url is None:
        return f"audience {settings.mailchimp_list_id}"
    return f"a stand-in; its contacts: {settings.mailchimp_base_url.removesuffix('/3.0')}/"


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def _program(name: str) -> str:
    """Return how to call a program of this environment from here."""
    beside = Path(sys.executable).parent / name
    return shlex.quote(_shown(beside)) if beside.exists() else name
