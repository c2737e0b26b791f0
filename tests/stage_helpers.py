"""What the tests of the stage share: random traffic, and the states that History says it leads to."""

import random

import numpy as np

from lab_helpers import stream_of
from memcg_lab import mixed, op

ARRAYS = {  # what stage.js calls a field, and what History does
    "counter.count": "usage",
    "counter.watermark": "watermark",
    "counter.failcnt": "failcnt",
    "memcg.css": "css",
    "sock": "sock",
    "stock.memcg": "stock_memcg",
    "stock.nr_pages": "stock_pages",
}


def listed(ops):
    return [[int(row[name]) for name in ("op", "cpu", "memcg", "nr", "ctx")] for row in ops]


def random_traffic(seed, depth, leaves, cpus):
    """Seeded traffic with limits that come and go; some charges run in a task, so that stocks are asked for."""
    chance = random.Random(seed)
    memcgs = range(depth, depth + leaves)
    rows = listed(mixed(160, cpus=cpus, memcgs=memcgs, in_flight=12, seed=seed))
    for row in rows:
        row[4] = int(chance.random() < 0.7)
    for _ in range(8):
        memcg, pages = chance.randrange(1, depth + leaves), chance.choice([-1, 0, 20, 48, 96])
        limit = op("set_max", cpu=chance.randrange(cpus), memcg=memcg, nr=pages, ctx="task")
        rows.insert(chance.randrange(len(rows)), listed(limit)[0])
    return stream_of(rows)


def assert_states_are_those_of(past, states):
    """Compare what stage.js answered after each operation with a History; returns how many numbers."""
    assert len(states) == len(past) + 1
    compared = 0
    for name, attribute in ARRAYS.items():
        expected = getattr(past, attribute).reshape(len(past) + 1, -1)
        assert np.array_equal([state[name] for state in states], expected), name
        compared += expected.size
    assert [state["atomics"] for state in states] == past.total.tolist()
    return compared
