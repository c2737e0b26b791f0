"""Exercises of the notebooks on the machine: numbers that are near enough, and words."""

import functools
from collections import namedtuple

import numpy as np

from ..files import data_path
from ..machine import read_measurement
from ..machine.topology import DEFAULT
from ..mechanism.policy import V4_13
from ..system import System, op
from ..traces.check import check_trace, trace_policy
from ..traces.text import read_rows
from ..traces.what_if import what_if
from ..words import kind, number
from ..workload import pingpong
from .answers import as_number

# right: () -> float. within: how near, as a part of it. unit, why: what to say when it is right. wrong: (answer, why).
Near = namedtuple("Near", "right within why wrong low high")
Near.__doc__ = "An exercise whose answer is a number that need not be exact."

LEVELS, SHARE, CPUS = 4, 0.0213, 56
GREW = 1.25  # the common rows of 07.1


def judge_near(exercise, answer):
    """(is it right, what to say) for a number that need not be exact."""
    answer, complaint = as_number(answer, "a number, such as 2.5")
    if complaint:
        return False, complaint
    right = exercise.right()
    if abs(answer - right) <= exercise.within * abs(right):
        return True, exercise.why
    for wrong, why in exercise.wrong:
        if abs(answer - wrong) <= max(exercise.within * abs(wrong), 1e-12):
            return False, why
    told = number(int(answer) if answer == int(answer) else float(answer))
    return False, f"{told} is too {'low' if answer < right else 'high'}. " + (
        exercise.low if answer < right else exercise.high
    )


def judge_word(right, wrong, hint):
    """A judge for one word: ``judge(answer) -> (is it right, what to say)``; ``right`` and ``wrong`` say why."""

    def judge(answer):
        if not isinstance(answer, str):
            return False, f'Your answer is {kind(answer)}; give a word in quotes, such as "count".'
        word = answer.strip().lower()
        if word in right:
            return True, right[word]
        return False, wrong.get(word, f'"{answer.strip()[:40]}" is not it. {hint}')

    return judge


def _million_uncharges():
    """Uncharges a second of all CPUs, in millions, if nobody waits: share x CPUs / (levels x cost of an atomic)."""
    atomic = DEFAULT.mean_transfer_ns(CPUS) + DEFAULT.local_ns
    return SHARE * CPUS / (LEVELS * atomic) * 1000


NEAR = {
    "07.1": Near(
        right=lambda: 100 * (1 - 1 / GREW),
        within=0.01,
        why="1 - 1 / 1.25 is a fifth. A row that grew by a quarter is the same amount of four fifths of the whole.",
        wrong=(
            (25, "25 % is how much the rows grew. What went away is a share of the old samples: 1 - 1 / 1.25."),
            (1.25, "1.25 is the factor itself; asked is a share of the old samples, in percent."),
            (0.2, "0.2 is right as a part; give it in percent."),
            (80, "80 % is what is left. Asked is what went away."),
            (
                75,
                "75 % is one minus a quarter. The rows are the same amount of what is left, 1 / 1.25 of the old whole.",
            ),
        ),
        low="If the rest did the same work, each of its rows is the same amount of a smaller whole.",
        high="If the rest did the same work, each of its rows is the same amount of a smaller whole.",
    ),
    "07.2": Near(
        right=_million_uncharges,
        within=0.03,
        why="All CPUs together spend 0.0213 x 56 seconds in a second, and an uncharge costs 4 atomics of 94 ns. The "
        "simulation fits fewer, because its CPUs also wait for each other.",
        wrong=(
            (
                SHARE * CPUS / 94.4 * 1000,
                "That is the number of atomics. An uncharge executes one at each of 4 levels.",
            ),
            (SHARE / (4 * 94.4) * 1000, "That is one CPU. 56 of them spend 2.13 % of their time there."),
            (SHARE * CPUS / (4 * 86.4) * 1000, "An atomic costs the way of the line and 8 ns of its own."),
            (SHARE * 100 * CPUS / (4 * 94.4) * 1000, "2.13 % is 0.0213 of the time."),
            (2.27, "That is what the simulation fitted. Its CPUs wait for each other; asked is without waiting."),
            (SHARE * CPUS / (4 * 8) * 1000, "8 ns is the atomic alone. The line has to come over as well, 86.4 ns."),
            (SHARE * CPUS / 4 * 1000, "Divide by what an uncharge costs: 4 atomics, each of 86.4 + 8 ns."),
        ),
        low="In one second 56 CPUs spend 56 x 0.0213 seconds there. Divide by what one uncharge costs.",
        high="In one second 56 CPUs spend 56 x 0.0213 seconds there. Divide by what one uncharge costs.",
    ),
}

# --- 01: shares that follow from others ------------------------------------------------------------------------------
CANCEL_PERCENT = 2.13


@functools.cache
def _charging_percent(lump):
    """What page_counter_try_charge should get if page_counter_cancel gets 2.13 % and pages come back in lumps."""
    system = System.chain(depth=2, cpus=2, policy=V4_13)
    came = system.replay(np.repeat(op("charge_skmem", cpu=0, memcg=2, nr=1), 1000)).add
    went = system.replay(np.repeat(op("uncharge_skmem", cpu=1, memcg=2, nr=lump), 1000 // lump)).sub
    return CANCEL_PERCENT * came / went


NEAR["01.2"] = Near(
    right=lambda: _charging_percent(8),
    within=0.03,
    why="1,000 pages take 32 trips to come and 125 to go: 2.13 % times 32 over 125. That is just about the lowest row "
    "of the listing, 0.54 %. By this reckoning the lumps on that host were not much larger: the row is missing.",
    wrong=(
        (0.068, "0.07 % is what pages give that come back one by one. Lumps make fewer trips of giving back."),
        (0.0085, "Lumps make giving back cheaper, so charging gets a larger part beside it, not a smaller one."),
        (8.32, "You divided by the wrong one. Charging still makes fewer trips than giving back: 32 against 125."),
        (0.266, "0.27 % is a quarter of the pages a trip, as if 256 were charged at once. A batch is 32 pages."),
        (2.13, "2.13 % would be right for lumps of 32: then both ways make as many trips."),
        (17.04, "8 times 2.13 % would be right if each page that comes made a trip. Charging takes 32 at a time."),
        (0.00545, "That is right as a part of all samples; give it in percent."),
    ),
    low="For 1,000 pages count the trips that charging makes, and those that giving back makes.",
    high="For 1,000 pages count the trips that charging makes, and those that giving back makes.",
)
NEAR["01.3"] = Near(
    right=lambda: 1 / (1 - 0.0680),
    within=0.001,
    why="3.95 and 2.85 make 6.80 %. 1 / (1 - 0.0680) is 1.073, against 1.041 for the careful answer: the truth, if "
    "only these rows change, lies in between.",
    wrong=(
        (1.0411, "1.041 is the careful answer, the three rows alone. Add those of which one cannot tell."),
        (1.068, "1.068 is 1 + 6.80 %. The factor is old time over new time, 1 / (1 - 0.0680)."),
        (1.0293, "1.029 is the rows of which one cannot tell alone. Add the three that are on the path."),
        (0.932, "0.932 is the time that is left. The factor is its inverse."),
        (6.8, "6.80 % is the share of the rows. Asked is a factor: 1 / (1 - 0.0680)."),
    ),
    low="Add the rows that are on the path and those of which one cannot tell, and take 1 / (1 - share).",
    high="Add the rows that are on the path and those of which one cannot tell, and take 1 / (1 - share).",
)


# --- 10: measured, and counted ---------------------------------------------------------------------------------------
NEAR["10.1"] = Near(
    right=lambda: _bundled().speedup(depth=3, threads=1),
    within=0.03,
    why="One thread, and no other CPU wants anything. Four atomics are gone, and that alone makes the difference.",
    wrong=(
        (149, "That is with two threads. Asked is one thread."),
        (1 / 22.6, "That is after over before. Asked is before over after."),
        (21.4, "That is the difference in nanoseconds. Asked is how many times."),
    ),
    low="Divide the median before by the median after, in the rows with depth 3 and 1 thread.",
    high="Divide the median before by the median after, in the rows with depth 3 and 1 thread.",
)
PAIRS = 20_010  # of 10.2; not a multiple of the batch

NEAR["10.2"] = Near(
    right=lambda: _left_in_stocks(2),
    within=0,
    why="Charging took 626 batches on each CPU, and of the last one 10 pages were used: 22 lie in each stock. What "
    "came back went to the counters at once.",
    wrong=(
        (22, "22 is one stock. The root's counter sees the pages of both CPUs' stocks."),
        (0, "Nothing is in use, but pages in stocks are charged as well, and 20,010 is no multiple of 32."),
        (64, "That is after the patch, where the pages come back into the stocks. Before it they do not."),
        (32, "That is one stock after the patch. Before it the pages that come back do not go into the stock."),
        (20, "20 is what was used of the last batches, 10 on each CPU. Asked is what is left of them."),
        (10, "10 is what one CPU used of its last batch. Asked is what is left in both stocks."),
        (62, "31 is what the stock holds after the first charge of a batch. How many were taken of the last one?"),
        (40_020, "Every page that was charged came back."),
    ),
    low="Nothing is in use; count what the stocks hold after charge number 20,010.",
    high="Nothing is in use; count what the stocks hold after charge number 20,010.",
)


def _bundled():
    return read_measurement(data_path("hardware/2026-11-23-amd-epyc.json"))


def _left_in_stocks(cpus):
    """Usage of the root after each CPU charged a page and gave it back, before the patch."""
    system = System.chain(depth=1, cpus=cpus, policy=V4_13)
    for cpu in range(cpus):
        system.replay(pingpong(PAIRS, cpu=cpu))
    return int(system.usage[0])


WORDS = {
    "06.1": judge_word(
        {
            "parent": "The walk up the tree reads parent at every level. If nobody writes its line, every CPU keeps a "
            "copy and reads for free. That was done in 5.12; to move count away does it as well, as in 6.1.",
            "count": "With count on a line of its own nobody takes the line away on which parent stands. That was done "
            "in 6.1; to move parent away does it as well, as in 5.12.",
        },
        {
            "limit": "limit is read when a batch is charged, right after the atomic that took the line. Think of "
            "giving back: which word does the walk up the tree read?",
            "watermark": "watermark is not read when pages are given back. Which word does the walk up the tree read?",
            "failcnt": "failcnt is not read when pages are given back. Which word does the walk up the tree read?",
            "usage": "usage is the later name of count. In this kernel the word is called count.",
        },
        "It is one of count, limit, parent, watermark, failcnt.",
    ),
}


# --- 09: published numbers -------------------------------------------------------------------------------------------
ROOT_MBPS, BATCH_32_MBPS, BATCH_64_MBPS = 21694.8, 10482.7, 17063.7  # data/published/netperf_2022.csv

NEAR["09.1"] = Near(
    right=lambda: 1 / (1 / ROOT_MBPS + (1 / BATCH_32_MBPS - 1 / ROOT_MBPS) / 2),
    within=0.01,
    why="The time above that of the root cgroup is halved. Measured was more than that, and only a queue can give it.",
    wrong=(
        (2 * BATCH_32_MBPS, "That halves the whole round. Only what lies above the root cgroup's time is halved."),
        (
            (ROOT_MBPS + BATCH_32_MBPS) / 2,
            "That is the mean of the two rates. Times add up, rates do not: take 1 / Mbps, then halve the difference.",
        ),
        (BATCH_64_MBPS, "That is what was measured. Asked is what comes out if nobody ever waits for anybody."),
        (
            1 / (1 / BATCH_32_MBPS - 1 / ROOT_MBPS),
            "That is the rate of the added time alone. Halve it, and add the time of the root cgroup.",
        ),
    ),
    low="Take 1 / Mbps as the time of a round. Halve what the cgroup adds to the time of the root cgroup.",
    high="Take 1 / Mbps as the time of a round. Halve what the cgroup adds to the time of the root cgroup.",
)

NEAR["09.2"] = Near(
    right=lambda: 100 * (1 - (1 / BATCH_64_MBPS - 1 / ROOT_MBPS) / (1 / BATCH_32_MBPS - 1 / ROOT_MBPS)),
    within=0.01,
    why="If nobody ever waited, half the visits would take away half of it. Three quarters went: there was a queue.",
    wrong=(
        (62.8, "62.8 % is by how much the rate grew. Asked is the time above that of the root cgroup."),
        (38.6, "38.6 % is by how much the whole round got shorter. Take the time of the root cgroup off both first."),
        (25.4, "25.4 % is what is left. Asked is by how much it fell."),
        (50, "50 % is what half the visits would take away if nobody ever waited. Compute it from the three rates."),
        (0.746, "That is right as a part; give it in percent."),
    ),
    low="Take 1 / Mbps as a time, take the time of the root cgroup off, and compare what is left of each.",
    high="Take 1 / Mbps as a time, take the time of the root cgroup off, and compare what is left of each.",
)
SCTP_FREE_MBPS, SCTP_32_MBPS, SCTP_64_MBPS = 15722, 11341, 13521  # data/published/sctp_2022.csv

NEAR["09.3"] = Near(
    right=lambda: 1 / (1 / SCTP_FREE_MBPS + (1 / SCTP_32_MBPS - 1 / SCTP_FREE_MBPS) / 2),
    within=0.005,
    why="That is 2.5 % below what was measured, 13,521: the line of the table that says additive, batch 64. Here the "
    "queue can hardly be seen, so a model without one does well.",
    wrong=(
        (SCTP_64_MBPS, "13,521 was measured, and 13,532 is the mean of the two rates. Times add up, rates do not."),
        (2 * SCTP_32_MBPS, "That halves the whole round. Only what charging adds is halved."),
        (14_337.4, "That is a quarter of what charging adds, a batch of 128. Asked is 64."),
        (14_135.5, "That is exercise 09.1, with the rates of netperf. Here they are 15,722 and 11,341."),
    ),
    low="As in 09.1: halve the time that charging adds, with 15,722 Mbps where nothing charges.",
    high="As in 09.1: halve the time that charging adds, with 15,722 Mbps where nothing charges.",
)


# --- 11: recordings of real kernels ----------------------------------------------------------------------------------
def _rows(name):
    return read_rows(data_path(f"kernel_traces/{name}.csv.xz"))


def _all_that_left():
    """Pages of the drain in ab_post that begins with a stock of 61 and 16 pages coming in."""
    rows = _rows("ab_post")
    first = next(k for k, row in enumerate(rows) if (row.ev, row.cpu, row.avail, row.nr) == ("refill", 0, 61, 16))
    return next(row.nr for row in rows[first:] if (row.ev, row.cpu) == ("pcunc", 0))


def _batches_apart():
    """Atomics of v6.1 with a batch of 32 over those with 128, on the recording of bulk traffic."""
    policies = [trace_policy("v6.1", batch=batch) for batch in (32, 128)]
    few, many = what_if(_rows("t61b"), policies)[0]["atomics"]
    return few / many


NEAR["11.1"] = Near(
    right=_all_that_left,
    within=0,
    why="61 and 16 make 77, more than 64. All of them leave, as the recording shows.",
    wrong=(
        (13, "13 is the surplus over a batch of 64. The kernel does not keep the batch: it drains the whole stock."),
        (64, "64 is the batch. The test asks whether the stock holds more than that; then everything leaves."),
        (61, "61 is what the stock held before. The 16 that come in are added first, and the test comes after that."),
        (16, "Without the patch the 16 would go to the counters. Here they go into the stock first."),
        (45, "45 is the surplus over 32. This kernel's batch is 64, and it is not the surplus that leaves."),
        (0, "61 and 16 make 77, and that is more than the batch of 64."),
    ),
    low="The pages that come in are added first. Then ask what leaves a stock that holds more than a batch.",
    high="The stock cannot give more than it holds, and it holds 61 and 16.",
)
NEAR["11.2"] = Near(
    right=_batches_apart,
    within=0.03,
    why="Four times the batch, and nearly four times fewer atomics. The price is four times the pages in stocks.",
    wrong=(
        (4.0, "4 is how much larger the batch is. Charges and drains follow it closely, but not to the digit: run it."),
        (1 / 3.88, "That is 128 over 32. Asked is how many times fewer, 32 over 128."),
        (1.94, "That is 64 against 32, or 128 against 64. Asked is 128 against 32."),
    ),
    low="Divide the atomics with batch 32 by those with batch 128.",
    high="Divide the atomics with batch 32 by those with batch 128.",
)
NEAR["11.3"] = Near(
    right=lambda: check_trace(_rows("t612"), trace_policy("v6.1", cap=False)).count("extra"),
    within=0,
    why="Each is a drain that the kernel made and that the rule without a cap did not expect. 224 more states were "
    "wrong: those that were looked at next.",
    wrong=(
        (0, "The kernel drains stocks that hold more than a batch. A rule without the cap expects none of that."),
        (448, "448 is the wrong ones and the extra ones together. Half of them are drains."),
        (3326, "3,326 is what was predicted all the same."),
        (518, "518 is the recording t61b. Asked is t612."),
        (240, "240 is the recording ab_post. Asked is t612."),
    ),
    low='Run check_trace(rows, trace_policy("v6.1", cap=False)) on that recording, and read what it calls extra.',
    high='Run check_trace(rows, trace_policy("v6.1", cap=False)) on that recording, and read what it calls extra.',
)
