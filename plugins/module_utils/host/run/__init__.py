"""Runs releases: instances, their health, the switch, and how they are retired and removed."""
