"""A sample notebook for every test of the notebook tools."""

import pytest

import notebook_samples


@pytest.fixture
def good():
    """Return a notebook with every part of the anatomy and nothing wrong."""
    return notebook_samples.good_notebook()
