"""Render every template of a set on the controller, then place them all in one round trip.

A set that may lock us out is then put to the proof: only a new connection makes it stay.
"""

from __future__ import annotations

import base64
import json
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase
from ansible_collections.slipway.kit.plugins.action import resident
from ansible_collections.slipway.kit.plugins.module_utils import doors, file_sets, inventory, rendering
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import schema
from ansible_collections.slipway.kit.plugins.module_utils.model.types import ModelError
from ansible_collections.slipway.kit.plugins.modules.files import SPEC

_STATES = ("file", "directory", "link", "absent")
TRIES = 3
"""How often a new connection is tried. A daemon that reads its configuration may refuse for a moment. More tries would look like an attack to fail2ban."""
PAUSE = 2.0
"""Seconds between two tries."""
GRACE = 10.0
"""Seconds that the host may take to go back."""

_KEYS = {
    *(
        "src",
        "content",
        "dest",
        "target",
        "owner",
        "group",
        "mode",
        "state",
        "vars",
        "diff",
        "recursive",
        "random",
        "about",
    ),
}


class ActionModule(resident.ActionModule):
    """The files action: checks and renders the set here; the module of the same name places it."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; returns the module's result."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        _valid, args = self.validate_argument_spec(
            argument_spec={
                **{name: option for name, option in SPEC["argument_spec"].items() if name != "payload"},
                "files": {"type": "list", "elements": "dict"},
                "sets": {"type": "list", "elements": "str"},
                "owner": {"type": "str", "default": "root"},
                "group": {"type": "str", "default": "root"},
                "mode": {"type": "raw"},
            },
            mutually_exclusive=[("files", "sets", "restore", "forget"), ("sets", "validate"), ("sets", "apply")],
            required_one_of=[("files", "sets", "restore", "forget")],
            required_by=SPEC["required_by"],
        )
        if args["sets"] is not None:
            args |= self._resolved(args["sets"], task_vars or {})
        if args["files"] is None:
            call = {key: args[key] for key in ("restore", "forget") if args[key]}
        elif not args["files"]:
            return {**result, "changed": False}
        else:
            call = {"payload": self._payload(args, task_vars or {})}
            call |= {key: args[key] for key in ("validate", "apply", "keep_undo", "prove")}
            call["on_drift"] = self._on_drift(task_vars or {})
        result.update(self._execute_module(module_name="slipway.kit.files", module_args=call, task_vars=task_vars))
        self._warn_of_drift(result, task_vars)
        if result.pop("proving", False):
            self._prove(args["keep_undo"], args["prove"]["seconds"], task_vars or {})
        return result

    def _inventory_of(self, task_vars: Mapping[str, Any]) -> Inventory:
        """The resolved host."""
        return inventory.load(self._templar, task_vars)

    def _resolved(self, sets: Sequence[str], task_vars: Mapping[str, Any]) -> dict[str, Any]:
        """What the kit's sets of these names are on this host: `files`, `validate` and `apply`."""
        try:
            return file_sets.resolved(self._inventory_of(task_vars), sets)
        except (ModelError, doors.PagesError) as exc:
            raise AnsibleActionFail(str(exc)) from exc

    def _sites(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """nginx's sites, as the modules `release` and `activate` take them: `payload`, `validate` and `apply`."""
        sites = self._resolved(["sites"], task_vars)
        payload = self._payload({"owner": "root", "group": "root", "mode": None, **sites}, task_vars)
        return {"payload": payload, "validate": sites["validate"], "apply": sites["apply"]}

    def _on_drift(self, task_vars: Mapping[str, Any]) -> str:
        """What to do with files that another user or program changed: the task's word, or the host's setting."""
        default = schema.table(schema.SETTINGS)["on_drift"].default
        return str(self._task.args.get("on_drift") or self._templar.template(task_vars.get("on_drift")) or default)

    def _warn_of_drift(self, result: dict[str, Any], task_vars: Mapping[str, Any] | None) -> None:
        """Name the files that another user or program had changed, and where the changed ones are now."""
        host = (task_vars or {}).get("inventory_hostname", "this host")
        would = " would be" if self._task.check_mode else " is"
        for one in result.get("drifted") or ():
            kept = f"what was there{would} kept as {one['kept']}" if one["kept"] else "it had been removed"
            result.setdefault("warnings", []).append(
                f"{host}: {one['path']} was changed by another user or program since Slipway wrote it. It{would} written again; {kept}"
            )

    def _prove(self, name: str, seconds: float, task_vars: dict[str, Any]) -> None:
        """Connect again and let the set stay; raises ``AnsibleActionFail`` when that fails and the host goes back."""
        end = time.monotonic() + seconds
        why = ""
        for number in range(TRIES):
            if number:
                time.sleep(PAUSE)  # a moment's refusal is over by then
            try:
                if self._forget(name, task_vars):
                    return
                why = "it came too late"
                break  # the host has gone back
            except AnsibleConnectionFailure as exc:
                why = str(exc).strip().splitlines()[-1]
        time.sleep(max(0.0, end + GRACE - time.monotonic()))  # the host cannot be reached before
        try:
            self._forget(name, task_vars)
            now = "the host has gone back to what it had, and is reachable"
        except AnsibleConnectionFailure:
            now = "the host should have gone back to what it had, but is not reachable now either"
        raise AnsibleActionFail(f"With the new files in place, no new connection to the host succeeded ({why}); {now}.")

    def _forget(self, name: str, task_vars: dict[str, Any]) -> bool:
        """Forget over a new connection what is kept; say whether anything still was."""
        if type(self._connection).reset is not ConnectionBase.reset:  # the others connect again each time
            self._connection.reset()
        answer = self._execute_module(
            module_name="slipway.kit.files", module_args={"forget": name}, task_vars=task_vars
        )
        if answer.get("failed"):
            raise AnsibleConnectionFailure(
                str(answer.get("msg") or answer.get("module_stderr") or "no reason was given")
            )
        return bool(answer.get("forgotten"))

    def _payload(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> str:
        """The set as it travels: its entries, rendered and compressed. Raises ``AnsibleError``."""
        raw = json.dumps(self._items(args, task_vars), ensure_ascii=False).encode("utf-8")
        return base64.b64encode(zlib.compress(raw, 6)).decode("ascii")

    def _items(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the entries, complete and rendered; raises ``AnsibleError`` for all faults of the set at once.

        ``args`` has ``files``, and ``owner``, ``group`` and ``mode`` for entries that name none.
        """
        items: list[dict[str, Any]] = []
        faults: list[str] = []
        for number, entry in enumerate(args["files"]):
            try:
                items.append(self._item(number, entry, args, task_vars))
            except AnsibleError as exc:
                faults.append(f"files[{number}] ({entry.get('src') or entry.get('dest') or '?'}): {exc}")
        seen: dict[str, int] = {}
        for item in items:
            first = seen.setdefault(item["dest"], item["number"])
            if first != item["number"]:
                faults.append(f"files[{item['number']}]: {item['dest']} is files[{first}] already")
        if faults:
            raise AnsibleActionFail("\n".join(faults))
        texts = rendering.signed({item["dest"]: item["text"] for item in items if "text" in item})
        return [{**item, "text": texts[item["dest"]]} if "src" in item else item for item in items]

    def _item(
        self, number: int, entry: Mapping[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Return one entry as the module takes it."""
        unknown = sorted(set(entry) - _KEYS)
        if unknown:
            raise AnsibleError(f"unknown key {', '.join(unknown)}; an entry has {', '.join(sorted(_KEYS))}")
        dest, state = entry.get("dest"), entry.get("state", "file")
        if not isinstance(dest, str) or not re.fullmatch(r"(/[^/\x00]+)+", dest) or {".", ".."} & set(dest.split("/")):
            raise AnsibleError(f"dest must be an absolute path without '..' and trailing slash, not {dest!r}")
        if state not in _STATES:
            raise AnsibleError(f"state must be one of {', '.join(_STATES)}, not {state!r}")
        mode = entry.get("mode", args["mode"])
        if mode is None:
            mode = "0755" if state == "directory" else "0644"
        if not isinstance(mode, str) or not re.fullmatch(r"[0-7]{3,4}", mode):
            raise AnsibleError(f"mode must be a quoted octal number such as '0644', not {mode!r}")
        item: dict[str, Any] = {
            "number": number,
            "dest": str(dest),
            "state": str(state),
            "owner": str(entry.get("owner", args["owner"])),
            "group": str(entry.get("group", args["group"])),
            "mode": str(mode),
            "diff": self._flag(entry, "diff", True),
            "recursive": self._flag(entry, "recursive", False),
            "random": self._flag(entry, "random", False),
        }
        if ("target" in entry) != (state == "link"):
            raise AnsibleError("target belongs to state: link, and to it alone")
        if ("src" in entry) + ("content" in entry) != (state == "file"):
            raise AnsibleError("give src or content, one of the two, for state: file, and neither for any other")
        if state == "link":
            item["target"] = str(entry["target"])
        elif "src" in entry:
            item["src"] = str(entry["src"])
            item["text"] = rendering.render(
                self._templar, task_vars, self._loader, item["src"], item["dest"], entry.get("vars")
            )
            if "about" in entry:
                item["about"] = str(entry["about"])
        elif "content" in entry:
            item["text"] = str(entry["content"])
        return item

    @staticmethod
    def _flag(entry: Mapping[str, Any], key: str, default: bool) -> bool:
        """Return a true or false of the entry; raises ``AnsibleError`` for anything else."""
        value = entry.get(key, default)
        if not isinstance(value, bool):
            raise AnsibleError(f"{key} must be true or false, not {value!r}")
        return value
