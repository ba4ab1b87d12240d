"""Judges a host on which the apps of molecule/shared/inventory/apps.yml were deployed: run there, as root, by pytest.

python3 -m tests.judge settled        every chapter: asks as a client, looks at the processes, kills them
python3 -m tests.judge rebooted       what must hold again after a reboot
python3 -m tests.judge visit start    clients begin to ask, and go on asking
python3 -m tests.judge visit end      they stop; fails unless each got its answers, and the app was switched meanwhile

`pack` makes what a host needs for it: these files and pytest. Chapters run side by side: each disturbs no app but its own.
"""
