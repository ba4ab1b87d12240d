"""Records what is on this host's disk, or compares it with the record: `python3 filesystem.py RECORD`.

The first call writes the record; later ones print what has changed since and end with status 1 if anything has. Of each
path: kind, mode, owner, group, and the hash of its content or where it leads.
"""

import hashlib
import json
import os
import re
import stat
import sys

ROOTS = ("/etc", "/srv", "/var", "/run", "/opt", "/usr/local", "/home")
NOT_OURS = re.compile(
    r"/run/(systemd|udev|log|user|mount)(/.*)?"  # systemd's own notes of units, mounts and sessions
    r"|/var/log/journal(/.*)?"
    r"|/var/lib/systemd/.*"  # stamps of timers, the random seed
    r"|/var/lib/(apt|dpkg|logrotate)/.*|/var/cache/(apt|debconf|ldconfig|man)/.*"
    r"|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-"  # what useradd keeps of the last state
    r"|.*/__pycache__(/.*)?|.*\.pyc"
)
CONTENT_GOES_ON = re.compile(r"/var/log/.*|/run/utmp|/var/lib/nginx/.*|/var/lib/slipway/(accounts|placed)[.]json")
"""Files of which only the presence is compared. Other apps write their logs meanwhile, and the kit remembers the numbers of
removed accounts."""


def state(path):
    info = os.lstat(path)
    words = [oct(info.st_mode), str(info.st_uid), str(info.st_gid)]
    if stat.S_ISLNK(info.st_mode):
        words.append(os.readlink(path))
    elif stat.S_ISREG(info.st_mode) and not CONTENT_GOES_ON.fullmatch(path):
        with open(path, "rb") as handle:
            words.append(hashlib.sha256(handle.read()).hexdigest())
    return " ".join(words)


def scan():
    entries = {}
    for root in ROOTS:
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not NOT_OURS.fullmatch(os.path.join(folder, name))]
            for path in [folder, *(os.path.join(folder, name) for name in [*folders, *names])]:
                if not NOT_OURS.fullmatch(path):
                    try:
                        entries[path] = state(path)
                    except FileNotFoundError:
                        continue
    return entries


record, now = sys.argv[1], scan()
if not os.path.exists(record):
    with open(record, "w") as out:
        json.dump(now, out)
    print(f"{len(now)} paths")
    sys.exit()
with open(record) as handle:
    before = json.load(handle)
changes = [
    f"{path}: {before.get(path)} -> {now.get(path)}"
    for path in sorted({*before, *now})
    if before.get(path) != now.get(path)
]
print("\n".join(changes) or f"{len(now)} paths, all as before")
sys.exit(bool(changes))
