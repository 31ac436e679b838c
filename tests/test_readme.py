"""The README says what the program does."""

import re
from pathlib import Path

from server.settings import describe

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_that_of_the_program() -> None:
    written = re.search(r"<!-- settings: [^>]* -->\n(.*?)<!-- /settings -->", README, re.DOTALL)
    assert written is not None
    assert written[1] == settings_table(), f"put this between the two comments:\n{settings_table()}"


def test_every_file_and_folder_that_is_linked_exists() -> None:
    root = Path(__file__).parent.parent
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert linked
    assert [path for path in linked if not (root / path).exists()] == []


def settings_table() -> str:
    """Return the table of all settings in Markdown."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for setting in describe():
        kind = f"{setting.kind}, secret" if setting.is_secret else setting.kind
        default = f"`{setting.default}`" if setting.default else ""
        rows.append(f"| `{setting.variable}` | {default} | {setting.description} ({kind}) |")
    return "\n".join(rows) + "\n"
