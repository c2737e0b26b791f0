"""Every variant of the closed loop beside the published rows of 2022, misses and all: netperf_2022_predicted.csv."""

import pandas as pd

from memcg_lab.files import data_path
from memcg_lab.machine import predict_rows

ROOT, BASE, LARGER = "root memcg", "6.0-rc1", "C: batch 64"
FITTED = {"a visit": BASE, "a visit and the path": (BASE, LARGER)}
METHODS = ("additive", "mva", "queues")


def rows():
    """The rows of the table with the visits of each line, and the think time of a round: 10 KiB at the root's rate."""
    mbps = pd.read_csv(data_path("published/netperf_2022.csv")).set_index("case")["mbps"]
    visits = pd.read_csv(data_path("published/netperf_2022_visits.csv")).set_index("case")
    found = {ROOT: (mbps[ROOT], None)}
    for case, row in visits.iterrows():
        walk = [int(row[line]) for line in ("leaf", "middle", "top", "root")]
        found[case] = (mbps[case], {"batch": int(row["batch"]), "visits": walk})
    return found, 10 * 1024 * 8 / mbps[ROOT] * 1000


def variant(method, clients, fitted):
    """One variant as rows of the file; one that gives the fitted rows at no cost says so."""
    published, think_ns = rows()
    seeds = 3 if method == "queues" else 1
    try:
        table = predict_rows(
            published,
            baseline=ROOT,
            fitted=FITTED[fitted],
            clients=clients,
            levels=4,
            think_ns=think_ns,
            method=method,
            seeds=seeds,
        )
    except ValueError as error:
        table = pd.DataFrame({"row": [LARGER], "role": [f"cannot be fitted: {str(error).partition(':')[0]}"]})
    return table.assign(method=method, clients=clients, fitted=fitted).round(2)


def main():
    """Print the table as CSV."""
    tables = [variant(method, clients, fitted) for method in METHODS for clients in (36, 72) for fitted in FITTED]
    columns = ["method", "clients", "fitted", "row", "role", "measured", "model", "error_percent"]
    print(pd.concat(tables)[[*columns, "visit_ns", "path_ns", "standard_error"]].to_csv(index=False), end="")


if __name__ == "__main__":
    main()
