"""Are the committed notebooks what their execution gives? Exit status 1 if anything is stale.

python -m tools.check [NOTEBOOK...]               executes copies
                      --executed FOLDER           takes what nbval executed, see tools/keep_executed.py
                      --timings                   lists the slowest cells
"""

import pathlib
import sys

from tools import execution, keep_executed, notebooks
from tools.comparison import keep_committed_timings, stale
from tools.coverage import FLOOR, coverage, print_report, sanitizer_patterns
from tools.faults import faults


def print_slowest(runs, number=10):
    cells = [(seconds, run.path.name, position) for run in runs for position, seconds in run.cell_seconds.items()]
    print("slowest cells:")
    for seconds, name, position in sorted(cells, reverse=True)[:number]:
        print(f"  {seconds:6.2f} s  {name}, cell {position}")


def check(root, names=(), timings=False, executed=None):
    paths = notebooks.chosen(root, names)
    runs, seconds = keep_executed.kept(root, paths, executed) if executed else execution.execute(root, paths)
    patterns = sanitizer_patterns()
    rows, complaints = [], []
    for run in runs:
        name = run.path.name
        covered = coverage(run.committed, patterns)
        rows.append((run.path, covered, run.seconds, len(run.committed_raw.encode())))
        if run.error:
            complaints.append(f"{name}: stopped: {run.error}")
        else:
            keep_committed_timings(run.notebook, run.committed)
            complaints += [f"{name}: stale: {what}" for what in stale(run)]
        complaints += [f"{name}: {fault}" for fault in faults(run.committed, run.committed_raw)]
        if covered.below_floor:
            complaints.append(
                f"{name}: only {covered.kinds['compared']} of {covered.cells - covered.kinds['pure']} "
                f"cells are compared; at least {FLOOR:.0%} must be"
            )
    print_report(rows)
    print(f"all notebooks: {seconds:.1f} s")
    if timings:
        print_slowest(runs)
    for complaint in complaints:
        print(complaint)
    print(
        "the notebooks are what they say"
        if not complaints
        else f"{len(complaints)} complaints; stale ones: look at the change, then run refresh"
    )
    return 1 if complaints else 0


def main(argv):
    parser = notebooks.parser(__doc__, names=True)
    parser.add_argument("--executed", type=pathlib.Path, metavar="FOLDER", help="what nbval executed")
    parser.add_argument("--timings", action="store_true", help="list the slowest cells")
    return notebooks.run(check, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
