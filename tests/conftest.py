"""What all tests share: the mode they run in, and Hypothesis without clock, chance or files."""

import signal

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from lab_helpers import MODE


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts a job in the background like this
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and nohup like this
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    home = config.rootpath / "build" / "hypothesis"
    set_hypothesis_home_dir(home)
    hypothesis.settings.register_profile(
        "memcg-lab",
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=60,
        stateful_step_count=40,
        print_blob=False,
    )
    hypothesis.settings.load_profile("memcg-lab")


def pytest_report_header():
    return f"memcg-lab: {MODE} mode"


def pytest_collection_modifyitems(items):
    """Skip what says nothing about this mode, however pytest was started."""
    for item in items:
        if MODE != "jit" and (item.get_closest_marker("once") or item.path.parent.name in ("once", "notebooks")):
            item.add_marker(pytest.mark.skip(reason="says nothing about compiled code"))
        if MODE == "boundscheck" and item.get_closest_marker("own_rule"):
            item.add_marker(pytest.mark.skip(reason="a reader's rule has bounds checks in every mode"))
        if MODE == "nojit" and isinstance(item, pytest.DoctestItem) and item.path.parent.name == "hardware":
            item.add_marker(pytest.mark.skip(reason="Python has no atomics of the CPU"))


@pytest.fixture
def nothing_said(monkeypatch):
    """No reader has predicted or answered anything yet; what a test says is forgotten."""
    from memcg_lab.course import notes

    monkeypatch.setattr("memcg_lab.course.notes._memory", {kind: {} for kind in notes.KINDS})


@pytest.fixture
def whole_lines(monkeypatch):
    """What is said, not where a line is broken."""
    monkeypatch.setattr("memcg_lab.words.COLUMNS", 10_000)
