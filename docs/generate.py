"""Writes docs/reference.md, and of each role its argument specification and the variables in its README: `make docs`.

With --check, writes nothing and fails when one of them is stale.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables, schema
from ansible_collections.slipway.kit.plugins.module_utils.model.run_variables import Variable
from ansible_collections.slipway.kit.plugins.module_utils.model.schema import Key

ROOT = Path(__file__).parents[1]
ROLES = {
    "host": "Installs the system packages and creates the users and folders of every app.",
    "virtualenv": "Installs uv, which builds the virtualenvs, and makes the host trust the controller's package index.",
    "nginx": "Configures nginx for the apps and starts it.",
    "hardening": "Sets up the firewall, ssh by key, security updates and fail2ban.",
}
"""Roles with settings of the host: what their argument specification says of them. Each check of a specification is a task on
every host, so what only our playbooks give (`release_hook`, `gunicorn_releases`) is described in the role's defaults alone."""
TYPES = {"size": "raw", "mapping": "dict", "names": "dict"}
MARK = "<!-- The rest is generated from the schema and defaults/main.yml by `make docs`. -->\n"
"""Where the generated part of a role's README begins."""


def default_text(key: Key) -> str:
    """The default of a key, as the reference shows it."""
    if key.required:
        return "required"
    if key.derived and (key.default is None or key.default == () or key.name == "process_manager"):
        return key.derived
    if key.default is None:
        return "none"
    value = list(key.default) if isinstance(key.default, tuple) else key.default
    return f"`{json.dumps(value)}`" if value not in ("", [], {}) else "none"


def option(key: Key) -> dict[str, Any]:
    """A key as an option of an argument specification."""
    kind = key.type if "|" not in key.type else "raw"
    found: dict[str, Any] = {
        "type": TYPES.get(kind, kind),
        "description": f"{key.reason} Default: {default_text(key)}.",
    }
    if key.choices:
        found["choices"] = list(key.choices)
    return found


def specification(role: str) -> str:
    """The text of a role's meta/argument_specs.yml."""
    options = {key.name: option(key) for key in schema.SETTINGS if key.role == role}
    specs = {"main": {"short_description": ROLES[role], "options": options}}
    body = yaml.dump({"argument_specs": specs}, sort_keys=False, width=130, Dumper=_Dumper, allow_unicode=True)
    return f"---\n# Generated from plugins/module_utils/model/schema.py by `make docs`.\n{body}"


def readme(role: str, text: str) -> str:
    """The text of a role's README.md: what is written by hand, and the variables that the role reads."""
    by_hand = text.partition(MARK)[0].rstrip("\n")
    lines = [
        *(
            f"| `{key.name}` | {default_text(key)} | {first_sentence(key.reason)} |"
            for key in schema.SETTINGS
            if key.role == role
        ),
        *(f"| `{name}` | {default} | {reason} |" for name, default, reason in role_defaults(role)),
    ]
    table = (
        ["| variable | default | what it is for |", "|---|---|---|", *lines]
        if lines
        else ["It reads no variable of its own."]
    )
    return "\n".join([by_hand, "", MARK + "## Variables", "", *table, ""])


def first_sentence(text: str) -> str:
    """What a table of a role shows of a reason; the reference has all of it."""
    return re.split(r"(?<=[.]) ", text)[0].replace("|", "\\|")


def role_defaults(role: str) -> list[tuple[str, str, str]]:
    """Name, default and reason of each of a role's own defaults: the comment above it is its documentation."""
    path = ROOT / f"roles/{role}/defaults/main.yml"
    rows, comment = [], ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith("# "):
            comment = f"{comment} {line.removeprefix('# ')}".strip()
        elif variable := re.fullmatch(r"([a-z_]+): *(.*)", line):
            default = variable[2].removeprefix('"{{ ').removesuffix(' }}"').replace("|", "\\|")
            rows.append((variable[1], "none" if default == '""' else f"`{default}`", comment))
            comment = ""
    return rows


class _Dumper(yaml.SafeDumper):
    """Indents lists as yamllint likes it, and writes no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rows(keys: tuple[Key, ...], prefix: str = "") -> list[str]:
    """Reference rows of keys, nested ones after their parent."""
    lines = []
    for key in keys:
        kind = key.type.replace("|", " or ").replace("names", "mapping")
        facts = f"{kind}, in {key.unit}" if key.unit else kind
        if key.choices:
            facts += ": " + ", ".join(f"`{choice}`" for choice in key.choices)
        lines.append(f"| `{prefix}{key.name}` | {facts} | {default_text(key)} | {key.reason} |".replace("\n", " "))
        lines += rows(key.keys, f"{prefix}{key.name}.<name>." if key.type == "names" else f"{prefix}{key.name}.")
    return lines


def reference() -> str:
    """The text of docs/reference.md."""
    head = ["| key | type | default | what it is for |", "|---|---|---|---|"]
    return "\n".join(
        [
            "<!-- Generated from plugins/module_utils/model/schema.py by `make docs`. -->",
            "# Reference",
            "",
            "[example-apps.yml](example-apps.yml) shows every key in its place. A key that is not here is refused.",
            "",
            "## An app: `apps.<name>`",
            "",
            "The name is a user, a group and a folder on the host: 1 to 31 lower-case letters, digits and hyphens, a letter first.",
            "",
            *head,
            *rows(schema.APP),
            "",
            "## Its secrets: `vault_apps.<name>`",
            "",
            "Kept apart, so that a whole file can be encrypted with ansible-vault; merged with the app of the same name.",
            "",
            *head,
            *rows(schema.SECRETS),
            "",
            "## A host",
            "",
            "Set in `group_vars`, `host_vars` or with `-e`.",
            "",
            *head,
            *rows(schema.SETTINGS),
            "",
            "## For one run, with `-e`",
            "",
            "A name that is nearly one of these is refused. A host's settings, above, can be given so, too.",
            "",
            *run_table(run_variables.VARIABLES),
            "",
            "## In the environment",
            "",
            *run_table(run_variables.ENVIRONMENT),
            "",
        ]
    )


def run_table(variables: Sequence[Variable]) -> list[str]:
    """The rows of a table of variables for one run."""
    rows = []
    for variable in variables:
        choices = f" One of {', '.join(f'`{choice}`' for choice in variable.choices)}." if variable.choices else ""
        rows.append(f"| `{variable.name}` | {variable.reader} | {variable.default} | {variable.reason}{choices} |")
    return ["| variable | read by | default | what it is for |", "|---|---|---|---|", *rows]


def main() -> int:
    """Write, or with --check compare, every generated file; returns the exit status."""
    files = {ROOT / "docs/reference.md": reference()}
    files |= {ROOT / f"roles/{role}/meta/argument_specs.yml": specification(role) for role in ROLES}
    for path in sorted(ROOT.glob("roles/*/README.md")):
        files[path] = readme(path.parent.name, path.read_text(encoding="utf-8"))
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs`")
        return bool(stale)
    for path in stale:
        path.write_text(files[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
