#!/usr/bin/python
"""Builds releases on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Build a release of every app
version_added: 0.1.0
author: Slipway
description:
  - The action of the same name resolves every app of the host and fetches its code. It calls this module only for releases that the
    host lacks.
  - A release is complete or absent. The current one is not changed.
options:
  build:
    description: C(false) only determines the release ids from the inventory, without a call to the host.
    type: bool
    default: true
  payload:
    description: What to build, written by the action.
    type: str
  sites:
    description:
      - nginx's files of every app, written by the action. If an app moves to another release, nginx's own parser checks them before
        the build.
    type: dict
attributes:
  check_mode:
    support: full
    description: Reports which releases would be built.
"""

EXAMPLES = r"""
- name: Build the releases that the inventory describes
  slipway.kit.release:
"""

RETURN = r"""
built:
  description: The releases that were built, as C(app release).
  returned: always
  type: list
  elements: str
  sample: [shop v1.4.2-1a2b3c4d]
virtualenvs:
  description: How many virtualenvs were built for them.
  returned: success
  type: int
  sample: 1
failures:
  description: The apps without a new release, each with the reason. They are held back; the run continues with the others.
  returned: always
  type: list
  elements: dict
  sample: [{"app": "shop", "release": "v1.4.2-1a2b3c4d", "reason": "was not built", "hint": "", "log": []}]
installed:
  description: Apps for which a virtualenv was built.
  returned: always
  type: list
  elements: str
  sample: [shop]
lacking:
  description: Apps whose code the action must send as a whole.
  returned: always
  type: list
  elements: str
  sample: []
ansible_facts:
  description: C(slipway_held) are the apps that are held back. C(slipway_releases) has the C(root) and the C(release) of every app.
  returned: always
  type: dict
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule

if TYPE_CHECKING:
    from ansible_collections.slipway.kit.plugins.module_utils.contract.job import Job

SPEC: dict[str, Any] = {
    "argument_spec": {
        "payload": {"type": "str", "no_log": True, "required": True},
        "sites": {
            "type": "dict",
            "options": {
                "payload": {"type": "str", "required": True, "no_log": True},
                "validate": {"type": "list", "elements": "str", "required": True},
            },
        },
    },
}
"""The module's parameters. The action of the same name checks them, too."""
RESULT: dict[str, Any] = {"built": ["line"], "virtualenvs": "count", "installed": ["app"], "lacking": ["app"]}
"""The fields of the result. The action refuses all others (plugins/module_utils/answers.py)."""


OLD_CACHE = "/var/cache/slipway"
"""The cache for all apps of an older kit, which built as root."""


def main() -> None:
    """Build each release of the payload; if one fails, the others are still built."""
    from ansible_collections.slipway.kit.plugins.module_utils.contract import job, typed
    from ansible_collections.slipway.kit.plugins.module_utils.host.base import trees
    from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import TROUBLE
    from ansible_collections.slipway.kit.plugins.module_utils.host.base.space import explained
    from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, rehearsal
    from ansible_collections.slipway.kit.plugins.module_utils.host.system import lock

    module = AnsibleModule(**SPEC)
    os.umask(0o022)
    try:
        jobs = job.read(module.params["payload"])
    except typed.Misfit as error:
        module.fail_json(msg=f"the job of this call cannot be used: {error}; use one version of the kit only")
    try:
        with lock.alone():
            lock.note_targets({one.manifest.root: one.manifest.release_id for one in jobs})
            trees.remove(OLD_CACHE)
            if sites := module.params["sites"]:
                rehearsal.rehearse(fileset.Wanted.read({**sites, "apply": [], "on_drift": "keep"}))
            build(module, jobs)
    except TROUBLE as error:
        module.fail_json(msg=explained(str(error)))


def build(module: AnsibleModule, jobs: Sequence[Job]) -> None:
    """Build every release, one on each core, and end the module."""
    from ansible_collections.slipway.kit.plugins.module_utils.host.base.outcome import Failure, parallel
    from ansible_collections.slipway.kit.plugins.module_utils.host.base.space import explained
    from ansible_collections.slipway.kit.plugins.module_utils.host.build import building, errors

    def one(job: Job) -> building.Built | Exception:
        try:
            return building.build(job)
        except Exception as exc:  # whatever is wrong with one app, build the others
            return exc

    built, failures, installed, lacking = [], [], [], []
    warnings: list[str] = []
    for job, result in zip(jobs, parallel(one, jobs, os.cpu_count() or 1), strict=True):
        if isinstance(result, errors.Lacking):
            lacking.append(job.manifest.app)
        elif isinstance(result, Exception):
            log = getattr(result, "output", "").splitlines()
            why = str(result) if isinstance(result, errors.AppError) else explained(str(result), log, job.manifest.root)
            failures.append(
                Failure(job.manifest.app, job.manifest.release_id, f"was not built: {why}", log=log).as_result()
            )
        else:
            built.append(f"{result.manifest.app} {result.manifest.release_id}")
            if result.virtualenv:
                installed.append(result.manifest.app)
            warnings += [f"{result.manifest.app}: {warning}" for warning in result.warnings]
    module.exit_json(
        changed=bool(built),
        built=built,
        virtualenvs=len(installed),
        installed=installed,
        failures=failures,
        lacking=lacking,
        warnings=warnings,
    )


if __name__ == "__main__":
    main()
