"""How fast the hosts that Slipway sets up serve: against named rivals, and against other settings of its own.

`python -m benchmarks.serving [--quick] [serving] [tuning]` from the project's folder: `host` makes a host with the kit and
puts rivals and variants beside its apps, `load` asks them, `figures` turns the answers into ratios and tables.
"""
