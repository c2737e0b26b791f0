"""Puts the tools and the sample notebooks within reach of the notebook tests."""

import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tools"), str(HERE)]


@pytest.fixture
def good():
    """Return a notebook with every part of the anatomy and nothing wrong."""
    import notebook_samples

    return notebook_samples.good_notebook()
