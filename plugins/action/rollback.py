"""Choose the release that each app goes back to, from what the host has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.action import partly
from ansible_collections.slipway.kit.plugins.module_utils import display, inventory
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import AppFacts, ReleaseFacts
from ansible_collections.slipway.kit.plugins.module_utils.model.spelling import is_slip


class ActionModule(partly.ActionModule):
    """Contacts no host: the facts list its releases."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the fact `slipway_releases`; warn where a migration ran in between."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        task_vars = task_vars or {}
        host = inventory.load(self._templar, task_vars)
        if why := host.stranger or host.displaced:
            raise AnsibleActionFail(why)
        wanted = task_vars.get("release")
        apps = host.to_deploy
        if wanted and len(apps) > 1:
            raise AnsibleActionFail(f"-e release=… is about one app, and this inventory has {len(apps)}; add -e app=…")
        died = (task_vars.get("ansible_facts") or {}).get("slipway_died")
        targets, lines, failures = [], [], []
        for app in apps:
            on_host = host.facts.app(app.name)
            try:
                target = choose(on_host, str(wanted) if wanted else None, left_by(died, app.name))
            except AnsibleActionFail as refused:
                failures.append({"app": app.name, "reason": str(refused.message)})
                continue
            for passed in migrated_since(on_host, target) if target != on_host.current else ():
                result.setdefault("warnings", []).append(
                    f"{app.name}: a migration ran with {passed}, after {target}. Going back does not undo it, so check "
                    f"that the code of {target} can work with it"
                )
            targets.append({"root": app.root, "release": target})
            lines.append(
                f"{app.name}: from {on_host.current} to {target}"
                if target != on_host.current
                else f"{app.name}: {target} is current already"
            )
        result.update(
            changed=False, msg="\n".join(lines), ansible_facts={"slipway_releases": targets}, **display.as_("text")
        )
        if failures:
            self.hold(result, failures, task_vars)
        return result


def left_by(died: Mapping[str, Any] | None, app: str) -> str | None:
    """The release that a rollback was to leave, which died and whose lock this run has taken over."""
    if not died or died["purpose"] != "rollback":
        return None
    left: str | None = died["apps"].get(app, {}).get("from")
    return left


def choose(app_facts: AppFacts, wanted: str | None, left: str | None = None) -> str:
    """The release to go back to.

    Args:
        app_facts: the app's `releases` on the host, and the `current` one.
        wanted: the release id that the user named; without one, the last good release that was current before.
        left: the release that a rollback which died was to leave. Where it has left it, that rollback is finished.

    Raises:
        AnsibleActionFail: there is no such release.
    """
    releases, current = app_facts.releases, app_facts.current
    complete = {name: one for name, one in releases.items() if one.complete}
    if wanted:
        if wanted not in complete:
            raise AnsibleActionFail(f"there is no release {wanted} on this host{_instead(wanted, complete)}")
        return wanted
    if left and left != current and current in complete:
        return str(current)
    now = releases.get(current or "")
    before = now.previous if now else None
    last = releases.get(before or "")
    if now and now.complete and not now.activated and last and last.bad:
        return str(current)  # a rollback was interrupted after the switch: finish it, and go no further
    good = {name: one for name, one in complete.items() if one.activated and not one.bad and name != current}
    if not good:
        others = {name: one for name, one in complete.items() if name != current}
        raise AnsibleActionFail(
            "there is no earlier good release on this host to go back to"
            + (f"; name another one by -e release=: {_listed(others)}" if others else "")
        )
    return str(before) if before in good else max(good, key=lambda name: (good[name].activated or "", name))


def _instead(wanted: str, complete: Mapping[str, ReleaseFacts]) -> str:
    """What to write instead of a release that is not there. Ids look alike, so only a slip or a beginning leads to another one."""
    near = [name for name in complete if name.startswith(wanted) or is_slip(wanted, name)]
    if len(near) == 1:
        return f"; did you mean {near[0]}?"
    return f"; there are: {_listed(complete)}" if complete else ", nor any other"


def _listed(releases: Mapping[str, ReleaseFacts]) -> str:
    """Releases, the one that became current last first, with what speaks against each."""
    newest = sorted(releases, key=lambda name: (releases[name].activated or "", name), reverse=True)
    against = {name: "bad" if one.bad else "" if one.activated else "never current" for name, one in releases.items()}
    return ", ".join(f"{name} ({against[name]})" if against[name] else name for name in newest)


def migrated_since(app_facts: AppFacts, target: str) -> list[str]:
    """The releases whose migration ran after `target` last became current."""
    releases = app_facts.releases
    since = releases[target].activated or ""
    return sorted(name for name, one in releases.items() if name != target and (one.migrated or "") > since)
