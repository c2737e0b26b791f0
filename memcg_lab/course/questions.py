"""What the notebooks ask before a run shows it: the names of each question, and what may be said."""

COUNT = "count"  # a whole number; only the very number is right
NUMBER = "number"  # near is enough: within a tenth
FACTOR = "factor"  # a number so close to 1 that a tenth would be too much: within a hundredth
YES_NO = ("yes", "no")

_BEFORE_AFTER = {"before": COUNT, "after": COUNT}

QUESTIONS = {
    "00.atomics": _BEFORE_AFTER,
    "01.listed": {"percent": NUMBER},
    "01.rows": {"rows": COUNT},
    "01.ratio": {"giving_back_per_charging": NUMBER},
    "02.charge": {"atomics": COUNT},
    "02.depth": {"atomics": COUNT},
    "02.refused": {"atomics": COUNT},
    "02.tries": {"softirq": COUNT, "task": COUNT},
    "02.limit": {"old_way_refuses": YES_NO, "new_way_limit": COUNT},
    "03.trips": {"trips": COUNT},
    "03.partly": {"takes_the_five": YES_NO},
    "03.traffic": {"most": ("frames", "large", "turns", "mixed"), "without_hits": COUNT},
    "03.batch": {"misses_become": NUMBER, "most_in_stock": COUNT},
    "04.one_page": _BEFORE_AFTER,
    "04.stock": {"uncharge_hunk_alone": COUNT, "both": COUNT},
    "04.edge": {"more_than": COUNT, "at_least": COUNT},
    "04.outside": {"sock": COUNT, "current": COUNT},
    "04.lump": {"pages_per_call": COUNT},
    "04.two_cgroups": _BEFORE_AFTER,
    "05.bound": {"depth_1": COUNT, "depth_4": COUNT},
    "05.ordinary": {"small": NUMBER, "bulk": NUMBER},
    "05.no_cap": {"drift": NUMBER},
    "05.early": {"softirq": YES_NO, "task": YES_NO},
    "05.refused": _BEFORE_AFTER,
    "05.kept": {"udp_dropped": COUNT, "tcp_dropped": COUNT, "tcp_usage": COUNT},
    "06.way": {"already_here": NUMBER, "other_package": NUMBER},
    "06.sharing": {"percent": NUMBER},
    "06.queue": {"cpus_10": NUMBER, "cpus_40": NUMBER},
    "07.rest": {"factor": FACTOR},
    "07.reduce": {"before": NUMBER, "after": NUMBER},
    "07.atomics_only": {"reduce": ("fall", "stay", "rise")},
    "08.gain": {"cpus_16": NUMBER, "cpus_256": NUMBER},
    "08.behind": {"cpus_256": NUMBER},
    "08.remedies": {"fewer_levels": NUMBER, "larger_batch": NUMBER, "through_the_stock": NUMBER},
    "08.queue": {"one_cgroup": ("leaf", "middle", "root"), "one_each": ("leaf", "middle", "root")},
    "08.depth": {"before": NUMBER, "after": NUMBER},
    "08.batch": {"from_1_to_32": NUMBER, "from_32_to_64": NUMBER},
    "09.netperf": {"batch_64": NUMBER},
    "10.conserved": {"each_stock": COUNT, "off_by": COUNT},
    "10.torn": {"lost": YES_NO},
    "10.two": {"ns": NUMBER},
    "10.pair": {"ns": NUMBER},
    "11.left": {"request_response": NUMBER, "bulk": NUMBER},
    "11.wrong": {"batch_64": COUNT, "batch_63": NUMBER},
    "11.what_if": {"before": NUMBER, "after": NUMBER},
    "13.half": {"atomics": COUNT},
}
