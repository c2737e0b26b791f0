"""Random input: replay refuses or goes on, never crashes; a measurement file is read or refused. Each says how much."""

import hashlib
import json
import random
import re
import time

import numpy as np
import pytest

from lab_helpers import arrays_of, broken, python
from memcg_lab import V4_13, V4_14, V6_1, System, data_path, op_dtype
from memcg_lab.machine.measurement import read_measurement

SECONDS = {"quick": 1.5, "long": 15}
budgets = pytest.mark.parametrize("seconds", [SECONDS["quick"], pytest.param(SECONDS["long"], marks=pytest.mark.slow)])


def stops_after(seconds):
    """True until the time is over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


# --- replay ----------------------------------------------------------------------------------------------------------
SHAPES = [  # few of them: with sockets and without are compiled apart
    (V4_13, {"sockets": [1, 2, None]}),
    (V4_14, {"sockets": [1, 2, None], "legacy": True, "memsw": True}),
    (V4_14, {}),
    (V6_1, {}),
]


def answer(system, ops):
    """Replay a stream; the complaint, or None if it was taken."""
    try:
        system.replay(ops)
    except ValueError as error:
        return str(error)
    return None


def random_stream(rng, cpus, memcgs):
    """Operations that may all be allowed, with a few numbers out of their ranges."""
    n = int(rng.integers(1, 200))
    ops = np.zeros(n, op_dtype)
    ops["op"] = rng.choice([0, 1, 2, 3, rng.integers(25)], n)
    ops["ctx"] = rng.choice([0, 1, rng.integers(256)], n)
    ops["cpu"] = rng.integers(0, cpus, n)
    ops["memcg"] = rng.integers(1, memcgs, n)
    ops["nr"] = rng.choice([1, 2, 31, 32, 33, 64, 4096, 5000, 1 << 21], n)
    if rng.random() < 0.3:
        field = rng.choice(op_dtype.names)
        info = np.iinfo(op_dtype[field])
        ops[field][rng.integers(n)] = rng.choice([info.min, -1, 0, 65_535, info.max]).clip(info.min, info.max)
    return ops


@budgets
def test_replay_takes_a_random_stream_or_refuses_it_whole(seconds):
    rng, going = np.random.default_rng(7), stops_after(seconds)
    taken = refused = 0
    systems = []
    while going() or not systems:
        if not systems or rng.random() < 0.05:
            systems = [
                System([-1, 0, 0, 1], cpus=3, policy=policy, limits=[-1, 200, -1, 90], **options)
                for policy, options in SHAPES
            ]
        raw = rng.random() < 0.3
        for system in systems:
            ops = np.frombuffer(rng.bytes(16 * int(rng.integers(1, 50))), op_dtype) if raw else random_stream(rng, 3, 4)
            before = arrays_of(system)
            said = answer(system, ops)
            if said is None:
                taken += 1
                continue
            refused += 1
            assert arrays_of(system) == before
            place = re.match(r"op ([\d,]+) of ", said)
            number = int(place[1].replace(",", "")) if place else 0
            assert place or len(ops) == 1, said
            assert answer(system, ops[:number]) is None  # what stands before it is allowed
            taken += number > 0
            assert answer(system, ops[number : number + 1]) == re.sub(r"^op \S+ of \S+ \((.*?)\)", r"\1", said)
            assert broken(system) == []
    print(f"replay: {taken + refused:,} random streams tried, {taken:,} taken, {refused:,} refused whole")
    assert taken
    assert refused


def digest(streams):
    """A hash of what so many random streams answered and left behind, under each policy."""
    rng, found = np.random.default_rng(8), hashlib.sha256()
    for _ in range(streams):
        for policy, options in SHAPES:
            system = System([-1, 0, 0, 1], cpus=3, policy=policy, limits=[-1, 200, -1, 90], **options)
            said = answer(system, random_stream(rng, 3, 4))
            found.update(repr((said, system.snapshot())).encode())
    return found.hexdigest()


@pytest.mark.once
@pytest.mark.parametrize("streams", [50, pytest.param(2000, marks=pytest.mark.slow)])
def test_compiled_code_and_python_answer_random_streams_alike(streams):
    code = (
        f"import sys; sys.path[:0] = ['tests', 'tests/compiled']; import test_fuzz; print(test_fuzz.digest({streams}))"
    )
    assert python(code, NUMBA_DISABLE_JIT="1", MEMCG_LAB_TEST_MODE="nojit").strip() == digest(streams)
    print(f"replay: {streams * len(SHAPES):,} random streams tried with compiled code and with Python")


# --- measurement files -----------------------------------------------------------------------------------------------
ODD = [None, True, -1, 0, 1e308, 10**400, "", "x", "\ud800", "\x1b[31m", [], {}, [[]], float("nan"), 2**63]


def spoil(data, rng):
    """Change, remove or add one value somewhere in it."""
    here = data
    while True:
        places = list(here) if isinstance(here, dict) else range(len(here))
        if not places:
            return
        place = rng.choice(list(places))
        if isinstance(here[place], (dict, list)) and here[place] and rng.random() < 0.8:
            here = here[place]
            continue
        if rng.random() < 0.2:
            del here[place]
        else:
            here[place] = rng.choice(ODD)
        return


@budgets
def test_a_measurement_file_is_read_whole_or_refused_in_words(seconds, tmp_path):
    good = data_path("hardware/2026-11-23-amd-epyc.json").read_bytes()
    rng, going = random.Random(9), stops_after(seconds)
    path, read, refused = tmp_path / "m.json", 0, 0
    while going():
        if rng.random() < 0.5:
            data = json.loads(good)
            for _ in range(rng.randint(1, 3)):
                spoil(data, rng)
            text = json.dumps(data).encode()
        else:
            text = bytearray(good)
            for _ in range(rng.randint(1, 4)):
                text[rng.randrange(len(text))] = rng.randrange(256)
            text = bytes(text[: rng.choice([len(text), rng.randrange(len(text))])])
        path.write_bytes(text)
        said = None
        try:
            found = read_measurement(path)
        except ValueError as error:
            said = str(error)
        if said is not None:
            refused += 1
            assert said.startswith(str(path))
            assert said.isprintable()
            assert "Exceeds the limit" not in said
            continue
        read += 1
        assert str(found).replace("\n", "").isprintable()
        found.save(tmp_path / "again.json", replace=True)
        assert read_measurement(tmp_path / "again.json") == found
    print(f"measurement files: {read + refused:,} tried, {read:,} read, {refused:,} refused")
    assert refused
