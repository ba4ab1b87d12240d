"""Judges a host on which the apps of molecule/shared/inventory/apps.yml were deployed: run there, as root, by pytest.

- `python3 -m tests.judge settled` runs every chapter: it asks as a client, looks at the processes, and kills them.
- `python3 -m tests.judge rebooted` checks what must hold again after a reboot.
- `python3 -m tests.judge visit start` starts clients that ask without end.
- `python3 -m tests.judge visit end` stops them. It fails unless each got its answers, and the app was switched meanwhile.

`pack` makes what a host needs for it: these files and pytest. Chapters run in parallel: each disturbs only its own app.
"""
