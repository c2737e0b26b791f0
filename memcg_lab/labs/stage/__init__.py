"""Stage: one picture of the machine that moves, in a page; what it says and knows of the patch comes from ``data``."""
