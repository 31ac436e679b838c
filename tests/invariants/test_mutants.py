"""The mistakes that the ledger's machine is measured by fit the code as it stands, and what finds them stays small."""

from pathlib import Path

from scripts.mutants.catalogue import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
MODEL_LINES_MAX = 300


def test_every_mistake_has_one_place_in_the_code_and_can_be_run() -> None:
    for mutant in MUTANTS:
        text = (ROOT / mutant.file).read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1, f"{mutant.name}: look for its place in {mutant.file}"
        compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


def test_the_model_is_small_enough_to_be_read_at_one_sitting() -> None:
    model = (ROOT / "tests/invariants/ledger_model.py").read_text(encoding="utf-8")
    assert len(model.splitlines()) <= MODEL_LINES_MAX
