"""Check every host's inventory and fetch every source, before any host is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:  # where a value stands in its file; ansible-core 2.19 keeps it, and has no public name for it yet
    from ansible._internal._datatag._tags import Origin
except ImportError:
    Origin = None

from ansible_collections.slipway.kit.plugins.module_utils import inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import validation
from ansible_collections.slipway.kit.plugins.module_utils.model.validation import Fault
from ansible_collections.slipway.kit.plugins.module_utils.sources import SourceError


class ActionModule(ActionBase):
    """Runs on the controller alone. One message names every fault of every host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with all faults at once, or return how many hosts and apps were found in order."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(argument_spec={"fetch": {"type": "bool", "default": True}})
        names = task_vars or {}
        hosts = names["ansible_play_hosts_all"]
        # The same group_vars give the same fault on every host: once is enough.
        faults: dict[str, None] = {}
        for host in hosts:
            for fault in self._host(str(host), names["hostvars"], arguments["fetch"]):
                faults.setdefault(str(fault))
        if faults:
            count = "One fault" if len(faults) == 1 else f"{len(faults)} faults"
            lines = "".join(f"\n  - {fault}" for fault in faults)
            raise AnsibleActionFail(f"{count} in the inventory; no host was touched.{lines}")
        result.update(changed=False, hosts=len(hosts))
        return result

    def _host(self, host: str, hostvars: Any, fetch: bool) -> Iterator[Fault]:
        raw = hostvars.raw_get(host)
        templar = self._templar.copy_with_new_env(available_variables=raw)

        def where(path: tuple[Any, ...]) -> str:
            return _place(raw, path)

        faults: list[Fault] = []
        values = {
            name: inventory.plain(value, templar.template, (name,), faults) if name in inventory.VARIABLES else value
            for name, value in raw.items()
        }
        if faults:
            yield from (Fault(fault.path, fault.message, where(fault.path)) for fault in faults)
            return
        found = validation.validate(values, where)
        yield from found
        apps = values.get("apps")
        chosen = inventory.chosen(templar.template(raw.get("app")))
        for name in chosen:
            if isinstance(apps, Mapping) and name not in apps:
                yield Fault(
                    ("app",),
                    f"is {name}, which is no app of {host}{validation.did_you_mean(name, [str(app) for app in apps])}",
                )
        if fetch and not found and isinstance(apps, Mapping):
            for name, entry in apps.items():
                if entry.get("state") != "absent" and (not chosen or name in chosen):
                    try:
                        inventory.fetch(entry, raw, self._display.vv)
                    except SourceError as exc:
                        yield Fault(("apps", name, "source"), f"cannot be used: {exc}", where(("apps", name, "source")))


def _place(raw: Any, path: tuple[Any, ...]) -> str:
    """`file:line:column` of the deepest part of `path` that knows where it stands."""
    if Origin is None:
        return ""
    place, value = "", raw
    for key in path:
        if isinstance(value, Mapping) and key in value:
            name = next((own for own in value if own == key), key)
            value = value[key]
            origin = Origin.get_tag(name) or Origin.get_tag(value)
        elif isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
            value = value[key]
            origin = Origin.get_tag(value)
        else:
            break
        if origin is not None and origin.path:
            place = f"{origin.path}:{origin.line_num}" + (f":{origin.col_num}" if origin.col_num else "")
    return place
