"""Benchmarks (`make bench`): they compare Hireflow with named physical limits, and measure both in turn in one run."""
