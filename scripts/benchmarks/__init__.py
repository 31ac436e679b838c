"""Benchmarks: ratios taken in one run, as absolute figures say more about the machine than about the program."""
