"""Writes docs/reference.md and the meta/argument_specs.yml of roles that take options from the schema: `make docs`.

With --check, writes nothing and fails when one of them is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.kit.plugins.module_utils.model import schema
from ansible_collections.slipway.kit.plugins.module_utils.model.schema import Key

ROOT = Path(__file__).parents[1]
SERVICE = yaml.safe_load((ROOT / "roles/audit/defaults/main.yml").read_text(encoding="utf-8"))["audit_service"]
ROLES = {
    "preflight": ("Check the inventory of every host and fetch every source, before any host is touched.", ("main",)),
    "host": (
        "Look at the host; install the system's packages; make the users and folders of every app.",
        ("main", "facts"),
    ),
    "virtualenv": (
        "Install uv, which builds the virtualenvs, and trust the package index as the controller does.",
        ("main",),
    ),
    "nginx": ("Configure and run nginx.", ("main",)),
    "lock": ("Let one run at a time change the host.", ("main",)),
    "remove": ("Take apps off the host.", ("main",)),
    "releases": ("Show the releases of every app.", ("main",)),
    "ssh": ("Let people in by key alone, where this run comes in so; `facts` finds that out.", ("main", "facts")),
    "firewall": ("Let nobody in but to ssh, to the apps and where the inventory says.", ("main",)),
    "updates": ("Install security updates every day.", ("main",)),
    "fail2ban": ("Keep away who guesses passwords, looks for holes or exceeds nginx's limits.", ("main",)),
    "audit": ("Say which known vulnerabilities the current releases have.", ("main",)),
}
"""Roles that users give options, with their entry points: each check of one is a task on every host, so what only our
playbooks give (`hooks_point`, `activate_leaving`) is described in the role's defaults and not checked again."""
TYPES = {"size": "raw", "mapping": "dict", "names": "dict"}
EXTRA: Mapping[str, Mapping[str, Any]] = {
    "preflight": {
        "preflight_fetch": {"type": "bool", "default": True, "description": "Whether the sources are fetched."}
    },
    "host": {
        "host_packages": {
            "type": "list",
            "elements": "str",
            "description": "The system's packages that must be there. Default: those that the kit and the apps need.",
        }
    },
    "lock": {
        "lock_purpose": {"type": "str", "default": "deploy", "description": "What the run is for."},
        "lock_wait": {"type": "int", "default": 0, "description": "How long to wait for another run, in seconds."},
    },
    "releases": {
        "releases_format": {
            "type": "str",
            "default": "table",
            "choices": ["table", "json"],
            "description": "How they are shown.",
        }
    },
    "audit": {
        "audit_format": {
            "type": "str",
            "default": "table",
            "choices": ["table", "json"],
            "description": "How the report is shown.",
        },
        "audit_service": {
            "type": "str",
            "default": SERVICE,
            "description": "The vulnerability service, which speaks as OSV does.",
        },
    },
    "remove": {
        "purge": {"type": "bool", "default": False, "description": "Whether shared data, logs and the user go too."}
    },
}


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
    """The text of a role's meta/argument_specs.yml.

    preflight has no options there: what is wrong with a variable, the role itself says, with its place and remedy.
    """
    description, entries = ROLES[role]
    options: dict[str, Any] = {key.name: option(key) for key in schema.SETTINGS if key.role == role}
    options |= EXTRA.get(role, {})
    specs: Mapping[str, Any] = {entry: {"short_description": description, "options": options} for entry in entries}
    body = yaml.dump({"argument_specs": specs}, sort_keys=False, width=130, Dumper=_Dumper, allow_unicode=True)
    return f"---\n# Generated from plugins/module_utils/model/schema.py by `make docs`.\n{body}"


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
            "| variable | what it is for |",
            "|---|---|",
            "| `app` | The apps that this run is about: one name or several, with commas. Default: all. |",
            "| `redeploy` | `true` deploys a release again that was marked bad on the host. |",
            "| `lock_wait` | How long to wait for another run on the same host, in seconds. Default: 0. |",
            "| `release` | With `rollback.yml`: the release to go back to, instead of the last good one. |",
            "| `format` | With `releases.yml` and `audit.yml`: `json` for machines. |",
            f"| `audit_service` | With `audit.yml`: another vulnerability service than `{SERVICE}`. |",
            "| `purge` | With `remove.yml`: `true` removes shared data, logs and the user too. |",
            "",
        ]
    )


def main() -> int:
    """Write, or with --check compare, every generated file; returns the exit status."""
    files = {ROOT / "docs/reference.md": reference()}
    files |= {ROOT / f"roles/{role}/meta/argument_specs.yml": specification(role) for role in ROLES}
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
