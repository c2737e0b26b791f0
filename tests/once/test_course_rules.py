"""Exercises that ask for a rule: what a reader wrote runs beside the kernel's, and a difference is told with its place.

Python runs the rules here, whatever compiles in the rest; so all of it is tried once.
"""

import threading
import time

import numpy as np
import pytest

from lab_helpers import said
from memcg_lab import check, op, show_rule
from memcg_lab.course import trial
from memcg_lab.course.worked import WORKED
from memcg_lab.mechanism.records import DRAIN_CAP
from memcg_lab.mechanism.stock_v4_13 import consume_stock, css_put_many, refill_stock, uncharge_counters
from memcg_lab.mechanism.stock_v4_14 import refill_stock_capped

pytestmark = pytest.mark.usefixtures("nothing_said", "whole_lines")


# --- exercise 04.4: a rule


def surplus(st, batch, drain, cpu, memcg, nr_pages):
    """As the worked answer does, found another way: what is too much is known before the stock is filled."""
    stock = st.stock[cpu, 0]
    over = (stock.nr_pages if stock.memcg == memcg else 0) + nr_pages - batch
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    if over > 0:
        stock.nr_pages -= over
        css_put_many(st, cpu, memcg, over)
        uncharge_counters(st, cpu, memcg, over)


def without_references(st, batch, drain, cpu, memcg, nr_pages):
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    stock = st.stock[cpu, 0]
    if stock.nr_pages > batch:
        uncharge_counters(st, cpu, memcg, stock.nr_pages - batch)
        stock.nr_pages = batch


def without_counters(st, batch, drain, cpu, memcg, nr_pages):
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    st.stock[cpu, 0].nr_pages = min(st.stock[cpu, 0].nr_pages, batch)


def too_early(st, batch, drain, cpu, memcg, nr_pages):
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    if st.stock[cpu, 0].nr_pages >= batch:
        drain(st, cpu, 0, DRAIN_CAP)


def keeps_strangers(st, batch, drain, cpu, memcg, nr_pages):
    stock = st.stock[cpu, 0]
    stock.memcg = memcg
    stock.nr_pages += nr_pages
    over = stock.nr_pages - batch
    if over > 0:
        uncharge_counters(st, cpu, memcg, over)
        css_put_many(st, cpu, memcg, over)
        stock.nr_pages = batch


def without_owner(st, batch, drain, cpu, memcg, nr_pages):
    st.stock[cpu, 0].nr_pages += nr_pages


def misspelt(st, batch, drain, cpu, memcg, nr_pages):
    refil_stock(st, batch, drain, cpu, memcg, nr_pages)  # noqa: F821


def test_draining_the_surplus_is_right_and_what_it_costs_is_counted(capsys):
    told = said(capsys, check, "04.4", surplus)
    assert told.startswith("04.4: right. 637 operations")
    assert "cost 2,904 atomics with your cap, 90 with the kernel's, and 3,000 without the patch." in told


@pytest.mark.parametrize(
    ("rule", "where", "why"),
    [
        (refill_stock_capped, "operation 34 of 637", "You empty the stock, as the kernel does"),
        (refill_stock, "operation 34 of 637", "More than 32 pages may not stay"),
        (without_references, "operation 34 of 637", "css_put_many"),
        (without_counters, "operation 34 of 637", "uncharge_counters"),
        (too_early, "operation 33 of 637", "`>` is not `>=`"),
        (keeps_strangers, "operation ", "another cgroup's pages"),
        (without_owner, "operation 2 of 637", "whose pages"),
        (misspelt, "", "The name refil_stock is not known"),
    ],
)
def test_a_wrong_rule_is_told_where_and_why(capsys, rule, where, why):
    told = said(capsys, check, "04.4", rule)
    assert told.startswith("04.4: not yet. ")
    assert where in told
    assert why in told


# --- exercise 03.4: another rule


def forgets(st, batch, cpu, memcg, nr_pages):
    stock = st.stock[cpu, 0]
    if nr_pages > batch or stock.memcg != memcg or stock.nr_pages < nr_pages:
        return False
    stock.nr_pages -= nr_pages
    if stock.nr_pages == 0:
        stock.memcg = -1
    return True


def forgets_always(st, batch, cpu, memcg, nr_pages):
    served = consume_stock(st, batch, cpu, memcg, nr_pages)
    st.stock[cpu, 0].memcg = -1
    return served


def takes_nothing_out(st, batch, cpu, memcg, nr_pages):
    return st.stock[cpu, 0].memcg == memcg and st.stock[cpu, 0].nr_pages >= nr_pages


def takes_what_it_can(st, batch, cpu, memcg, nr_pages):
    stock = st.stock[cpu, 0]
    if stock.memcg != memcg or stock.nr_pages == 0:
        return False
    stock.nr_pages -= min(nr_pages, stock.nr_pages)
    if stock.nr_pages == 0:
        stock.memcg = -1
    return True


def test_forgetting_an_empty_stock_s_cgroup_is_right(capsys):
    assert said(capsys, check, "03.4", forgets).startswith("03.4: right. 636 operations")


@pytest.mark.parametrize(
    ("rule", "where", "why"),
    [
        (consume_stock, "operation 32 of 636", "asked is to forget it"),
        (forgets_always, "operation 2 of 636", "whose last page was just taken"),
        (takes_nothing_out, "operation 2 of 636", "takes its pages out"),
        (takes_what_it_can, "operation ", "All or nothing"),
        (surplus, "", "a consume rule takes (st, batch, cpu, memcg, nr_pages)"),
    ],
)
def test_a_wrong_consume_is_told_where_and_why(capsys, rule, where, why):
    told = said(capsys, check, "03.4", rule)
    assert told.startswith("03.4: not yet. ")
    assert where in told
    assert why in told


# --- exercise 03.5: the rule of v4.13, before it is read


def wants_more_than_enough(st, batch, cpu, memcg, nr_pages):
    stock = st.stock[cpu, 0]
    if nr_pages > batch or stock.memcg != memcg or stock.nr_pages <= nr_pages:
        return False
    stock.nr_pages -= nr_pages
    return True


def serves_anybody(st, batch, cpu, memcg, nr_pages):
    stock = st.stock[cpu, 0]
    if nr_pages > batch or stock.nr_pages < nr_pages:
        return False
    stock.nr_pages -= nr_pages
    return True


def serves_in_part(st, batch, cpu, memcg, nr_pages):
    stock = st.stock[cpu, 0]
    if nr_pages > batch or stock.memcg != memcg or stock.nr_pages == 0:
        return False
    stock.nr_pages -= min(nr_pages, stock.nr_pages)
    return True


def never(st, batch, cpu, memcg, nr_pages):
    return False


def endless(st, batch, cpu, memcg, nr_pages):
    while nr_pages:
        pass
    return True


def leaves(st, batch, cpu, memcg, nr_pages):
    if nr_pages:
        raise SystemExit
    return True


def says_nothing_at_all(st, batch, cpu, memcg, nr_pages):
    consume_stock(st, batch, cpu, memcg, nr_pages)


def reads_beyond(st, batch, cpu, memcg, nr_pages):
    return st.stock[cpu + 64, 0].memcg == memcg


def test_the_kernel_s_own_consume_is_right(capsys):
    assert said(capsys, check, "03.5", consume_stock).startswith("03.5: right. 259 golden operations")


@pytest.mark.parametrize(
    ("rule", "where", "why"),
    [
        (wants_more_than_enough, "Golden run ", "also when they are just enough"),
        (serves_anybody, "Golden run stale_cached_pointer, operation ", "Pages of another cgroup do not serve"),
        (serves_in_part, "Golden run ", "All or nothing"),
        (takes_nothing_out, "Golden run boundary_consume, operation ", "the pages have to leave"),
        (never, "Golden run boundary_consume, operation ", "So many pages of this cgroup serve the charge"),
        (forgets, "Golden run ", "still remembers its cgroup"),
        (endless, "", "does not come to an end"),
        (leaves, "", "leaves Python altogether"),
        (says_nothing_at_all, "", "which returns nothing; such a rule returns True or False"),
        (reads_beyond, "", "stopped with IndexError"),
        (surplus, "", "a consume rule takes (st, batch, cpu, memcg, nr_pages)"),
    ],
)
def test_a_consume_that_is_not_the_kernel_s_is_told_where_and_why(capsys, rule, where, why):
    told = said(capsys, check, "03.5", rule)
    assert told.startswith("03.5: not yet. ")
    assert where in told
    assert why in told


@pytest.mark.parametrize("exercise", ["02.4", "02.5", "03.4", "03.5", "04.4"])
def test_an_endless_function_is_stopped_wherever_one_is_asked_for(capsys, exercise):
    def endless(a, b, c, d, e, f=0):
        while True:
            pass

    functions = {6: endless, 5: lambda a, b, c, d, e: endless(a, b, c, d, e)}
    told = said(capsys, check, exercise, functions[6 if exercise == "04.4" else 5])
    assert told == f"{exercise}: not yet. Your function does not come to an end. Look at what ends its loop."


# --- exercise 02.5: a charge, whole or not at all


tries = WORKED["02.5"].value()


def never_refuses(counts, limits, parents, leaf, nr_pages):
    while leaf != -1:
        counts[leaf] += nr_pages
        leaf = parents[leaf]
    return -1


def undoes_itself_alone(counts, limits, parents, leaf, nr_pages):
    while leaf != -1:
        counts[leaf] += nr_pages
        if counts[leaf] > limits[leaf]:
            counts[leaf] -= nr_pages
            return leaf
        leaf = parents[leaf]
    return -1


def refuses_at_the_limit(counts, limits, parents, leaf, nr_pages):
    return tries(counts, [limit - 1 for limit in limits], parents, leaf, nr_pages)


def the_leaf_alone(counts, limits, parents, leaf, nr_pages):
    return tries(counts, limits, [-1] * len(parents), leaf, nr_pages)


def says_yes(counts, limits, parents, leaf, nr_pages):
    tries(counts, limits, parents, leaf, nr_pages)
    return -1


def says_nothing(counts, limits, parents, leaf, nr_pages):
    tries(counts, limits, parents, leaf, nr_pages)


def test_a_whole_charge_is_right(capsys):
    assert said(capsys, check, "02.5", tries).startswith("02.5: right. 12 charges")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (never_refuses, "so every level that had taken the pages gives them back"),
        (undoes_itself_alone, "so every level that had taken the pages gives them back"),
        (refuses_at_the_limit, "exactly at the limit fits too"),
        (the_leaf_alone, "every level up to the root takes the pages"),
        (says_yes, "is refused by memcg "),
        (says_nothing, "so the answer is -1; yours is None"),
        (lambda counts, limits, parents, leaf, nr_pages: counts[99], "stopped with IndexError"),
        (lambda a: a, "takes (a); it takes (counts, limits, parents, leaf, nr_pages)"),
    ],
)
def test_a_charge_that_is_not_whole_is_told_why(capsys, function, why):
    told = said(capsys, check, "02.5", function)
    assert told.startswith("02.5: not yet. ")
    assert why in told


# --- exercise 05.4: traffic


def calls(*rows):
    return [op(f"{name}_skmem", cpu=cpu, memcg=1, nr=nr) for name, cpu, nr in rows]


@pytest.mark.parametrize(
    "traffic",
    [
        calls(("charge", 0, 1), ("charge", 1, 1), ("uncharge", 0, 1), ("uncharge", 1, 1)),
        calls(("charge", 0, 32), ("charge", 1, 32), ("uncharge", 0, 32), ("uncharge", 1, 32)),
        calls(("charge", 0, 64), ("uncharge", 0, 32), ("uncharge", 1, 32)),
        np.concatenate(calls(("charge", 0, 5), ("charge", 1, 5), ("uncharge", 0, 5), ("uncharge", 1, 5))),
    ],
)
def test_traffic_that_fills_both_stocks_is_right(capsys, traffic):
    assert said(capsys, check, "05.4", traffic).startswith("05.4: right. memory.current says 64")


@pytest.mark.parametrize(
    ("traffic", "why"),
    [
        (calls(("charge", 0, 1), ("charge", 1, 1)), "2 pages are still in use"),
        (calls(("charge", 0, 1), ("uncharge", 0, 1)), "32 pages ahead; it can be more. The stocks hold 32 and 0"),
        (calls(("charge", 0, 1), ("uncharge", 1, 1)), "The stocks hold 31 and 1"),
        (calls(("charge", 0, 33), ("uncharge", 0, 33)), "0 pages ahead"),
        (calls(("uncharge", 0, 1)), "That cannot be: uncharge_skmem: gives back 1"),
        (calls(*[("charge", 0, 1)] * 5), "5 operations; allowed are up to 4"),
        ([], "a list; give a list of operations"),
        (7, "an int; give a list of operations"),
        (calls(("charge", 2, 1)), "CPU 2 does not exist"),
    ],
)
def test_other_traffic_is_told_why(capsys, traffic, why):
    told = said(capsys, check, "05.4", traffic)
    assert told.startswith("05.4: not yet. ")
    assert why.lower() in told.lower()


def test_a_rule_of_the_readers_own_is_shown():
    quote = show_rule(surplus)
    assert quote.caption == "surplus, a rule of yours"
    assert quote.lines[0][1].startswith("def surplus(")


def swallows(counts, parents, leaf, refused, nr_pages):
    while True:
        try:
            counts[0] += 1
        except Exception:
            pass


def swallows_all(counts, parents, leaf, refused, nr_pages):
    while True:
        try:
            len(counts)
            for _ in counts:
                sum(counts)
        except:  # noqa: E722
            continue


def swallows_once(counts, parents, leaf, refused, nr_pages):
    try:
        while True:
            pass
    except BaseException:
        return


def leaves_the_loop(counts, parents, leaf, refused, nr_pages):
    raise GeneratorExit


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (swallows, "does not come to an end"),
        (swallows_all, "does not come to an end"),
        (swallows_once, "does not come to an end"),
        (leaves_the_loop, "leaves Python altogether"),
    ],
)
def test_no_function_catches_its_own_end(capsys, rule, why):
    assert why in said(capsys, check, "02.4", rule)


def test_on_a_busy_machine_an_endless_function_is_stopped_once_and_nothing_else_is(monkeypatch):
    start = threading.Thread.start

    def slowly(thread):
        start(thread)
        for _ in range(10):
            time.sleep(trial.AGAIN / 5)

    def endless():
        while True:
            pass

    monkeypatch.setattr(threading.Thread, "start", slowly)
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(trial.TooLong):
            trial.patiently(endless, steps=1000)
    until = time.monotonic() + 60
    while threading.active_count() > threads and time.monotonic() < until:  # none goes on chasing
        time.sleep(trial.AGAIN)
    assert threading.active_count() <= threads
