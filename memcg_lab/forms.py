"""Forms: records, codes, words, policies and first states of the library as plain data for a page.

Nothing is written down twice: everything is read from the dtypes, tables and classes of the library.
"""

import base64

import numpy as np

from .machine import cache_lines, coherence, run, topology
from .mechanism import records, steps
from .mechanism.policy import POLICIES, RULES
from .system import System
from .workload import SIZE_MIXES, pingpong

_MODULES = (records, steps, cache_lines, coherence)
_ROOMS = {"mechanism": (records, steps), "machine": (cache_lines, coherence, run)}
PLACES = ("sockets", "cores", "threads", "near_cores", "near_sockets")  # what a topology says of where a CPU sits
# "counter" for counter_dtype; the machine's short step log has a name that the step log does not take.
DTYPES = {
    name.removesuffix("_dtype"): value
    for module in _MODULES
    for name, value in vars(module).items()
    if name.endswith("_dtype")
}


def record_name(dtype):
    """The name of a dtype in the description: that of a record, or numpy's own such as ``int64``.

    Examples
    --------
    >>> record_name(records.counter_dtype), record_name(np.dtype(np.int64))
    ('counter', 'int64')
    """
    if dtype.names is None:
        return dtype.name
    plain = np.dtype((np.void, dtype)) if dtype.type is np.record else dtype
    return next(name for name, known in DTYPES.items() if _places(known) == _places(plain))


def _places(dtype):
    return dtype.itemsize, [(name, str(field[0]), field[1]) for name, field in dtype.fields.items()]


def arguments_of(names, values):
    """The arguments of a kernel in the order numba passes them, named tuples flattened.

    Examples
    --------
    >>> arguments_of(["log", "refuse"], [None, True])
    [{'name': 'log', 'kind': 'none'}, {'name': 'refuse', 'kind': 'bool'}]
    """
    found = []
    for name, value in zip(names, values, strict=True):
        if isinstance(value, tuple):
            found += arguments_of([f"{name}.{field}" for field in value._fields], value)
        elif isinstance(value, np.ndarray):
            found.append({"name": name, "kind": "array", "record": record_name(value.dtype), "ndim": value.ndim})
        else:
            found.append({"name": name, "kind": {type(None): "none", bool: "bool"}.get(type(value), "int64")})
    return found


def record_forms():
    """Each record: its size, and each field's place, kind, and how many there are of it."""
    forms = {}
    for name, dtype in DTYPES.items():
        fields = {}
        for field, (kind, place) in ((field, known[:2]) for field, known in dtype.fields.items()):
            count = int(np.prod(kind.shape, dtype=int))
            fields[field] = {"offset": place, "kind": kind.base.name, "size": kind.base.itemsize, "count": count}
        forms[name] = {"size": dtype.itemsize, "fields": fields}
    return forms | {"int64": {"size": 8, "fields": {"": {"offset": 0, "kind": "int64", "size": 8, "count": 1}}}}


def constants():
    """Every whole number with a name, by room: codes, limits, flags, masks."""
    found = {}
    for room, modules in _ROOMS.items():
        found[room] = {}
        for name, value in [item for module in modules for item in vars(module).items()]:
            if name.isupper() and not name.startswith("_") and isinstance(value, (int, np.integer)):
                if found[room].setdefault(name, int(value)) != value:
                    raise AssertionError(f"two constants of {room} are called {name}.")
    return found


def words():
    """What codes stand for: lists in the order of their codes, or names with their codes."""
    return {
        "ops": records.OPS,
        "contexts": records.CONTEXTS,
        "work": records.WORK,
        "total": records.TOTAL,
        "steps": [step._asdict() for step in steps.STEPS],
        "counter_atomic": steps.COUNTER_ATOMIC.tolist(),
        "functions": cache_lines.FUNCTIONS,
        "line_words": cache_lines.WORDS,
        "traffic": coherence.TRAFFIC,
        "booked": coherence.BOOKED,
        "distances": topology.DISTANCES,
        "locks": coherence.LOCKS,
        "size_mixes": SIZE_MIXES,
    }


def policies():
    """Each policy: its constants, its traits, the names of its rules, and the state it begins with."""
    return {
        name: {
            "batch": policy.batch,
            "slots": policy.slots,
            "capped": policy.capped,
            "stock_bound": policy.stock_bound,
            "css_by_page": policy.css_by_page,
            "path": policy.path.name,
            "kernel_pages": policy.path.kernel_pages,
            "legacy": policy.path.legacy,
            "rules": {rule: getattr(policy, rule).__name__ for rule in RULES},
            "state": first_state(policy),
        }
        for name, policy in POLICIES.items()
    }


def first_state(policy):
    """The arrays of a new system: how they grow with CPUs and cgroups, and what stands in each field.

    Every array is looked at in systems of several sizes, without limits and without parents: what a page adds are the
    parents and the limits.

    Examples
    --------
    >>> first_state(POLICIES["v4.14"])["stock"]
    {'record': 'stock', 'shape': [[1, 0, 0], [0, 0, 1]], 'fill': {'memcg': -1, 'nr_pages': 0}}
    """
    sizes = [(2, 3), (3, 3), (2, 4), (5, 7)]
    seen = [System([-1] * memcgs, cpus=cpus, policy=policy).mechanism_state() for cpus, memcgs in sizes]
    forms = {}
    for name in seen[0]._fields:
        arrays = [getattr(state, name) for state in seen]
        if not isinstance(arrays[0], np.ndarray):
            continue
        shape = []
        for small, more_cpus, more_memcgs, other in zip(*(array.shape for array in arrays), strict=True):
            by_cpu, by_memcg = more_cpus - small, more_memcgs - small
            rest = small - by_cpu * sizes[0][0] - by_memcg * sizes[0][1]
            shape.append([by_cpu, by_memcg, rest])
            if other != by_cpu * sizes[3][0] + by_memcg * sizes[3][1] + rest:
                raise AssertionError(f"{name} does not grow evenly with CPUs and cgroups.")
        values = arrays[3]
        fields = values.dtype.names or ("",)
        fill = {field: np.unique(values[field] if field else values).tolist() for field in fields}
        if any(len(found) > 1 for found in fill.values()):
            raise AssertionError(f"{name} does not begin with the same value everywhere.")
        forms[name] = {
            "record": record_name(values.dtype),
            "shape": shape,
            "fill": {field: found[0] for field, found in fill.items() if found},
        }
    return forms


def machines():
    """Topologies with the cost of each way in ps, layouts with what each step touches, and how think times lie."""
    made = {
        name: run.lay_out(
            System.chain(depth=1, cpus=1),
            pingpong(1),
            np.zeros(2, np.int64),
            spread=run.spread("fixed"),
            topology=known,
            layout=cache_lines.V4_13_LAYOUT,
            lock="atomic",
            repeat=True,
            seed=1,
            record=0,
        ).cost.tolist()
        for name, known in topology.TOPOLOGIES.items()
    }
    return {
        "topologies": {
            name: {part: getattr(known, part) for part in PLACES} | {"cost": made[name]}
            for name, known in topology.TOPOLOGIES.items()
        },
        "topology": topology.DEFAULT.name,
        "layouts": {
            name: {
                "lines": layout.lines,
                "words": [getattr(layout, word) for word in cache_lines.WORDS],
                "allocated": int(layout.memory_allocated),
                "walks": layout.pressure_walks,
                "steps": base64.b64encode(cache_lines.step_table(layout).tobytes()).decode(),
            }
            for name, layout in cache_lines.LAYOUTS.items()
        },
        "think": {kind: run.spread(kind).tolist() for kind in run.THINK},
    }


def description():
    """Everything a page needs to know beside the kernels."""
    return {
        "records": record_forms(),
        "constants": constants(),
        "words": words(),
        "policies": policies(),
        "machines": machines(),
    }
