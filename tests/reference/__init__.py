"""The library's twins in plain Python: what the compiled rooms are compared with, in tests and in benchmarks."""
