"""Measuring the fleet: `python -m bench`. Every figure in docs/benchmarks.md is one that it printed."""
