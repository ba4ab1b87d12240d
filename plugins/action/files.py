"""Render every template of a set on the controller, then place them all in one round trip."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.module_utils import rendering

_STATES = ("file", "directory", "link", "absent")
_KEYS = {"src", "content", "dest", "target", "owner", "group", "mode", "state", "vars", "diff", "recursive"}


class ActionModule(ActionBase):
    """The files action: checks and renders the set here; the module of the same name places it."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; returns the module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(
            argument_spec={
                "files": {"type": "list", "elements": "dict"},
                "owner": {"type": "str", "default": "root"},
                "group": {"type": "str", "default": "root"},
                "mode": {"type": "raw"},
                "validate": {"type": "list", "elements": "str", "default": []},
                "keep_undo": {"type": "str"},
                "restore": {"type": "str"},
                "forget": {"type": "str"},
            },
            mutually_exclusive=[("files", "restore", "forget")],
            required_one_of=[("files", "restore", "forget")],
        )
        if args["files"] is None:
            call = {key: args[key] for key in ("restore", "forget") if args[key]}
        else:
            items = self._items(args, task_vars or {})
            raw = json.dumps(items, ensure_ascii=False).encode("utf-8")
            call = {
                "payload": base64.b64encode(zlib.compress(raw, 6)).decode("ascii"),
                "validate": args["validate"],
                "keep_undo": args["keep_undo"],
            }
        result.update(self._execute_module(module_name="slipway.kit.files", module_args=call, task_vars=task_vars))
        return result

    def _items(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the entries, complete and rendered; raises ``AnsibleError`` for all faults of the set at once."""
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
        return items

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
