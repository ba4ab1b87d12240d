"""Write every artefact of the host into a folder on the controller. No host is contacted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.kit.plugins.module_utils import inventory, placed, programs, rendering
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, resolve
from ansible_collections.slipway.kit.plugins.module_utils.sources import repository, version_label

MASK = "********"
"""In the place of a secret's value."""


class ActionModule(ActionBase):
    """Renders what a common small host would get: cores, memory and interpreter are assumed."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the tree below `dest`, replacing what was there."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _valid, arguments = self.validate_argument_spec(
            argument_spec={"dest": {"type": "path", "required": True}, "secrets": {"type": "bool", "default": False}}
        )
        names = task_vars or {}
        try:
            found = inventory.load(self._templar, names)
            files = dict(self._files(found, names, arguments["secrets"]))
        except resolve.ModelError as exc:
            raise AnsibleActionFail(str(exc)) from exc
        destination = arguments["dest"]
        if not self._task.check_mode:
            shutil.rmtree(destination, ignore_errors=True)
            for path, text in files.items():
                target = os.path.join(destination, path.lstrip("/"))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                # With secrets asked for, the tree is as secret as they are.
                with open(
                    os.open(target, os.O_WRONLY | os.O_CREAT, 0o600 if arguments["secrets"] else 0o644),
                    "w",
                    encoding="utf-8",
                ) as out:
                    out.write(text)
        result.update(changed=False, dest=destination, files=sorted(files))
        return result

    def _files(self, found: Inventory, names: Mapping[str, Any], secrets: bool) -> Iterator[tuple[str, str]]:
        entries = [
            *artefacts.nginx_base(found.settings, found.host),
            *artefacts.nginx_sites(found.settings, found.host, found.apps, {}),
            *(artefacts.systemd() if found.host.systemd else []),
            *(
                artefacts.supervisor("systemd" if found.host.systemd else "init")
                if found.settings.process_manager == "supervisor"
                else []
            ),
        ]
        texts = {
            entry["dest"]: rendering.render(
                self._templar, names, self._loader, entry["src"], entry["dest"], entry.get("vars")
            )
            for entry in entries
            if "src" in entry
        }
        yield from rendering.signed(texts).items()
        for app in found.apps:
            if app.state == "absent":
                continue
            own = found.entry(app.name)
            # The hash in a release's id covers the code and the host's interpreter, which nobody has looked at here.
            version = version_label(repository.label(str(app.source.get("version", "local"))))
            resolved = resolve.for_interface(app, app.interface or "wsgi", own, found.host, found.share)
            resolved = resolve.with_release(resolve.with_venv(resolved, ""), f"{version}-00000000")
            for name, (src, extra) in artefacts.release(resolved).items():
                yield (
                    f"{resolved.release.path}/{name}",
                    rendering.render(self._templar, names, self._loader, src, name, extra),
                )
            for path, text in programs.of_release(artefacts.has_log_reader(resolved)).items():
                yield f"{resolved.release.path}/{path}", text
            hidden = resolve.secrets(own, found.vault(app.name))
            environment = resolve.environment(own, found.vault(app.name), resolved)
            if not secrets:
                environment |= dict.fromkeys(hidden, MASK)
            yield resolved.release.environment, json.dumps(environment, indent=0, sort_keys=True) + "\n"
            yield from self._placed(names, resolved, hidden, secrets)
            yield (
                resolved.release.manifest,
                json.dumps(resolve.manifest(resolved, version, "", "", hidden), indent=2, default=list) + "\n",
            )

    def _placed(
        self, names: Mapping[str, Any], app: resolve.App, hidden: Mapping[str, Any], secrets: bool
    ) -> Iterator[tuple[str, str]]:
        """The files that the inventory has in a release's code, as far as they are text."""
        shown = hidden if secrets else dict.fromkeys(hidden, MASK)
        try:
            contents = placed.contents(self._templar, names, self._loader, app, shown)
        except placed.PlacedError as exc:
            raise resolve.ModelError(f"apps.{app.name}.files.{exc.placed.key} {exc}") from exc
        for one in app.files:
            masked = not secrets and placed.hidden(placed.origin(names, one))
            with contextlib.suppress(UnicodeDecodeError):
                text = contents[one.place].decode().replace(resolve.RELEASE, app.release.id)
                yield f"{app.release.path}/code/{one.place}", f"{MASK}\n" if masked else text
