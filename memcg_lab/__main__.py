"""Command line: ``python -m memcg_lab COMMAND``."""

import argparse
import os
import sys


def conformance(arguments):
    """Replay golden files and compare every field of every operation."""
    from .golden import check_files

    return check_files(arguments.files, arguments.policy)


class Progress:
    """A bar for each file that takes longer to read; gone when the file is read."""

    def __init__(self):
        self.bar = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()
        self.bar = None

    def __call__(self, path, done, total):
        """So many bytes of the file are read."""
        if done >= total:
            return self.__exit__()
        if self.bar is None:
            from tqdm import tqdm

            from .words import printable

            name = printable(path.name)
            self.bar = tqdm(desc=name, total=total, unit="B", unit_scale=True, leave=False, delay=0.5, disable=None)
        self.bar.update(done - self.bar.n)


def profile(arguments):
    """Compare two profiles: what is gone, what is new, and how far the rest was rescaled."""
    from .perf import print_comparison

    by = None if arguments.by is None else [name.strip() for name in arguments.by.split(",")]
    with Progress() as progress:
        return print_comparison(
            *(path for path in (arguments.before, arguments.after) if path is not None),
            progress=progress,
            event=arguments.event,
            by=by,
            groups=arguments.group,
            normalised=not arguments.as_written,
        )


def kernel_lab(arguments):
    """Record a real kernel: boot one in QEMU, or the one that runs here, and check the trace."""
    from .kernel_lab.boot import KERNEL, kernel_lab
    from .kernel_lab.recorder import Traffic

    kernel, cpus = arguments.kernel, arguments.cpus
    if arguments.native and (kernel, cpus) != (None, None):
        raise ValueError("--native records the kernel that runs here; leave out --kernel and --cpus.")
    traffic = Traffic(arguments.traffic, arguments.pairs, arguments.mib, arguments.chunk)
    kernel, cpus = KERNEL if kernel is None else kernel, 2 if cpus is None else cpus
    return kernel_lab(arguments.build, kernel, traffic, cpus, arguments.native)


def measure(arguments):
    """Measure this machine: atomics, cache lines, and the rule before and after the patch."""
    from tqdm import tqdm

    from .files import try_place
    from .hardware import measure

    try_place(arguments.out, replace=arguments.replace)

    with tqdm(unit=" runs", leave=False, delay=0.2) as bar:

        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        found = measure(seconds=arguments.seconds, progress=progress)
    print(found, flush=True)  # first: whatever becomes of the file, the numbers are there
    found.save(arguments.out, replace=arguments.replace)
    return 0


def warmup(arguments):
    """Compile what the notebooks use, once; later starts load it."""
    from .checks import whole_number
    from .warmup import not_ready, warm_up
    from .words import count

    jobs = None if arguments.jobs is None else whole_number("jobs", arguments.jobs, 1, 1024)
    if arguments.background and hasattr(os, "nice"):
        os.nice(10)  # not 19: on a busy machine a cell would wait for ever for what it needs
    missing = len(not_ready())
    if missing:
        kernels = count(missing, "kernel")
        print(f"memcg-lab: compiling {kernels}, once; a cell that needs one says that it waits.", flush=True)
        warm_up(jobs)
        print("memcg-lab: all kernels are compiled.", flush=True)
    return 0


def trace_check(arguments):
    """Follow traces of real kernels with a policy's rules and name what they do not predict."""
    from .traces.check import check_files

    return check_files(arguments.files, arguments.policy, arguments.batch, not arguments.no_cap, arguments.kallsyms)


def trace_what_if(arguments):
    """Replay the charges and give-backs of a trace under other policies."""
    from .traces.what_if import print_what_if

    draw = arguments.figure is not None
    if arguments.replace and not draw:
        raise ValueError("--replace says what happens to a figure; say --figure too.")
    if draw and not arguments.figure.endswith((".png", ".svg")):
        raise ValueError(f"--figure {arguments.figure}: the name must end in .png or .svg.")
    if draw:
        from .files import try_place

        try_place(arguments.figure, replace=arguments.replace)
    found = print_what_if(arguments.file, arguments.policies, arguments.batches, arguments.levels, arguments.kallsyms)
    if draw:
        from .figures import what_if

        what_if(*found()).save(arguments.figure, replace=arguments.replace)
        print(f"figure: {arguments.figure}")
    return 0


def web_build(arguments):
    """Turn the compiled kernels into WebAssembly, with their description and the golden files for a page."""
    from .web.build import build

    description = build(arguments.out, jobs=arguments.jobs, tell=lambda line: print(line, flush=True))
    made = description["kernels"].values()
    print(f"{len(made)} kernels, {sum(k['bytes'] for k in made):,} bytes, {sum(k['gzip'] for k in made):,} with gzip")
    return 0


def web_page(arguments):
    """Write the one file: all labs with their kernels, which opens by a double click, without a network."""
    from .web.page import make_page

    print(f"{arguments.out}: {make_page(arguments.out, arguments.kernels, arguments.lab):,} bytes")
    return 0


def quiz(arguments):
    """Ask endless questions on a topic, make somebody's paper, or mark papers."""
    if "numba" not in sys.modules:
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # small systems: compiling would take longer than all the runs
    from .course import quiz
    from .course.papers import make_paper, mark_papers, print_marks, save_paper
    from .files import path_of
    from .words import printable

    given = {name: value for name, value in vars(arguments).items() if value not in (None, False)}

    def only(mode, *allowed):
        extra = sorted(given.keys() - {"command", "run", *allowed})
        if extra:
            raise ValueError(f"{extra[0]} does not go with {mode}.")

    seed = whole("the seed", arguments.seed)
    if arguments.mark is not None:
        only("--mark", "mark", "seed", "paper", "answers")
        marks = mark_papers(arguments.mark, seed=seed, questions=whole("--paper", arguments.paper))
        return print_marks(marks, answers=arguments.answers)
    if arguments.topic is None and arguments.paper is None:
        raise ValueError("say what: a topic such as stock, --paper N for a paper, or --mark PATH.")
    if seed is None:
        raise ValueError("say which questions: --seed 7, or another whole number.")
    if arguments.paper is not None:
        only("--paper", "paper", "seed", "name", "out", "replace")
        if arguments.name is None or arguments.out is None:
            raise ValueError('a paper is somebody\'s and goes into a file: --name "..." -o paper.json.')
        paper = make_paper(whole("--paper", arguments.paper), seed=seed, name=arguments.name)
        save_paper(arguments.out, paper, replace=arguments.replace)
        name = printable(path_of(arguments.out, ".json").name)
        print(f"{name}: {len(paper['questions'])} questions; write your answers in place of null.")
        return 0
    only("a topic", "topic", "seed", "name", "questions", "answers")
    number = whole("--questions", arguments.questions)
    quiz(
        arguments.topic,
        seed=seed,
        questions=5 if number is None else number,
        name=arguments.name or "",
        answers=arguments.answers,
    )
    return 0


def test_form(arguments):
    """Print a form of the test for before and after the course, or mark a class."""
    if "numba" not in sys.modules:
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # as for the quiz
    from .course.before_after import form_text, mark_form, print_form_marks

    if arguments.mark is None:
        print(form_text(arguments.form, answers=arguments.answers))
        return 0
    if arguments.answers:
        raise ValueError("--answers does not go with --mark.")
    print_form_marks(arguments.form, mark_form(arguments.form, arguments.mark))
    return 0


def grade(arguments):
    """Run a design that a reader handed in again, and say whether it is what it claims."""
    from .course.capstone import WARNING, grade_file

    def consent(source):
        if arguments.yes:
            return True
        print(f"{source}\n{WARNING}", flush=True)
        if not sys.stdin.isatty():
            return False
        try:
            return input("Run it? Write yes: ").strip().lower() == "yes"
        except EOFError:  # Ctrl-D
            print()
            return False

    return grade_file(arguments.file, consent=consent, seed=whole("the seed", arguments.seed))


def whole(what, text):
    """A whole number from the command line, or None if it is not given."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        from .checks import shown

        raise ValueError(f"{what} is {shown(text)}; it must be a whole number.") from None


def numbers(text):
    """Whole numbers separated by commas."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not whole numbers separated by commas") from None


def main(argv=None):
    """Parse and run; the exit status is 0 if all is well, 1 if a check failed, 2 if it was called wrongly.

    As usual it is 130 after Ctrl-C, and 141 if the reader of the output, such as ``head``, has enough.
    """
    parser = argparse.ArgumentParser(prog="python -m memcg_lab", description="One Linux patch, replayed.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("conformance", help=conformance.__doc__, description=conformance.__doc__)
    command.add_argument("files", nargs="+", metavar="FILE", help="golden file, .jsonl or .jsonl.gz")
    command.add_argument(
        "--policy", required=True, choices=["v4.13", "v4.14", "v6.1"], help="before the patch, after it, or Linux 6.1"
    )
    command.set_defaults(run=conformance)

    command = commands.add_parser("profile", help=profile.__doc__, description=profile.__doc__)
    text = "output of perf top, perf report --stdio or perf script as text, folded stacks, a map of stacks of bpftrace"
    command.add_argument("before", metavar="BEFORE", help=f"{text}; .gz, .xz and .bz2 too")
    text = (
        "such a profile, from after the change; leave it out if BEFORE is a comparison table of the kernel test robot"
    )
    command.add_argument("after", metavar="AFTER", nargs="?", help=text)
    command.add_argument("--event", metavar="NAME", help="which event, if a file has several")
    command.add_argument("--by", metavar="A,B,...", help="what a row is known by: some of comm,dso,symbol,keys")
    text = "also print what the rows of such symbols have together, as 'page_counter_*'; may be given again"
    command.add_argument("--group", metavar="PATTERN", action="append", default=[], help=text)
    text = "take names as they are written, even where they change from run to run (perf-PID.map, kworker/N, ...)"
    command.add_argument("--as-written", action="store_true", help=text)
    command.set_defaults(run=profile)

    command = commands.add_parser("kernel-lab", help=kernel_lab.__doc__, description=kernel_lab.__doc__)
    command.add_argument("--build", default="build/kernel_lab", metavar="DIR", help="everything is written here")
    text = "Debian package, or a .deb file (default: linux-image-cloud-amd64)"
    command.add_argument("--kernel", metavar="PACKAGE", help=text)
    command.add_argument("--traffic", default="cross", choices=["cross", "same", "rr"], help="across CPUs, or within")
    command.add_argument("--pairs", type=int, default=2, metavar="N", help="connections (default 2)")
    command.add_argument("--mib", type=int, default=8, metavar="N", help="MiB that each one moves (default 8)")
    command.add_argument("--chunk", type=int, default=65_536, metavar="BYTES", help="of one write (default 65536)")
    command.add_argument("--cpus", type=int, metavar="N", help="CPUs of the booted machine (default 2)")
    text = "record the kernel that runs here instead; needs root and cgroup v2"
    command.add_argument("--native", action="store_true", help=text)
    command.set_defaults(run=kernel_lab)

    command = commands.add_parser("measure", help=measure.__doc__, description=measure.__doc__)
    command.add_argument("--out", required=True, metavar="FILE", help="JSON file to write")
    command.add_argument("--replace", action="store_true", help="replace FILE if it is there")
    command.add_argument("--seconds", type=float, default=10, metavar="S", help="time for all runs (default 10)")
    command.set_defaults(run=measure)

    command = commands.add_parser("warmup", help=warmup.__doc__, description=warmup.__doc__)
    command.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a CPU)")
    command.add_argument("--background", action="store_true", help="let everything else go first")
    command.set_defaults(run=warmup)

    command = commands.add_parser("trace", help="Check traces of real kernels, or replay them under other policies.")
    kinds = command.add_subparsers(dest="kind", required=True, metavar="KIND")
    text = "csv of kernel-lab or bpftrace, ftrace text, trace-cmd report or perf script; also packed (gzip, xz, bzip2)"
    kind = kinds.add_parser("check", help=trace_check.__doc__, description=trace_check.__doc__)
    kind.add_argument("files", nargs="+", metavar="FILE", help=text)
    kind.add_argument("--policy", required=True, metavar="NAME", help="such as v4.14 or v6.1")
    kind.add_argument("--batch", type=int, metavar="N", help="another batch, in pages")
    kind.add_argument("--no-cap", action="store_true", help="without the first hunk of 475d048")
    names = "/proc/kallsyms of the traced kernel, for ftrace text and perf script"
    kind.add_argument("--kallsyms", metavar="FILE", help=names)
    kind.set_defaults(run=trace_check)
    kind = kinds.add_parser("what-if", help=trace_what_if.__doc__, description=trace_what_if.__doc__)
    kind.add_argument("file", metavar="FILE", help=text)
    kind.add_argument("--policies", required=True, metavar="A,B,...", help="such as v4.13,v4.14,v6.1")
    kind.add_argument("--batches", type=numbers, default=[], metavar="N,M,...", help="each policy with each batch")
    text = "counters up to the root, of every cgroup (default: what the trace says, else 3, as for /a/b)"
    kind.add_argument("--levels", type=int, metavar="N", help=text)
    kind.add_argument("--figure", metavar="FILE", help="also draw the drift over time, .png or .svg")
    kind.add_argument("--replace", action="store_true", help="replace the figure if it is there")
    kind.add_argument("--kallsyms", metavar="FILE", help=names)
    kind.set_defaults(run=trace_what_if)

    command = commands.add_parser("web", help="The kernels as WebAssembly, for a page that needs no Python.")
    kinds = command.add_subparsers(dest="kind", required=True, metavar="KIND")
    kind = kinds.add_parser("build", help=web_build.__doc__, description=web_build.__doc__)
    text = "folder for the files (default: build/web); kernels that are there and unchanged are kept"
    kind.add_argument("--out", default="build/web", metavar="FOLDER", help=text)
    kind.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a CPU, at most 4)")
    kind.set_defaults(run=web_build)
    kind = kinds.add_parser("page", help=web_page.__doc__, description=web_page.__doc__)
    text = "the file (default: build/memcg-lab.html)"
    kind.add_argument("--out", default="build/memcg-lab.html", metavar="FILE", help=text)
    text = "folder that `web build` has filled (default: build/web)"
    kind.add_argument("--kernels", default="build/web", metavar="FOLDER", help=text)
    kind.add_argument("--lab", metavar="NAME", help="only that lab, such as ContentionLab, and nothing around it")
    kind.set_defaults(run=web_page)

    command = commands.add_parser("quiz", help=quiz.__doc__, description=quiz.__doc__)
    command.add_argument("topic", metavar="TOPIC", nargs="?", help="such as stock; an unknown one lists all")
    command.add_argument("--seed", metavar="N", help="the course's; the same seed and name give the same questions")
    command.add_argument("--questions", metavar="N", help="how many (default 5)")
    command.add_argument("--name", metavar="NAME", help="the reader's; each has questions of their own")
    text = "print the answers too, and what leads to a usual wrong one"
    command.add_argument("--answers", action="store_true", help=text)
    text = "make a paper of N questions on all topics; with --mark, how many each has"
    command.add_argument("--paper", metavar="N", help=text)
    command.add_argument("-o", "--out", metavar="FILE", help="the paper, JSON")
    command.add_argument("--replace", action="store_true", help="replace FILE if it is there")
    command.add_argument("--mark", metavar="PATH", help="mark a paper, or all of a folder")
    command.set_defaults(run=quiz)

    command = commands.add_parser("test-form", help=test_form.__doc__, description=test_form.__doc__)
    command.add_argument("form", metavar="FORM", help="A or B: one before the course, the other after it")
    command.add_argument("--answers", action="store_true", help="print what is right too, and what leads to the rest")
    text = "mark a text with a line for each reader: name, colon, 20 letters"
    command.add_argument("--mark", metavar="FILE", help=text)
    command.set_defaults(run=test_form)

    command = commands.add_parser("grade", help=grade.__doc__, description=grade.__doc__)
    command.add_argument("file", metavar="FILE", help="what hand_in() of the last notebook wrote, JSON")
    text = "run the code in FILE without asking; it is not kept from your files or from the network"
    command.add_argument("--yes", action="store_true", help=text)
    text = "score it on traffic drawn from this whole number too, which it cannot have been made for"
    command.add_argument("--seed", metavar="N", help=text)
    command.set_defaults(run=grade)

    arguments = parser.parse_args(argv)
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        status, said = 130, "interrupted."
    except BrokenPipeError:
        give_up_output()
        return 141
    except ValueError as error:
        status, said = 2, error
    except OSError as error:
        status, said = 2, f"{error.filename or 'the output or a file'}: {error.strerror or error}."
        try:
            sys.stdout.flush()
        except OSError:
            give_up_output()  # Python would try once more at its end, and say so
    except MemoryError:
        status, said = 2, "there is not enough memory for this."
    from .words import printable

    print(f"memcg_lab {arguments.command}: {printable(said)}", file=sys.stderr)
    return status


def give_up_output():
    """What is left to write goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed before we began
            setattr(sys, name, open(os.devnull, "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")  # ASCII alone gets \u2026 for what it cannot show
    sys.exit(main())
