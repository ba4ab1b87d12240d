"""What controller and host agree on: names, the job, the manifest, the facts. One truth for both sides.

It travels to hosts, so it needs nothing but the standard library of Python 3.10. What crosses is typed: a dataclass here,
written by one function and read by one. Data that does not fit is refused, and the refusal names both schema numbers.
"""
