"""Starts the Mailchimp stand-in and becomes `regulars serve --demo`; run by scripts/serve.

The service takes this process over, so that signals reach it directly. The stand-in ends when the service does, however
that ends: a shell waits on a pipe whose other end only the service holds.
"""

import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

from server.private_files import prepare_data_dir
from server.settings import SettingsError
from server.settings_reading import load

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS_MAX = 20
READY = re.compile(r"ready: (?P<url>\S+) .*key (?P<key>[^,]+), audience (?P<list_id>[^,]+),")


def main() -> None:
    if not any(name.startswith(("REGULARS_AUDIENCE", "REGULARS_MAILCHIMP_")) for name in os.environ):
        os.environ.update(_start_standin())
    regulars = str(Path(sys.executable).with_name("regulars"))
    os.execv(regulars, [regulars, "serve", "--demo", *sys.argv[1:]])  # noqa: S606  # no shell is wanted


def _start_standin() -> dict[str, str]:
    """Return the settings that lead to the stand-in, none if it does not start: the demo works without an audience."""
    try:
        state_file = _data_dir() / "mailchimp.json"
    except (SettingsError, OSError):
        # The service says what is wrong in a moment, and better.
        return {}
    command = [str(ROOT / "scripts" / "mailchimp-standin"), "--port", "0", "--state", str(state_file)]
    # A session of its own: Ctrl-C is for the service, which may still have something to tell it.
    standin = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    _put_on_leash(standin.pid)
    ready = READY.search(_first_line(standin))
    if ready is None:
        print("The Mailchimp stand-in did not start; the demo goes on without an audience.", file=sys.stderr)
        standin.kill()
        return {}
    return {
        "REGULARS_AUDIENCE": "mailchimp",
        "REGULARS_MAILCHIMP_BASE_URL": ready["url"],
        "REGULARS_MAILCHIMP_API_KEY": ready["key"],
        "REGULARS_MAILCHIMP_LIST_ID": ready["list_id"],
    }


def _data_dir() -> Path:
    """Return the service's data folder, made as the service makes it."""
    return prepare_data_dir(load(os.environ, overrides={"demo": True}).data_dir)


def _first_line(standin: "subprocess.Popen[str]") -> str:
    assert standin.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(standin.stdout.readline()), daemon=True).start()  # type: ignore[union-attr]
    try:
        return lines.get(timeout=READY_SECONDS_MAX)
    except queue.Empty:
        return ""


def _put_on_leash(pid: int) -> None:
    """End a process when this one ends, even by kill -9, and whatever program it has become by then."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    script = 'read -r _; kill "$0" 2>/dev/null'
    subprocess.Popen(["/bin/sh", "-c", script, str(pid)], stdin=read_end, start_new_session=True)
    os.close(read_end)


if __name__ == "__main__":
    main()
