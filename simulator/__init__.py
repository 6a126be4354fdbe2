"""Simulated cameras with known truth, for demo, tests and benchmarks."""
