"""Write every artefact of the host into a folder on the controller. No host is contacted."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.slipway.kit.plugins.module_utils import alone, doors, placed, rendering
from ansible_collections.slipway.kit.plugins.module_utils import inventory as inventories
from ansible_collections.slipway.kit.plugins.module_utils.contract import manifest, names
from ansible_collections.slipway.kit.plugins.module_utils.describing import Describing, Source, interfaces
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, releases
from ansible_collections.slipway.kit.plugins.module_utils.model.managers import PROCESS_MANAGERS
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, ModelError
from ansible_collections.slipway.kit.plugins.module_utils.sources import repository, version_label

MASK = "********"
"""In the place of a secret's value."""


class ActionModule(alone.AloneAction):
    """Renders what a common small host would get (`Host.assumed`)."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the tree below `dest`, replacing what was there."""
        result, arguments = self.begin(
            tmp,
            task_vars,
            {"dest": {"type": "path", "required": True}, "secrets": {"type": "bool", "default": False}},
        )
        self._vars = task_vars or {}
        try:
            inventory = inventories.load(self._templar, self._vars, assume=True)
            files = dict(self._files(inventory, arguments["secrets"]))
        except (ModelError, doors.PagesError) as exc:
            raise AnsibleActionFail(str(exc)) from exc
        destination = arguments["dest"]
        if not self._task.check_mode:
            try:
                _write(destination, files, secret=arguments["secrets"])
            except OSError as exc:
                raise AnsibleActionFail(
                    f"the files cannot be written to {os.path.abspath(destination)}: {exc.strerror}; name another folder by "
                    "-e build=FOLDER"
                ) from exc
        result.update(changed=False, dest=destination, files=sorted(files))
        return result

    def _files(self, inventory: Inventory, secrets: bool) -> Iterator[tuple[str, str]]:
        """Every file, by its path on the host."""
        host, settings = inventory.host, inventory.settings
        entries = [
            *artefacts.nginx_base(settings, host),
            *artefacts.nginx_sites(
                settings, host, inventory.apps, {}, texts=doors.texts(inventory, "" if secrets else MASK)
            ),
            *host.init.nginx,
            *PROCESS_MANAGERS[settings.process_manager].files(host.init),
        ]
        texts = {
            entry["dest"]: rendering.render(
                self._templar, self._vars, self._loader, entry["src"], entry["dest"], entry.get("vars")
            )
            for entry in entries
            if "src" in entry
        }
        yield from rendering.signed(texts).items()
        yield from ((entry["dest"], entry["content"]) for entry in entries if "content" in entry)
        for app in inventory.apps:
            if app.state == "present":
                yield from self._release(inventory, app, secrets)

    def _release(self, inventory: Inventory, app: App, secrets: bool) -> Iterator[tuple[str, str]]:
        """The files of an app's release, as far as they are text."""
        # The hash in a release's id covers the code and the host's interpreter, which the render has not looked at.
        version = version_label(repository.label(str(app.source.get("version", "local"))))
        values = releases.secrets(inventory.entry(app.name), inventory.vault(app.name))
        shown = values if secrets else dict.fromkeys(values, MASK)
        describing = Describing(inventory, self._templar, self._loader, self._vars)
        _id, job = describing.describe(
            app, Source.unseen(version), shown, interfaces(app)[:1], release_id=f"{version}-00000000"
        )
        path = job.manifest.path
        [variant] = job.variants.values()
        for name, text in {**variant.files, **job.programs}.items():
            yield f"{path}/{name}", text
        yield f"{path}/environment.json", job.environment
        for one in app.files:
            masked = not secrets and placed.hidden(placed.origin(self._vars, one))
            with contextlib.suppress(UnicodeDecodeError):
                text = base64.b64decode(job.files[one.place]).decode()
                yield f"{path}/code/{one.place}", f"{MASK}\n" if masked else text
        yield f"{path}/{names.MANIFEST}", manifest.written(job.manifest)


def _write(destination: str, files: Mapping[str, str], secret: bool) -> None:
    """Replace the tree at `destination` by these files, by their path on the host. Raises OSError."""
    shutil.rmtree(destination, ignore_errors=True)
    for path, text in files.items():
        target = os.path.join(destination, path.lstrip("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        # With secrets asked for, the tree is as secret as they are.
        mode = 0o600 if secret else 0o644
        with open(os.open(target, os.O_WRONLY | os.O_CREAT, mode), "w", encoding="utf-8") as out:
            out.write(text)
