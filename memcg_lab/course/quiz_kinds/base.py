"""What the kinds of questions share: where they are entered, and words."""

from ...mechanism.policy import V4_13, V4_14
from ...system import System
from ...words import count
from ...workload import producer_consumer
from ..quiz_draw import TOPICS

KINDS = {topic: {} for topic in TOPICS}  # topic -> name -> function

YES_NO = ("yes", "no")
WHEN = {"before the patch": V4_13, "after the patch": V4_14}
OTHER = {"before the patch": V4_14, "after the patch": V4_13}
SHORT = 'Answer "yes" or "no".'
CONTEXT = {"softirq": "in softirq, where the kernel may not wait", "task": "as a task, which may wait"}
PAGE_KIB = 4


def kind(topic):
    """Enter a kind of question: a function that takes a ``Draw`` and returns text, choices or None, and an answer.

    The answer is a function, so that nobody computes it before it is asked for: () -> (what is right, list of (what is
    wrong, which thought leads there and what it overlooks)).
    """

    def enter(function):
        KINDS[topic][function.__name__] = function
        return function

    return enter


def levels(depth):
    """Where a cgroup stands, in words."""
    return f"a cgroup {count(depth, 'level')} below the root"


def back_and_forth(policy, pages, depth):
    """Pages come one at a time on CPU 0 and go back on CPU 1."""
    return System.chain(depth, cpus=2, policy=policy).replay(producer_consumer(pages, memcg=depth))
