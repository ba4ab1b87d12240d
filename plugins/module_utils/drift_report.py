"""What on the hosts is no longer as the kit left it, in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .contract.words import counted
from .overview import Problem, missing

NEXT = {
    "file": "ansible-playbook site.yml --check --diff --limit {host}",
    "leftover": "ansible-playbook playbooks/remove.yml -e app={app} --limit {host}, unless another inventory deploys it",
    "absent": "ansible-playbook playbooks/deploy.yml --limit {host}",  # all of them together: they may share a site
    "origin": "give one of the two apps another name, or take it over: "
    "ansible-playbook playbooks/deploy.yml --limit {host} -e take_over=true",
    "origins": "ssh {host} cat {subject}",
    "site": "ssh {host} cat {subject}",
    "unserved": "ansible-playbook playbooks/deploy.yml --limit {host}",
    "unit": "ssh {host} systemctl status {subject}",
    "process": "ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
    "timer": "ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
    # No deploy writes a release that is on the host: an equal one would use the files that were changed.
    "release": "put back what was changed, or deploy other code: ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
}
"""The next command, by the kind of a deviation."""


def problems(states: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """Every deviation on every host, and the hosts that did not answer."""
    yield from missing(states)
    for host, state in states.items():
        for one in deviations(state):
            step = NEXT.get(one["kind"], "ansible-playbook site.yml --limit {host}")
            text = f"{one['subject']} {one['detail']}"
            app = "" if one["kind"] in ("leftover", "absent", "origin", "unserved") else one["app"]  # the text names it
            yield Problem(host, app, text, step.format(host=host, **{**one, "app": shlex.quote(one["app"])}))


def deviations(state: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Those of one host and its apps."""
    if state.get("trouble"):
        return []
    return [*state["host"]["drift"], *(one for app in state["apps"] for one in app["drift"])]


def text(problems: Sequence[Problem], hosts: int) -> str:
    """The report about so many hosts for people."""
    lines = [f"! {problem}" for problem in problems]
    return "\n".join(lines) or f"Nothing has drifted ({counted(hosts, 'host')})."
