"""Makes .venv hold exactly requirements.lock and this project; run by scripts/_env.sh with any Python 3.11 or newer.

uv does the work, as it takes seconds where pip takes minutes: the one on PATH, or else the locked one, fetched by pip.
Of two that run at once the second waits and then finds the work done.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "regulars-stamp"


def main(stamp: str) -> None:
    # The lock is on a file that is there anyway, so none is left behind.
    with Path("pyproject.toml").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == stamp:
            return
        print("Setting up .venv ...", file=sys.stderr, flush=True)
        moved = STAMP.exists() and STAMP.read_text().rpartition(" ")[0].rpartition(" ")[0] != str(Path.cwd())
        STAMP.unlink(missing_ok=True)
        if moved or not _is_usable() or not _is_installed():
            _make_venv()
            if not _is_installed():
                sys.exit("Setting up .venv failed; the reason stands above.")
        # Last, and at once: a run that was cut short begins anew.
        draft = STAMP.with_suffix(".new")
        draft.write_text(stamp)
        draft.replace(STAMP)


def _is_usable() -> bool:
    if not PYTHON.exists():
        return False
    check = "import sys; sys.exit(sys.prefix == sys.base_prefix or sys.version_info < (3, 11))"
    return _runs(str(PYTHON), "-c", check)


def _make_venv() -> None:
    if VENV.is_symlink():
        sys.exit(".venv is a link; remove it, so that its target is not emptied.")
    uv = shutil.which("uv")
    if uv and _runs(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)):
        return
    if not _runs(sys.executable, "-m", "venv", "--clear", str(VENV)):
        sys.exit("This Python cannot make environments: install python3-venv (Debian, Ubuntu) or uv.")


def _is_installed() -> bool:
    """Install what is missing and return whether all went well; a damaged environment is then made anew."""
    sync: tuple[str, ...]
    pip: tuple[str, ...]
    uv = shutil.which("uv") or _locked_uv()
    if uv is None:
        pip = (str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        sync = (*pip, "--require-hashes", "-r", "requirements.lock")
    else:
        pip = (uv, "pip", "install", "--quiet", "--python", str(PYTHON))
        sync = (uv, "pip", "sync", "--quiet", "--python", str(PYTHON), "--require-hashes", "requirements.lock")
    # The build backend is locked too, so building the project fetches nothing.
    return _runs(*sync) and _runs(*pip, "--no-deps", "--no-build-isolation", "-e", ".")


def _locked_uv() -> str | None:
    """Return the uv of the environment, fetched by pip if it is not there; None where there is none for this machine."""
    program = str(VENV / "bin" / "uv")
    if Path(program).exists():
        return program
    locked = re.search(r"^uv==.*(\n +--hash.*)+", Path("requirements.lock").read_text(), re.MULTILINE)
    if locked is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(locked[0] + "\n")
        file.flush()
        pip = (str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        return program if _runs(*pip, "--require-hashes", "-r", file.name) else None


def _runs(*command: str) -> bool:
    # What the caller's own environment says about the active one must not lead the installers astray.
    led_astray = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    environ = {name: value for name, value in os.environ.items() if name not in led_astray}
    return subprocess.run(command, check=False, env=environ).returncode == 0


if __name__ == "__main__":
    main(sys.argv[1])
