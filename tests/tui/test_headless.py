"""The headless half of the console stays free of the terminal library, and the first paint free of the HTTP library."""

import subprocess
import sys

import pytest


def _imports(module: str) -> set[str]:
    code = f"import sys, {module}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "module",
    [
        "tui.client",
        "tui.formatting",
        "tui.scan",
        "tui.wording",
        "tui.transport",
        "tui.actions",
        "tui.config",
        "tui.rule_words",
        "tui.report_words",
    ],
)
def test_the_headless_half_does_not_import_textual(module: str) -> None:
    assert "textual" not in _imports(module)


def test_the_lock_screen_is_painted_without_the_http_library_and_the_server() -> None:
    imported = _imports("tui.app")
    assert not imported & {"httpx", "msgspec", "server", "litestar", "asyncpg", "piccolo"}


def test_the_whole_console_never_imports_the_server() -> None:
    imported = _imports(
        "tui.app, tui.desk, tui.transport, tui.cli, tui.screens.email_change, tui.screens.register, tui.screens.help, "
        "tui.screens.rules, tui.screens.rules_text, tui.screens.trial, tui.screens.report_forms, tui.screens.reward_forms"
    )
    assert not imported & {"server", "litestar", "asyncpg", "piccolo"}
