"""Benchmarks: each module measures one claim of speed and ends with lines ``ratio NAME VALUE``, larger is better;
`band` measures the errors of an uncertainty instead.
"""
