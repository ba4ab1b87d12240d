"""Test hosts: podman containers that boot systemd, made from Debian's packages alone.

`machine` finds out what podman needs on this machine, `images` builds the hosts' images, `containers` starts
and stops the hosts of a Molecule scenario. The command line is `python -m tests.hosts --help`.
"""
