"""Secrets that nobody has to think of: `SECRET_KEY: {generate: 50}` is made once, and kept beside the inventory.

`<inventory>/.generated/<app>.yml` holds them, for its owner alone and hidden from git. The folder begins with a dot
because Ansible takes what else it finds beside an inventory for one more inventory.
"""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible_collections.slipway.kit.plugins.module_utils.host.base import locks

FOLDER = ".generated"
UNMADE = "(made by the first deploy)"
"""Stands for a secret that was not made yet, where none may be made: rendering and looking ahead."""
HEAD = "---\n# Made by Slipway. To rotate a secret, delete its line and deploy.\n"


def make(variables: Mapping[str, Any], base: Path) -> None:
    """Make those of the (validated) inventory's secrets that are not there yet. Raises AnsibleError."""
    for name, entry in (variables.get("apps") or {}).items():
        # As plain text: Ansible's own carries its origin.
        wanted = {str(key): value["generate"] for _holder, key, value in _asked(variables, name)}
        if wanted and entry.get("state") != "absent":
            try:
                _make(wanted, base, name)
            except locks.Held as exc:
                raise AnsibleError(f"Another run makes the secrets of {name}: {exc}") from exc
            except OSError as exc:
                raise AnsibleError(f"the secrets of {name} cannot be kept in {base / FOLDER}: {exc.strerror}") from exc


def _make(wanted: Mapping[str, int], base: Path, app: str) -> None:
    folder = base / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with locks.hold(str(folder / ".lock")):  # two runs at once must not make two
        (folder / ".gitignore").write_text("*\n")
        there = read(base, app)
        made = {key: _random(length) for key, length in wanted.items() if key not in there}
        if made:
            _write(folder / f"{app}.yml", {**there, **made})


def fill(variables: dict[str, Any], base: Path) -> None:
    """Put the values in the places of `{generate: …}`."""
    for name in variables.get("apps") or {}:
        asked = list(_asked(variables, name))
        there = read(base, name) if asked else {}
        for holder, key, _value in asked:
            holder[key] = there.get(key, UNMADE)


def read(base: Path, app: str) -> dict[str, str]:
    """The generated secrets of an app. Raises AnsibleError, which quotes nothing of the file."""
    path = base / FOLDER / f"{app}.yml"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise AnsibleError(
            f"{path} cannot be read ({type(exc).__name__}); mend it, or delete it for new secrets"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise AnsibleError(f"{path} must hold names with texts in quotes; mend it, or delete it for new secrets")
    return found


def _asked(variables: Mapping[str, Any], app: str) -> Iterator[tuple[dict[str, Any], str, Mapping[str, Any]]]:
    """Where the app's inventory asks for a generated secret: the mapping, the name in it, and what is asked for."""
    for variable in ("apps", "vault_apps"):
        holder = ((variables.get(variable) or {}).get(app) or {}).get("secrets") or {}
        for key, value in list(holder.items()):
            if isinstance(value, Mapping):
                yield holder, key, value


def _random(length: int) -> str:
    """Letters and digits alone: six bits each, and no file, shell or URL minds one of them."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def _write(path: Path, values: Mapping[str, str]) -> None:
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(HEAD + yaml.safe_dump(dict(values), default_style='"', width=4096))
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(path)
