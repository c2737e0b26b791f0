"""The kinds of quiz questions: each draws a small case and words it; its answer comes from running the case."""

from . import design, drift, evidence, lines, mechanism, profiles
from .base import KINDS, SHORT

TOPICAL = (mechanism, profiles, drift, lines, evidence, design)

__all__ = ["KINDS", "SHORT", "TOPICAL"]
