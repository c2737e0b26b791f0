"""Every variant of the closed loop beside published rows of 2022, misses and all.

python -m tools.published_predictions netperf_2022    prints data/published/netperf_2022_predicted.csv
python -m tools.published_predictions sctp_2022       prints data/published/sctp_2022_predicted.csv
"""

import argparse
from collections import namedtuple

import pandas as pd

from memcg_lab.files import data_path
from memcg_lab.machine import predict_rows

METHODS = ("additive", "mva", "queues")
FITTED = ("a visit", "a visit and the path")

Published = namedtuple("Published", "unit base larger levels")
Published.__doc__ = """A set of rows: the one without counters, those that a visit and the path are fitted to, and how
many counters a walk may have, each number a variant."""

SETS = {
    "netperf_2022": Published("root memcg", "6.0-rc1", "C: batch 64", (4,)),
    "sctp_2022": Published("7c80b038d23e", "usage aligned", "usage aligned, batch 64", (2, 3, 4)),
}


def rows(name):
    """The rows that are modelled, and the think time of a round: 10 KiB at the rate of the row without counters.

    Of ``netperf_2022`` each line has its own visits. Of ``sctp_2022`` all have one, and rows in which words share a
    line with the count are left out.
    """
    unit = SETS[name].unit
    published = pd.read_csv(data_path(f"published/{name}.csv")).set_index("case")
    mbps = published["mbps"]
    found = {unit: (mbps[unit], None)}
    if name == "netperf_2022":
        for case, row in pd.read_csv(data_path(f"published/{name}_visits.csv")).set_index("case").iterrows():
            walk = [int(row[line]) for line in ("leaf", "middle", "top", "root")]
            found[case] = (mbps[case], {"batch": int(row["batch"]), "visits": walk})
    else:
        for case, row in published.loc[SETS[name].base :].iterrows():
            found[case] = (row["mbps"], {"batch": int(row["batch"])})
    return found, 10 * 1024 * 8 / mbps[unit] * 1000


def variant(name, method, clients, fitted, levels):
    """One variant as rows of the file; one that gives the fitted rows at no cost says so."""
    published, think_ns = rows(name)
    unit, base, larger, _ = SETS[name]
    try:
        table = predict_rows(
            published,
            baseline=unit,
            fitted=base if fitted == FITTED[0] else (base, larger),
            clients=clients,
            levels=levels,
            think_ns=think_ns,
            method=method,
            seeds=3 if method == "queues" else 1,
        )
    except ValueError as error:
        table = pd.DataFrame({"row": [larger], "role": [f"cannot be fitted: {str(error).partition(':')[0]}"]})
    return table.assign(method=method, clients=clients, levels=levels, fitted=fitted).round(2)


def main():
    """Print the table as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=SETS)
    name = parser.parse_args().name
    asked = [
        (method, clients, fitted, levels)
        for method in METHODS
        for clients in (36, 72)
        for levels in SETS[name].levels
        for fitted in FITTED
    ]
    columns = ["method", "clients", "levels", "fitted", "row", "role", "measured", "model", "error_percent"]
    if len(SETS[name].levels) == 1:
        columns.remove("levels")
    table = pd.concat(variant(name, *one) for one in asked)
    print(table[[*columns, "visit_ns", "path_ns", "standard_error"]].to_csv(index=False), end="")


if __name__ == "__main__":
    main()
