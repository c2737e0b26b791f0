"""Kernel lab: boot a real kernel, set probes, record what its stocks and counters do."""
