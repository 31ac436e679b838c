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
        if moved or not _is_usable():
            _make_venv()
        _install()
        # Last, and at once: a run that was cut short begins anew.
        draft = STAMP.with_suffix(".new")
        draft.write_text(stamp)
        draft.replace(STAMP)


def _is_usable() -> bool:
    if not PYTHON.exists():
        return False
    check = "import sys; sys.exit(sys.prefix == sys.base_prefix or sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", check], check=False).returncode == 0


def _make_venv() -> None:
    if VENV.is_symlink():
        sys.exit(".venv is a link; remove it, so that its target is not emptied.")
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV))
        return
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True, stdout=subprocess.PIPE)
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"{error.output.decode()}\nThis Python cannot make environments. Install its venv module (Debian and Ubuntu: "
            "apt install python3-venv), or install uv."
        )


def _install() -> None:
    uv = shutil.which("uv") or _fetched_uv()
    if uv is None:
        pip = (str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run(*pip, "--require-hashes", "-r", "requirements.lock")
        _run(*pip, "--no-deps", "--no-build-isolation", "-e", ".")
        return
    _run(uv, "pip", "sync", "--quiet", "--python", str(PYTHON), "--require-hashes", "requirements.lock")
    # The build backend is locked too, so building fetches nothing.
    _run(uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--no-deps", "--no-build-isolation", "-e", ".")


def _fetched_uv() -> str | None:
    """Return the locked uv, installed by pip; None where there is none for this machine."""
    locked = re.search(r"^uv==.*(\n +--hash.*)+", Path("requirements.lock").read_text(), re.MULTILINE)
    if locked is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(locked[0] + "\n")
        file.flush()
        pip = (str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        result = subprocess.run([*pip, "--require-hashes", "-r", file.name], check=False)
    return str(VENV / "bin" / "uv") if result.returncode == 0 else None


def _run(*command: str) -> None:
    # What the caller's own environment says about the active one must not lead uv astray.
    environ = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    }
    if subprocess.run(command, check=False, env=environ).returncode != 0:
        sys.exit(f"Setting up .venv failed at: {' '.join(command)}")


if __name__ == "__main__":
    main(sys.argv[1])
