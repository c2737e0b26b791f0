"""Traces: recordings of real kernels, read, followed by the mechanism, and replayed under other rules."""
