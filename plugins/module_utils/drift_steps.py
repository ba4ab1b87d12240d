"""The next command for what on a host is no longer as the kit left it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

NEXT = {
    "file": "ansible-playbook site.yml --check --diff --limit {host}",
    "leftover": "ansible-playbook playbooks/remove.yml -e app={app} --limit {host}, unless another inventory deploys it",
    "absent": "ansible-playbook playbooks/deploy.yml --limit {host}",  # all of them together: they may share a site
    "origin": "give one of the two apps another name, or take it over: "
    "ansible-playbook playbooks/deploy.yml --limit {host} -e take_over=true",
    "origins": "ssh {host} cat {subject}",
    "site": "ssh {host} cat {subject}",
    "unserved": "ansible-playbook playbooks/deploy.yml --limit {host}",
    "unit": "ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
    "masked": "ssh {host} systemctl unmask {subject}, then ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
    "process": "ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
    "timer": "ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
    # No deploy writes a release that is on the host: an equal one would use the files that were changed.
    "release": "put back what was changed, or deploy other code: ansible-playbook playbooks/deploy.yml -e app={app} --limit {host}",
}
"""The next command, by the kind of a deviation."""
UNITS = {
    "unit": "ansible-playbook {playbook} --limit {host}",
    "masked": "ssh {host} systemctl unmask {subject}, then ansible-playbook {playbook} --limit {host}",
}
"""The same for a unit of the host."""
SITE = "site.yml"
PLAYBOOKS = {"slipway-firewall.service": "playbooks/harden.yml"}
"""The playbook that has a unit of the host start at boot, where it is not SITE."""


def step(host: str, deviation: Mapping[str, str]) -> str:
    """Return the next command for a deviation on a host, or what else to do."""
    kind, app, subject = deviation["kind"], shlex.quote(deviation["app"]), deviation["subject"]
    command = NEXT.get(kind, "ansible-playbook site.yml --limit {host}")
    if not deviation["app"]:
        command = UNITS.get(kind, command)
    return command.format(host=host, app=app, subject=subject, playbook=PLAYBOOKS.get(subject, SITE))
