"""Course: what is done with a reader: set up, let predict, reveal, check, ask again, show code, find files."""

from ..files import data_path, golden_path
from .environment import check_environment, setup
from .exercises import check
from .predictions import predict, reveal
from .quiz_ask import quiz
from .quotes import Quote, show_patch, show_rule
from .tables import Table, show_table

__all__ = [
    "Quote",
    "Table",
    "check",
    "check_environment",
    "data_path",
    "golden_path",
    "predict",
    "quiz",
    "reveal",
    "setup",
    "show_patch",
    "show_rule",
    "show_table",
]
