"""How long a long trace takes: trace check and what-if against pandas.read_csv and a minimal loop, paired in one run.

    python benchmarks/trace_bench.py                  1 M events, 3 rounds: 1 minute
    python benchmarks/trace_bench.py --events 100000  a tenth of it

The input is made first, in a temporary folder: the recording t61b over and over, each time later. Every side runs in a
process of its own, one after the other, each first as often as the other; a ratio is taken within a round. Seconds are
CPU time of the whole process, its start and its imports included; machine code is compiled before. The exit status is 1
if two sides do not count the same; a missed aim is printed only, because a busy machine can cause it.
"""

import argparse
import lzma
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AIM, MEGABYTES = 2.0, 150  # times the seconds of the peer; peak of the process above that of its imports
POLICIES = "v4.13", "v4.14", "v6.1"


# --- the sides: each prints what it counted
def loop_check(path):
    """The stock of each CPU, followed row by row: what each row shows against what the rows before it leave."""
    import pandas

    stocks, events, right = {}, 0, 0
    frame = pandas.read_csv(path)
    for cpu, ev, memcg, nr, cached, avail in zip(
        frame["cpu"], frame["ev"], frame["memcg"], frame["nr"], frame["cached"], frame["avail"]
    ):
        if ev not in ("cons", "refill"):
            continue
        seen = (cached, avail)
        if cpu in stocks:
            events += 1
            right += stocks[cpu] == seen
        left = avail if cached == memcg else 0
        if ev == "refill":
            stocks[cpu] = (memcg, left + nr) if left + nr <= 64 else (0, 0)
        else:
            stocks[cpu] = (cached, avail - nr) if left >= nr else seen
    return f"looks {events}"


def loop_what_if(path):
    """Each policy's stock, charge by charge, in plain Python."""
    import pandas

    frame = pandas.read_csv(path, keep_default_na=False)
    told = []
    for batch, keeps in ((32, False), (32, True), (64, True)):
        stocks, charges = {}, 0
        for cpu, ev, memcg, nr, cause in zip(frame["cpu"], frame["ev"], frame["memcg"], frame["nr"], frame["cause"]):
            gives = keeps and ev == "unc" or ev == "refill" and cause not in ("surplus", "skmem") and keeps
            if not gives and ev != "chg" and not (ev == "try" and cause != "skmem"):
                continue
            owner, left = stocks.get(cpu, (memcg, 0))
            left = left if owner == memcg else 0
            if gives:
                left += nr
                stocks[cpu] = (memcg, left) if left <= batch else (memcg, 0)
            elif owner == memcg and left >= nr:
                stocks[cpu] = (memcg, left - nr)
            else:
                charges += 1
                if nr <= batch:
                    left += batch - nr
                    stocks[cpu] = (memcg, left) if left <= batch or not keeps else (memcg, 0)
        told.append(charges)
    return f"charges {told[-1]}"


def ours_check(path):
    """The library's check."""
    from memcg_lab.traces.check import check_trace, trace_policy
    from memcg_lab.traces.text import open_trace

    verdict = check_trace(open_trace(path), trace_policy("v6.1"))
    return f"looks {verdict.events}"


def ours_what_if(path):
    """The library's what-if."""
    from memcg_lab.traces.check import trace_policy
    from memcg_lab.traces.text import open_trace
    from memcg_lab.traces.what_if import what_if

    table, _ = what_if(open_trace(path), [trace_policy(name) for name in POLICIES])
    return f"charges {table['charges'].iloc[-1]}"


def imports(path):
    """What a process of ours takes before it reads anything."""
    import pandas

    import memcg_lab.traces.what_if

    return f"{pandas.__name__} {memcg_lab.traces.what_if.__name__}"


SIDES = {one.__name__: one for one in (loop_check, loop_what_if, ours_check, ours_what_if, imports)}


# --- running
def make(path, events):
    """The recording over and over; the numbers of its rows but the time stay."""
    with lzma.open(ROOT / "data" / "kernel_traces" / "t61b.csv.xz", "rt") as file:
        header, *rows = file
    rows = [row.split(",", 2) for row in rows]
    length = int(rows[-1][1]) + 1
    with open(path, "w") as out:
        out.write(header)
        for k in range(events):
            cpu, t_us, rest = rows[k % len(rows)]
            out.write(f"{cpu},{int(t_us) + k // len(rows) * length},{rest}")


def run(side, path):
    """Seconds, peak in megabytes and what one side counted, in its own process."""
    command = [sys.executable, __file__, "--side", side, str(path)]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{side} failed on {path}")
        out.seek(0)
        found = out.read().decode().strip()
    scale = 1024 if sys.platform == "linux" else 1024**2
    return used.ru_utime + used.ru_stime, used.ru_maxrss / scale, found


def table(events, rounds):
    """Print a row a command; the exit status."""
    alike = True
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.csv"
        small = Path(folder) / "small.csv"
        make(path, events)
        make(small, max(events // 10, 1))
        base = run("imports", path)[1]
        print(f"a trace of {events:,} events, {path.stat().st_size / 1e6:.0f} MB, {rounds} rounds")
        print(f"aim: at most {AIM:g} x the peer; imports alone take {base:.0f} MB")
        print(
            f"{'command':<9} {'peer s':>7} {'ours s':>7} {'ratio':>6}  {'peer MB':>7} {'ours MB':>7} {'of a tenth':>10}"
        )
        for name in ("check", "what_if"):
            peer, ours = f"loop_{name}", f"ours_{name}"
            tenth = max(run(ours, small)[1] for _ in range(2))  # the first may compile
            times = {peer: [], ours: []}
            for k in range(rounds):
                for side in (peer, ours) if k % 2 else (ours, peer):
                    times[side].append(run(side, path))
            ratio = statistics.median(a[0] / b[0] for a, b in zip(times[ours], times[peer]))
            seconds = {side: statistics.median(found[0] for found in times[side]) for side in times}
            peaks = {side: max(found[1] for found in times[side]) for side in times}
            if name == "what_if":  # the check's loop predicts the stock only, ours the counters and drains too
                equal = times[peer][0][2] == times[ours][0][2]
                alike &= equal
                same = "same charges" if equal else f"DIFFER: {times[peer][0][2]}, {times[ours][0][2]}"
            else:
                same = f"{times[ours][0][2]} and drains, {times[peer][0][2]}"
            missed = " aim missed" * (ratio > AIM or peaks[ours] > base + MEGABYTES)
            print(
                f"{name:<9} {seconds[peer]:7.1f} {seconds[ours]:7.1f} {ratio:6.2f}  {peaks[peer]:7.0f} "
                f"{peaks[ours]:7.0f} {tenth:10.0f}  {same}{missed}"
            )
    return 0 if alike else 1


def main():
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="rows of the input (default 1000000)")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds (default 3)")
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.side:
        return table(arguments.events, arguments.rounds)
    print(SIDES[arguments.side[0]](arguments.side[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
