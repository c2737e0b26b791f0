"""Command line: ``python -m memcg_lab COMMAND``."""

import argparse
import sys


def conformance(arguments):
    """Replay golden files and compare every field of every operation."""
    from .conformance import check_files

    return check_files(arguments.files, arguments.policy)


def profile(arguments):
    """Compare two profiles: what is gone, what is new, and how far the rest was rescaled."""
    from .perf import print_comparison

    return print_comparison(arguments.before, arguments.after)


def measure(arguments):
    """Measure this machine: atomics, cache lines, and the rule before and after the patch."""
    import pathlib

    from .hardware import measure

    out = pathlib.Path(arguments.out)
    if out.is_dir() or not out.parent.is_dir():
        raise ValueError(f"{out}: {'this is a folder' if out.is_dir() else 'there is no such folder'}.")
    from tqdm import tqdm

    with tqdm(unit=" runs", leave=False, delay=0.2) as bar:

        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        try:
            found = measure(seconds=arguments.seconds, progress=progress)
        except KeyboardInterrupt:
            raise ValueError("interrupted; nothing was written.") from None
    found.save(out)
    print(found)
    return 0


def warmup(arguments):
    """Compile what the notebooks use, once; later starts load it."""
    from . import warm_up

    warm_up()
    return 0


def main(argv=None):
    """Parse and run; the exit status is 0 if all is well, 1 if a check failed, 2 if it was called wrongly."""
    parser = argparse.ArgumentParser(prog="python -m memcg_lab", description="One Linux patch, replayed.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("conformance", help=conformance.__doc__, description=conformance.__doc__)
    command.add_argument("files", nargs="+", metavar="FILE", help="golden file, .jsonl or .jsonl.gz")
    command.add_argument("--policy", required=True, choices=["v4.13", "v4.14"], help="before or after the patch")
    command.set_defaults(run=conformance)

    command = commands.add_parser("profile", help=profile.__doc__, description=profile.__doc__)
    text = "output of perf top, perf report --stdio or perf script as text, or folded stacks"
    command.add_argument("before", metavar="BEFORE", help=text)
    command.add_argument("after", metavar="AFTER", help="the same, from after the change")
    command.set_defaults(run=profile)

    command = commands.add_parser("measure", help=measure.__doc__, description=measure.__doc__)
    command.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    command.add_argument("--seconds", type=float, default=10, metavar="S", help="time for all runs (default 10)")
    command.set_defaults(run=measure)

    command = commands.add_parser("warmup", help=warmup.__doc__, description=warmup.__doc__)
    command.set_defaults(run=warmup)

    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except ValueError as error:
        print(f"memcg_lab {arguments.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
