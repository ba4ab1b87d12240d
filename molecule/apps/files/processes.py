"""Prints, as JSON, the processes of every app and of nginx on this host: masters and workers, each as `pid@start`."""

import json
import os
import re

instances = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as handle:
            command = handle.read().replace(b"\0", b" ").decode("utf-8", "replace")
        with open(f"/proc/{pid}/stat") as handle:
            fields = handle.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        continue
    gunicorn = re.search(r"/gunicorn -c /srv/([a-z0-9-]+)/releases/", command)
    name = gunicorn[1] if gunicorn else "nginx" if command.startswith("nginx: ") else None
    if name and "shutting down" not in command:
        instances.setdefault(name, {})[pid] = (fields[1], f"{pid}@{fields[19]}")

print(
    json.dumps(
        {
            name: {
                "master": sorted(process for parent, process in processes.values() if parent not in processes),
                "workers": sorted(process for parent, process in processes.values() if parent in processes),
            }
            for name, processes in instances.items()
        }
    )
)
