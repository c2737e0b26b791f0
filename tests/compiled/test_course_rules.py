"""Exercises that ask for a rule: what a reader wrote runs beside the kernel's, and a difference is told with its place.

The right rules are compiled, as a reader's are; the wrong ones are told apart where nothing is compiled.
"""

import pytest

from lab_helpers import said, without_compiler
from memcg_lab import check, show_rule
from memcg_lab.mechanism.records import DRAIN_CAP
from memcg_lab.mechanism.stock_v4_13 import consume_stock, css_put_many, refill_stock, uncharge_counters
from memcg_lab.mechanism.stock_v4_14 import refill_stock_capped

# --- exercise 04.4: a rule


def surplus(st, batch, drain, cpu, memcg, nr_pages):
    refill_stock(st, batch, drain, cpu, memcg, nr_pages)
    stock = st.stock[cpu, 0]
    over = stock.nr_pages - batch
    if over > 0:
        uncharge_counters(st, cpu, memcg, over)
        css_put_many(st, cpu, memcg, over)
        stock.nr_pages = batch


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


@pytest.mark.own_rule
def test_draining_the_surplus_is_right_and_what_it_costs_is_counted(capsys):
    told = said(capsys, check, "04.4", surplus)
    assert told.startswith("04.4: right. 637 operations")
    assert "cost 2,904 atomics with your cap, 90 with the kernel's, and 3,000 without the patch." in told


@without_compiler
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


@pytest.mark.own_rule
def test_forgetting_an_empty_stock_s_cgroup_is_right(capsys):
    assert said(capsys, check, "03.4", forgets).startswith("03.4: right. 636 operations")


@without_compiler
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


def test_a_rule_of_the_readers_own_is_shown():
    quote = show_rule(surplus)
    assert quote.caption == "surplus, a rule of yours"
    assert quote.lines[0][1].startswith("def surplus(")
