"""Ask which known vulnerabilities the hosts' packages have, and report it. Works on the controller alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import alone, display, vulnerabilities
from ansible_collections.slipway.kit.plugins.module_utils.contract.words import counted
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables
from ansible_collections.slipway.kit.plugins.module_utils.vulnerabilities import Unanswered


class ActionModule(alone.AloneAction):
    """Fails when a vulnerability is known, and when the service did not answer; the message is the report either way."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task."""
        result, arguments = self.begin(
            tmp,
            task_vars,
            {
                "states": {"type": "dict", "required": True},
                "format": {"type": "str", "choices": ["table", "json"], "default": "table"},
                "service": {"type": "str", "default": run_variables.AUDIT_SERVICE},
            },
        )
        report = audit(current(arguments["states"]), arguments["service"])
        result.update(
            changed=False,
            msg=json.dumps(report) if arguments["format"] == "json" else text(report),
            failed=bool(report["error"] or report["unread"])
            or any(one["vulnerabilities"] for one in report["packages"]),
            **display.as_("only"),
        )
        return result


def current(states: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The current releases of all hosts, each with its `host`; one without an app stands for a host that does not answer."""
    releases = []
    for host, state in states.items():
        releases += [{"host": host, **one} for one in state.get("releases") or ()]
        if trouble := state.get("trouble"):
            releases.append(
                {"host": host, "app": "", "release": "", "packages": [], "error": f"it does not answer: {trouble}"}
            )
    return releases


def audit(releases: Sequence[Mapping[str, Any]], service: str) -> dict[str, Any]:
    """Every package of the releases (each with `host`), with what is known about it."""
    rows = [
        {**{name: one[name] for name in ("host", "app", "release")}, **package}
        for one in releases
        for package in one["packages"]
    ]
    keys = [vulnerabilities.key(row["name"], row["version"]) for row in rows]
    known: Mapping[Any, list[dict[str, Any]]] = {}
    error = None
    try:
        known = vulnerabilities.ask((key for key in keys if key), service)
    except Unanswered as why:
        error = str(why)
    return {
        "service": service,
        "error": error,
        "unread": [
            {name: one[name] for name in ("host", "app", "release", "error")} for one in releases if one.get("error")
        ],
        "packages": [
            {**row, "asked": error is None and key is not None, "vulnerabilities": known.get(key, [])}
            for row, key in zip(rows, keys, strict=True)
        ],
    }


def text(report: Mapping[str, Any]) -> str:
    """The report for people."""
    rows = report["packages"]
    unread = [
        f"What is {'in ' + one['app'] + ' ' if one['app'] else ''}on {one['host']} could not be read: {one['error']}."
        for one in report["unread"]
    ]
    if report["error"]:
        return "\n".join(
            [
                f"The vulnerability service {report['service']} could not be asked: {report['error']}.",
                "So nothing is known about what is installed:",
                *_installed(rows),
                *unread,
            ]
        )
    lines = []
    bad = {(row["name"], row["version"]): row for row in rows if row["vulnerabilities"]}
    for package, row in sorted(bad.items()):
        users = {(one["app"], one["host"]) for one in rows if (one["name"], one["version"]) == package}
        places = ", ".join(f"{app} on {host}" for app, host in sorted(users))
        lines.append(f"{row['name']} {row['version']}  ({places})")
        for one in row["vulnerabilities"]:
            names = ", ".join([one["id"], *one["aliases"]])
            fixed = f"fixed in {', '.join(one['fixed_in'])}" if one["fixed_in"] else "no fixed version is known"
            lines.append(f"    {names}: {one['summary'].rstrip('.') or 'no summary'}; {fixed}")
    odd = sorted({f"{row['name']} {row['version']}" for row in rows if not row["asked"]})
    if odd:
        lines.append(f"Not asked for, since no index can know such a version: {', '.join(odd)}")
    count = len({(row["name"], row["version"]) for row in rows})
    places = f"{counted(count, 'package')} of {counted(len({(r['host'], r['app']) for r in rows}), 'current release')}"
    verdict = f"{len(bad)} of them have known vulnerabilities" if bad else "no known vulnerability"
    return "\n".join([*unread, *lines, f"{places}: {verdict} ({report['service']})"])


def _installed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is installed, release by release; hosts with the same packages together."""
    hosts: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    by_place: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        place = (row["app"], row["release"], row["host"])
        by_place.setdefault(place, []).append(f"{row['name']} {row['version']}")
    for (app, release_id, host), packages in by_place.items():
        hosts.setdefault((app, release_id, tuple(packages)), []).append(host)
    lines = []
    for (app, release_id, same), names in hosts.items():
        lines += [f"{app} {release_id} on {', '.join(names)}:", *(f"    {package}" for package in same)]
    return lines or ["    nothing: no app has a current release"]
