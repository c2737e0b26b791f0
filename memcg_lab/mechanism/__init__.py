"""The mechanism: what the kernel does, rule by rule, and nothing about time."""
