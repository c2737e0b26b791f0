"""Executes the committed notebooks, brings them to their normal form, writes them; a second time no byte changes.

python -m tools.refresh [NOTEBOOK...] [--timings]
"""

import sys

from tools import execution, navigation, notebooks
from tools.comparison import keep_committed_timings
from tools.faults import faults


def refresh(root, names=(), timings=False):
    paths = notebooks.chosen(root, names)
    navigation.write(root)
    runs, seconds = execution.execute(root, paths)
    failed = 0
    for run in runs:
        if not timings:
            keep_committed_timings(run.notebook, run.committed)
            notebooks.normalise(run.notebook)
        text = notebooks.text_of(run.notebook)
        found = [run.error] if run.error else faults(run.notebook, text)
        if found:
            failed += 1
            print(f"NOT WRITTEN {run.path.name}")
            for fault in found:
                print(f"    {fault}")
        else:
            print(f"{'wrote' if notebooks.write_if_changed(run.path, text) else 'unchanged'} {run.path.name}")
    print(f"{len(runs) - failed} of {len(runs)} notebooks in {seconds:.1f} s")
    return 1 if failed else 0


def main(argv):
    parser = notebooks.parser(__doc__, names=True)
    parser.add_argument("--timings", action="store_true", help="new outputs for the cells tagged timing too")
    return notebooks.run(refresh, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
