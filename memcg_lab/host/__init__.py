"""Host: this machine's cgroup files, and a bounded workload over loopback."""
