"""What a call costs, taken from the mechanism, for figures and exercises."""

import numpy as np

from ..checks import several, whole_number
from ..mechanism.policy import Policy
from ..mechanism.records import CHARGE_SKMEM, NR_PAGES_MAX, UNCHARGE_SKMEM
from ..system import System
from ..words import kind
from ..workload import skmem


def giving_back(policy, sizes, depth=2):
    """Atomics per page given back, for calls of different sizes, averaged over whole rounds of fill and drain.

    Parameters
    ----------
    policy : Policy
    sizes : sequence of int
        Pages of one call.
    depth : int
        Levels below the root.

    Returns
    -------
    ndarray of float, shape (len(sizes),)

    Raises
    ------
    ValueError
        If a size or the depth is out of range.

    Examples
    --------
    >>> from memcg_lab import V4_13, V4_14
    >>> giving_back(V4_13, [1, 33]).round(3), giving_back(V4_14, [1, 33]).round(3)
    (array([3.   , 0.091]), array([0.091, 0.091]))
    """
    if not isinstance(policy, Policy):
        raise ValueError(f"policy is {kind(policy)}; it must be a Policy such as V4_14.")
    sizes = [whole_number("pages in one call", size, 1, NR_PAGES_MAX // 1024) for size in several("sizes", sizes)]
    costs = []
    for size in sizes:
        calls = 4 * (policy.batch // size + 1)
        system = System.chain(depth, cpus=2, policy=policy)
        charge = skmem(CHARGE_SKMEM, calls, cpu=0, memcg=depth, nr_pages=max(size, policy.batch))
        system.replay(charge)
        work = system.replay(skmem(UNCHARGE_SKMEM, calls, cpu=1, memcg=depth, nr_pages=size))
        costs.append(work.atomics / (calls * size))
    return np.array(costs)
