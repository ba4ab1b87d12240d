"""What the operator of a valid inventory should know about apps that run on several hosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from . import https


def advice(inventories: Iterable[Mapping[str, Any]]) -> list[str]:
    """What does not do on several hosts what it does on one, one line each.

    Args:
        inventories: the variables of each host.
    """
    domains: Counter[tuple[str, str]] = Counter()
    processes: Counter[tuple[str, str]] = Counter()
    for variables in inventories:
        for name, entry in https.present(variables["apps"]).items():
            tls = https.derive(entry)
            if tls and tls.source == "acme" and not tls.dns and not variables.get("nginx_trusted_proxies"):
                domains.update((name, domain) for domain in entry["domains"])
            for process, settings in (entry.get("processes") or {}).items():
                if isinstance(settings, Mapping) and settings.get("overlap") is False:
                    processes[name, process] += 1
    return [
        f"apps.{name}.tls is acme, and {domain} is on {count} hosts. The authority asks one of them, which "
        "need not have the answer; use `acme: {dns: …}`, or a load balancer that speaks https"
        for (name, domain), count in domains.items()
        if count > 1
    ] + [
        f"apps.{name}.processes.{process} has `overlap: false`, and {count} hosts run it: the key holds on each host alone. Give an "
        "app with this process to one host"
        for (name, process), count in processes.items()
        if count > 1
    ]
