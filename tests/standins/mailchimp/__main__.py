"""`python -m tests.standins.mailchimp`: serve until SIGTERM or SIGINT."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.standins.mailchimp.client import MailchimpStandIn
from tests.standins.mailchimp.service import Settings
from tests.standins.mailchimp.state import StateFileBroken

PORT_DEFAULT = 8701


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    settings = Settings(
        api_key=options.api_key,
        list_ids=tuple(options.list_id or Settings().list_ids),
        double_optin=options.double_optin,
        state_file=options.state,
    )
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    try:
        standin = MailchimpStandIn(settings, port=options.port)
    except (OSError, StateFileBroken) as error:
        sys.stderr.write(f"The Mailchimp stand-in cannot start on port {options.port}: {error}\n")
        return 1
    with standin:
        lists = ", ".join(settings.list_ids)
        sys.stdout.write(
            f"Mailchimp stand-in ready: {standin.url} (API {standin.api_url}, key {settings.api_key}, "
            f"audience {lists}, contacts {standin.url}/_control/contacts)\n"
        )
        sys.stdout.flush()
        asked_to_stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="mailchimp-standin", description="Mailchimp's Marketing API, on loopback.")
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep everything in this file across restarts")
    parser.add_argument("--list-id", action="append", metavar="ID", help="an audience's id; may be given again")
    parser.add_argument("--api-key", default=defaults.api_key, help="the only key that is taken")
    parser.add_argument("--double-optin", action="store_true", help="new audiences ask for a double opt-in")
    return parser


if __name__ == "__main__":
    sys.exit(main())
