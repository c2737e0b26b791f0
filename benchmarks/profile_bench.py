"""How long a long profile takes to read: read_perf against the few lines one would write for it, paired in one run.

    python benchmarks/profile_bench.py              200 MB of folded stacks and of perf script, 3 rounds: 4 minutes
    python benchmarks/profile_bench.py --mb 20      a tenth of it

The inputs are made first, in a temporary folder, from a fixed seed. Every side runs in a process of its own, one after
the other, each first as often as the other; a ratio is taken within a round. Seconds are CPU time of the whole process,
its start and its imports included. The exit status is 1 if two sides do not find the same shares; a missed aim is
printed only, because a busy machine can cause it.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AIM, MEGABYTES = 2.0, 150  # times the seconds of the peer; peak of the process


# --- the sides: each prints "share symbol" of what a sample ran in, the largest first
def dict_over_folded(path):
    """Ten lines of Python: own shares and those of whole stacks, by frame."""
    own, children = {}, {}
    with open(path) as lines:
        for line in lines:
            stack, _, count = line.rpartition(" ")
            frames, count = stack.split(";"), int(count)
            own[frames[-1]] = own.get(frames[-1], 0) + count
            for frame in set(frames):
                children[frame] = children.get(frame, 0) + count
    return own


def collapse_script(path):
    """What the stackcollapse scripts do with perf script: one expression a line, a stack a key."""
    first = re.compile(r"^(\S.+?)\s+(\d+)/*(\d+)*\s+.*?(\d+) \S+: *$")
    frame = re.compile(r"^\s*(\w+)\s*(.+) \((\S*)\)")
    stacks, stack, weight = {}, [], 0
    with open(path) as lines:
        for line in lines:
            if line == "\n":
                key = ";".join(reversed(stack))
                stacks[key] = stacks.get(key, 0) + weight
                stack = []
            elif found := first.match(line):
                weight = int(found[4])
            elif found := frame.match(line):
                stack.append(re.sub(r"\+0x[\da-f]+$", "", found[2]).replace(";", ":"))
    own = {}
    for key, weight in stacks.items():
        leaf = key.rpartition(";")[2]
        own[leaf] = own.get(leaf, 0) + weight
    return own


def ours(path):
    """The library."""
    from memcg_lab.perf import read_perf

    table = read_perf(Path(path))
    return table.groupby("symbol")["percent"].sum().to_dict()


SIDES = {"ours": ours, "dict": dict_over_folded, "collapse": collapse_script}


# --- the inputs
def make(folder, megabytes):
    """Both files; a stack is drawn again and again, as on a real machine, at other addresses."""
    draw = random.Random(475048)
    names = [f"function_{k:04d}_{'of_a_long_name_or_not'[: draw.randrange(21)]}" for k in range(4000)]
    pool = []
    for _ in range(20_000):
        start, depth = draw.randrange(40), draw.randrange(8, 40)
        steps = [start * 97 + 31 * level + (draw.randrange(6) if level > 4 else 0) for level in range(depth)]
        pool.append([names[step % len(names)] for step in steps])
    return {
        "dict": written(folder / "stacks.folded", megabytes, lambda: folded_line(draw, pool)),
        "collapse": written(folder / "script.txt", megabytes, lambda: sample(draw, pool)),
    }


def written(path, megabytes, piece):
    """A file of so many megabytes."""
    size = 0
    with open(path, "w") as file:
        while size < megabytes * 1_000_000:
            text = piece()
            file.write(text)
            size += len(text)
    return path


def folded_line(draw, pool):
    """A stack and its count."""
    return f"server;{';'.join(pool[draw.randrange(len(pool))])} {draw.randrange(1, 50)}\n"


def sample(draw, pool):
    """A sample of perf script with its stack, the kernel's half on top."""
    thread, cpu, period = 1000 + draw.randrange(8), draw.randrange(4), draw.randrange(1, 10**6)
    lines = [f"server  {thread} [{cpu:03d}]  100.000001:     {period} cycles:P: \n"]
    for level, name in enumerate(reversed(pool[draw.randrange(len(pool))])):
        offset = draw.randrange(64)
        if level < 8:
            lines.append(f"\tffffffff81{offset:06x} {name}+0x{offset:x} ([kernel.kallsyms])\n")
        else:
            lines.append(f"\t    7f00{offset:08x} {name}+0x{offset:x} (/usr/lib/libserver.so.6)\n")
    return "".join([*lines, "\n"])


# --- running
def run(side, path):
    """Seconds, peak in megabytes and shares of one side in its own process."""
    command = [sys.executable, __file__, "--side", side, str(path)]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{side} failed on {path}")
        out.seek(0)
        found = (line.split(" ", 1) for line in out.read().decode().splitlines())
        shares = {name: float(share) for share, name in found}
    scale = 1024 if sys.platform == "linux" else 1024**2
    return used.ru_utime + used.ru_stime, used.ru_maxrss / scale, shares


def same(one, other):
    """Whether two sides found the same shares; what nothing ran in counts as not there."""
    names = {name for name in {*one, *other} if one.get(name, 0) or other.get(name, 0)}
    return all(abs(one.get(name, 0) - other.get(name, 0)) < 1e-6 for name in names)


def table(megabytes, rounds):
    """Print a row a form; the exit status."""
    alike = True
    with tempfile.TemporaryDirectory() as folder:
        print(f"profiles of {megabytes} MB, {rounds} rounds; aim: at most {AIM:g} x the peer, {MEGABYTES} MB")
        print(
            f"{'form':<12} {'peer':<10} {'peer s':>7} {'ours s':>7} {'ratio':>6}  {'peer MB':>7} {'ours MB':>7}  shares"
        )
        for peer, path in make(Path(folder), megabytes).items():
            times = {peer: [], "ours": []}
            for k in range(rounds):
                for side in (peer, "ours") if k % 2 else ("ours", peer):
                    times[side].append(run(side, path))
            ratio = statistics.median(a[0] / b[0] for a, b in zip(times["ours"], times[peer]))
            seconds = {side: statistics.median(found[0] for found in times[side]) for side in times}
            peaks = {side: max(found[1] for found in times[side]) for side in times}
            equal = all(same(a[2], b[2]) for a, b in zip(times["ours"], times[peer]))
            alike &= equal
            missed = " aim missed" * (ratio > AIM or peaks["ours"] > MEGABYTES)
            print(
                f"{path.suffix[1:]:<12} {peer:<10} {seconds[peer]:7.1f} {seconds['ours']:7.1f} {ratio:6.2f}  "
                f"{peaks[peer]:7.0f} {peaks['ours']:7.0f}  {'same' if equal else 'DIFFER'}{missed}"
            )
    return 0 if alike else 1


def main():
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=200, help="megabytes of each input (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds (default 3)")
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.side:
        return table(arguments.mb, arguments.rounds)
    shares = SIDES[arguments.side[0]](arguments.side[1])
    total = sum(shares.values())
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"{100 * share / total:.9f} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
