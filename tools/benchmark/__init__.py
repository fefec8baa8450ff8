"""Benchmarks: each measures one claim of speed, as `ratios` says, and ends with lines ``ratio NAME MEDIAN (LOW to HIGH,
N rounds, T threads)``, larger is better; what is no time has a value alone. `band` measures the errors of an
uncertainty instead, and `table` makes the page's tables of what the others have written.
"""
