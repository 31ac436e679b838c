"""Command line of the benchmarks."""

import argparse
import json
from pathlib import Path

from scripts.benchmarks import batch, core, duplicates, expiry, importing, scale, verify

BENCHMARKS = {
    "core": core.run,
    "batch": batch.run,
    "import": importing.run,
    "duplicates": duplicates.run,
    "expiry": expiry.run,
    "scale": scale.run,
    "verify": verify.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], help="benchmarks to run; all without one")
    parser.add_argument("--json", type=Path, help="write one flat object of figures to this file")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement (default 4)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds of all measurements, whose median counts (default 3)"
    )
    parser.add_argument(
        "--lots", type=int, default=expiry.LOTS, help=f"lots that have lapsed, for expiry (default {expiry.LOTS})"
    )
    parser.add_argument(
        "--members", type=int, default=scale.LARGE, help=f"members of the large shop, for scale (default {scale.LARGE})"
    )
    parser.add_argument(
        "--entries",
        type=int,
        default=verify.ENTRIES,
        help=f"entries of the ledger, for verify (default {verify.ENTRIES})",
    )
    parser.add_argument(
        "--customers",
        type=int,
        default=duplicates.CUSTOMERS,
        help=f"customers of the large shop, for duplicates (default {duplicates.CUSTOMERS})",
    )
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for name in options.names or BENCHMARKS:
        sizes = {
            "duplicates": {"customers": options.customers},
            "expiry": {"lots": options.lots},
            "scale": {"members": options.members},
            "verify": {"entries": options.entries},
        }.get(name, {})
        figures |= BENCHMARKS[name](seconds=options.seconds, rounds=options.rounds, **sizes)
    for name, figure in figures.items():
        print(f"{name:32} {figure:12.3f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
