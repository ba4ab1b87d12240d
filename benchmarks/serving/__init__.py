"""Measures how fast Slipway's hosts serve, against named rivals and against other settings of the kit.

Run `python -m benchmarks.serving [--quick] [serving] [tuning]` from the project's folder. `host` creates a host with the kit and
starts rivals and variants next to its apps. `load` sends requests, and `figures` computes ratios and tables.
"""
