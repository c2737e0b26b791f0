"""Hardware: real atomics and threads on the CPU you sit at."""
