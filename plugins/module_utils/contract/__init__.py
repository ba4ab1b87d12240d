"""What controller and host agree on: names, the job, the manifest, the facts. One truth for both sides.

It travels to hosts, so it needs nothing but the standard library of Python 3.10. What crosses is typed: a dataclass here,
written by one function and read by one, and refused with both schema numbers named where they do not fit.
"""
