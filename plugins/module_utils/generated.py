"""Generates secrets: `SECRET_KEY: {generate: 50}` is generated once and kept next to the inventory.

`<inventory>/.generated/<app>.yml` holds them. Only its owner can read it, and git ignores it. The folder begins with a
dot, since Ansible would read any other folder next to an inventory as another inventory.
"""

from __future__ import annotations

import os
import re
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
"""The value of a secret that does not exist yet, for rendering and check mode, which generate none."""
NOT_A_VALUE = "the entry of a secret that the kit generates instead of its value, which no other key can use"
"""What is wrong with a text in which such an entry was rendered, as a part of a sentence."""
_ENTRY = re.compile(r"\{'generate': ?[0-9]+\}")
HEAD = "---\n# Made by Slipway. To rotate a secret, delete its line and deploy.\n"


def make(variables: Mapping[str, Any], base: Path) -> None:
    """Generate the secrets of the validated inventory that do not exist yet.

    Raises:
        AnsibleError: They cannot be kept.
    """
    for name, entry in (variables.get("apps") or {}).items():
        # As a plain str: Ansible's own type carries its origin.
        wanted = {str(key): value["generate"] for _holder, key, value in _asked(variables, name)}
        if wanted and entry.get("state") != "absent":
            try:
                _make(wanted, base, name)
            except locks.Held as exc:
                raise AnsibleError(f"Another run generates the secrets of {name}: {exc}") from exc
            except OSError as exc:
                raise AnsibleError(f"the secrets of {name} cannot be kept in {base / FOLDER}: {exc.strerror}") from exc


def _make(wanted: Mapping[str, int], base: Path, app: str) -> None:
    folder = base / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with locks.hold(str(folder / ".lock")):  # two runs at once must not generate two
        (folder / ".gitignore").write_text("*\n")
        existing = read(base, app)
        new = {key: _random(length) for key, length in wanted.items() if key not in existing}
        if new:
            _write(folder / f"{app}.yml", {**existing, **new})


def fill(variables: dict[str, Any], base: Path) -> None:
    """Replace each `{generate: …}` by its value."""
    for name in variables.get("apps") or {}:
        asked = list(_asked(variables, name))
        existing = read(base, name) if asked else {}
        for holder, key, _value in asked:
            holder[key] = existing.get(key, UNMADE)


def named_by(template: str, rendered: Any) -> bool:
    """Whether a template has rendered the entry `{generate: …}` of a secret, which its value has not replaced yet.

    An entry that is its own variable is intended: `KEY: "{{ long_secret }}"`.
    """
    if isinstance(rendered, Mapping):
        return set(rendered) == {"generate"} and "secrets" in template
    return isinstance(rendered, str) and rendered != template and bool(_ENTRY.search(rendered))


def read(base: Path, app: str) -> dict[str, str]:
    """Read the generated secrets of an app.

    Raises:
        AnsibleError: The file is damaged. The message quotes nothing of it.
    """
    path = base / FOLDER / f"{app}.yml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise AnsibleError(
            f"{path} cannot be read ({type(exc).__name__}); repair it, or delete it for new secrets"
        ) from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise AnsibleError(f"{path} must hold names with texts in quotes; repair it, or delete it for new secrets")
    return values


def _asked(variables: Mapping[str, Any], app: str) -> Iterator[tuple[dict[str, Any], str, Mapping[str, Any]]]:
    """List the generated secrets in an app's inventory: the mapping, the name in it, and the value there."""
    for variable in ("apps", "vault_apps"):
        holder = ((variables.get(variable) or {}).get(app) or {}).get("secrets") or {}
        for key, value in list(holder.items()):
            if isinstance(value, Mapping):
                yield holder, key, value


def _random(length: int) -> str:
    """Return random letters and digits: six bits each, and safe in files, shells and URLs."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def _write(path: Path, values: Mapping[str, str]) -> None:
    temporary = path.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(HEAD + yaml.safe_dump(dict(values), default_style='"', width=4096))
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(path)
