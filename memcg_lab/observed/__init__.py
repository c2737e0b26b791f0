"""Observed: real kernels, their traces and their cgroup files."""
