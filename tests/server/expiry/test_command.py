"""`regulars expire`, `report` and `import balances`, as whoever runs the shop types them."""

from pathlib import Path

from tests.server.command_line import Run


def test_a_run_says_what_it_did(shop: Run) -> None:
    done = shop("expire")
    assert (done.exit_code, done.output.splitlines()) == (
        0,
        ["0 points in 0 lots of 0 memberships have lapsed.", "0 notices are on their way."],
    )


def test_a_report_is_shown_or_written(shop: Run, tmp_path: Path) -> None:
    shown = shop("report", "liability")
    assert shown.exit_code == 0, shown.output
    assert "programme  month" in shown.output
    file = tmp_path / "points.csv"
    assert shop("report", "points", "--csv", str(file), "--since", "2026-01-01").exit_code == 0
    assert file.read_bytes() == b"programme,store,kind,rule,entries,issued,taken\r\n"
    wrong = shop("report", "points", "--since", "yesterday")
    assert (wrong.exit_code, "since" in wrong.output) == (1, True)


def test_balances_that_cannot_be_brought_over_are_listed(shop: Run, tmp_path: Path) -> None:
    file, report = tmp_path / "balances.csv", tmp_path / "refused.csv"
    file.write_text("\ufeffcard,points,earned_at\n29000000000000,5,2025-01-01\n29000000000000,x,2025-01-01\n", "utf-8")
    for options in (["--dry-run"], []):
        done = shop("import", "balances", str(file), "--report", str(report), *options)
        assert done.exit_code == 1
        assert "line 2: Nobody has this card" in done.output
        assert "line 3: points must be a whole number" in done.output
    assert report.read_text().splitlines()[0] == "line,key,reason"
    assert len(report.read_text().splitlines()) == 3


def test_a_file_that_is_none_of_this_kind_is_refused(shop: Run, tmp_path: Path) -> None:
    file = tmp_path / "balances.csv"
    for content in (b"", b"a,b\n1,2\n", "card,points,earned_at\nü".encode("latin-1"), b'card,points,earned_at\n"x'):
        file.write_bytes(content)
        assert shop("import", "balances", str(file)).exit_code == 2
