"""Puts the mistakes of `catalogue` into a copy of the project, one at a time, and lets the ledger's machine look for each.

    .venv/bin/python -m scripts.mutants [NAME ...] [--examples N]

Nothing but the machine runs. A mutant is killed when it fails; the exit code says whether at most one survived.

Seen on 22 November 2026 on two cores (11 to 94 seconds for a mutant, beside another run of the tests): 31 of 31 killed. What
it tries is chosen at random here, so that now and then one survives.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("server", "shared", "tui", "tests", "scripts")
MACHINE = "tests/invariants/test_ledger_machine.py"
SURVIVORS_MAX = 1
PASSED, FAILED = 0, 1  # pytest's exit codes; any other is a run that has shown nothing, as is one that took too long.
TIMED_OUT = "from pytest-timeout"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *(mutant.name for mutant in MUTANTS)], help="all without one")
    parser.add_argument("--examples", type=int, default=60, help="examples before one has survived (default 60)")
    wanted = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not wanted.names or mutant.name in wanted.names]
    if words := _find_failure(None, wanted.examples // 10):
        raise SystemExit(f"The machine fails without any mutant; mend that first.\n{words}")
    survivors = []
    for mutant in chosen:
        started_at = time.monotonic()
        words = _find_failure(mutant, wanted.examples)
        is_killed = bool(words)
        outcome = "killed" if is_killed else "SURVIVED"
        print(f"{outcome:9} {mutant.name:22} {time.monotonic() - started_at:4.0f} s  {mutant.rule}", flush=True)
        # Which assertion failed, so that a kill for another reason shows.
        print(*[line for line in words.splitlines() if line.startswith(("E    ", "tests/"))][-1:], flush=True)
        if not is_killed:
            survivors.append(mutant)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed")
    return 0 if len(survivors) <= SURVIVORS_MAX else 1


def _find_failure(mutant: Mutant | None, examples: int) -> str:
    """Return what the machine says against a copy with the mutant, nothing if it finds no fault."""
    with tempfile.TemporaryDirectory(prefix="regulars-mutant-") as folder:
        copy = Path(folder)
        for name in FOLDERS:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if mutant is not None:
            _apply(mutant, copy)
        return _run_machine(copy, examples)


def _apply(mutant: Mutant, copy: Path) -> None:
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: its text no longer stands once in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def _run_machine(copy: Path, examples: int) -> str:
    options = ("-q", "-p", "no:cacheprovider", "--show-capture=no")
    command: Sequence[str] = (sys.executable, "-m", "pytest", *options, MACHINE)
    environ = os.environ | {"REGULARS_MACHINE_EXAMPLES": str(examples)}
    done = subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True, check=False)
    if done.returncode not in (PASSED, FAILED) or TIMED_OUT in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout if done.returncode == FAILED else ""


if __name__ == "__main__":
    sys.exit(main())
