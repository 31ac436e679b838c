"""Points that are moved while the service, and its PostgreSQL, are killed: `scripts/bank` in its short form."""

import asyncio
import sys
from pathlib import Path

import pytest

from scripts.banking.__main__ import run

SECONDS = 8
SOAK_SECONDS = 300


@pytest.mark.skipif(sys.platform == "win32", reason="kills by SIGKILL")
@pytest.mark.timeout(900)
def test_what_was_acknowledged_is_there_once_whatever_was_killed(
    data_dir: Path, request: pytest.FixtureRequest
) -> None:
    seconds = SOAK_SECONDS if request.config.getoption("--soak") else SECONDS
    words, wrong = asyncio.run(run(data_dir, seconds=seconds, seed=7))
    assert wrong == [], words
