"""tmp"""

import csv, lzma, io
from collections import namedtuple

Row = namedtuple("Row", "line cpu t_us pid softirq ev memcg nr cached avail cause")


def read_rows(path):
    I = lambda x: int(x) if x else -1
    with lzma.open(path, "rt") as f:
        return [
            Row(
                i + 2,
                I(r["cpu"]),
                I(r["t_us"]),
                I(r["pid"]),
                I(r["softirq"]),
                r["ev"],
                I(r["memcg"]),
                I(r["nr"]),
                I(r["cached"]),
                I(r["avail"]),
                r["cause"],
            )
            for i, r in enumerate(csv.DictReader(f))
        ]
