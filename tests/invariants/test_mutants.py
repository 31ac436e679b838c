"""The mistakes that the ledger's machine is measured by fit the code as it stands."""

from pathlib import Path

from scripts.mutants.catalogue import MUTANTS

ROOT = Path(__file__).resolve().parents[2]


def test_every_mistake_has_one_place_in_the_code_and_can_be_run() -> None:
    for mutant in MUTANTS:
        text = (ROOT / mutant.file).read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1, f"{mutant.name}: look for its place in {mutant.file}"
        compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
