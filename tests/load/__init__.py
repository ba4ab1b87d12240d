"""Counts what visitors lose: an open-loop load, and the events under which it is applied.

`generator` sends requests and judges every answer, `figures` turns what it noted into a table, `scenario` is what
happens to the hosts of the Molecule scenario `zero_loss` meanwhile.
"""
