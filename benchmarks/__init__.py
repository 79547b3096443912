"""Figures, always as ratios beside others in one run: `make bench`, or `python -m benchmarks --help`."""
