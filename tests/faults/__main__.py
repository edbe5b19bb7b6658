"""`make faults`: every fault in its full number; the table, and exit status 1 if anything did not survive."""

import argparse
import sys

from tests.faults.plan import FAULTS
from tests.faults.suite import play, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -P -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="few cases of each")
    parser.add_argument("--only", help="faults whose name has this in it")
    options = parser.parse_args()
    verdicts = []
    for fault in FAULTS:
        if options.only and options.only not in fault.name:
            continue
        cases = fault.short if options.short else fault.full
        if not cases:
            continue
        print(f"{fault.name}: at most {cases} cases ...", flush=True)
        verdict = play(fault, options.seed, cases)
        print(
            f"  {verdict.survived} of {verdict.cases} survived in {verdict.seconds:.1f} s {verdict.skipped}", flush=True
        )
        for wrong in verdict.wrong:
            print(f"  {wrong}", flush=True)
        verdicts.append(verdict)
    print()
    print(table(verdicts))
    return 1 if any(verdict.wrong for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
