"""The command: ``python -m benchmarks [--rounds N] [--case NAME] [--quick] [--check]``."""

import argparse
import sys
from time import monotonic

from .cases import CASES
from .harness import ROOT, BenchmarkError, Peers, play
from .report import Result, page, verdict

RESULTS = ROOT / "benchmarks/RESULTS.md"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure threadtree beside the bare interpreter and its peers.",
        epilog=f"A run of all cases in full size writes {RESULTS.relative_to(ROOT)}.",
    )
    parser.add_argument("--rounds", type=int, help="measure each so many times (9, or 3 if quick)")
    parser.add_argument("--case", choices=CASES, help="only this one", action="append")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that all works")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar does not hold")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 9)
    if options.rounds < 0:
        parser.error("there cannot be less than one round")
    return options


def main() -> int:
    options = arguments()
    peers = Peers()
    results = []
    for case in map(CASES.__getitem__, options.case or CASES):
        size = case.quick if options.quick else case.size
        begin = monotonic()
        results.append(Result(case, size, list(play(peers, case, options.rounds, size))))
        print(f"{case.name}: {monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    print(verdict(results))
    if not options.quick and not options.case:
        RESULTS.write_text(page(results, peers.versions()), encoding="utf-8")
    return 1 if options.check and not all(result.held for result in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as failure:
        sys.exit(f"benchmarks: {failure}")
