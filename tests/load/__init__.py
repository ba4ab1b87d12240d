"""Counts the requests that clients lose: an open-loop load, and the events under which it is applied.

- `generator` sends requests and judges every answer. `connections` and `http2` speak the protocols.
- `running` starts generators.
- `figures` turns the notes of the generator into a table.
- `scenario` has the events on the hosts of the Molecule scenario `zero_loss`. Those of `tls` are in its own tests.
"""
