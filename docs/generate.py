"""Writes docs/reference.md, the table of the lookup's parts, each role's argument specification and the variables in its README.

`make docs` runs it. With --check it writes nothing and fails if one of them is stale.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.kit.plugins.lookup.resolved import PARTS, hooks_of
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables, schema
from ansible_collections.slipway.kit.plugins.module_utils.model.run_variables import Variable
from ansible_collections.slipway.kit.plugins.module_utils.model.schema import Key

ROOT = Path(__file__).parents[1]
ROLES = {
    "certificates": "Installs the certificates of the sites, gets them from an authority, and lets the host renew them.",
    "host": "Installs the system packages and creates the users and folders of every app.",
    "virtualenv": "Installs uv, which builds the virtualenvs, and makes the host trust the controller's package index.",
    "nginx": "Configures nginx for the apps and starts it.",
    "hardening": "Sets up the firewall, ssh by key, security updates and fail2ban.",
}
"""The roles with settings of the host, each with the description in its argument specification.

Each check of a specification is a task on every host. So variables that only our playbooks pass (`release_hook`,
`gunicorn_releases`) are described in the role's defaults alone.
"""
TYPES = {"size": "raw", "mapping": "dict", "names": "dict", "mappings": "dict", "duration": "raw"}
MARK = "<!-- The rest is generated from the schema and defaults/main.yml by `make docs`. -->\n"
"""Where the generated part of a role's README begins."""
LOOKUP = ROOT / "docs/architecture/controller.md"
PARTS_MARK = "<!-- This table is generated from plugins/lookup/resolved.py by `make docs`. -->\n"
"""Where the table of the lookup's parts begins; it ends before the next heading."""


def default_text(key: Key) -> str:
    """Return the default of a key as the reference shows it."""
    if key.required:
        return "required"
    if key.derived and (key.default is None or key.default == () or key.name == "process_manager"):
        return key.derived
    if key.default is None:
        return "none"
    value = list(key.default) if isinstance(key.default, tuple) else key.default
    return f"`{json.dumps(value)}`" if value not in ("", [], {}) else "none"


def paragraphs(key: Key) -> list[str]:
    """Split the text of a key into paragraphs, each on one line; a list stays a list."""
    blocks = inspect.cleandoc(key.reason).split("\n\n")
    return [block if block.startswith("- ") else " ".join(block.split()) for block in blocks]


def option(key: Key) -> dict[str, Any]:
    """Describe a key as an option of an argument specification."""
    kind = key.type if "|" not in key.type else "raw"
    options: dict[str, Any] = {
        "type": TYPES.get(kind, kind),
        "description": [*paragraphs(key), f"Default: {default_text(key)}."],
    }
    if key.choices:
        options["choices"] = list(key.choices)
    return options


def specification(role: str) -> str:
    """Return the text of a role's meta/argument_specs.yml."""
    options = {key.name: option(key) for key in schema.SETTINGS if key.role == role}
    specs = {"main": {"short_description": ROLES[role], "options": options}}
    body = yaml.dump({"argument_specs": specs}, sort_keys=False, width=110, Dumper=_Dumper, allow_unicode=True)
    return f"---\n# Generated from plugins/module_utils/model/schema.py by `make docs`.\n{body}"


def readme(role: str, text: str) -> str:
    """Return the text of a role's README.md: the part written by hand, then the variables that the role reads."""
    by_hand = text.partition(MARK)[0].rstrip("\n")
    lines = [
        *(
            f"| `{key.name}` | {default_text(key)} | {first_sentence(key)} |"
            for key in schema.SETTINGS
            if key.role == role
        ),
        *(f"| `{name}` | {default} | {reason} |" for name, default, reason in role_defaults(role)),
    ]
    table = (
        ["| variable | default | what it is for |", "|---|---|---|", *lines]
        if lines
        else ["This role reads no variables."]
    )
    return "\n".join([by_hand, "", MARK + "## Variables", "", *table, ""])


def first_sentence(key: Key) -> str:
    """Return the start of a key's text for a table; its section has all of it."""
    sentence = re.split(r"(?<=[.]) ", paragraphs(key)[0])[0].replace("|", "\\|")
    return f"{sentence[:-1]}." if sentence.endswith(":") else sentence


def role_defaults(role: str) -> list[tuple[str, str, str]]:
    """List name, default and text of each of a role's own defaults. The comment above a default is its text."""
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
    """Indents lists as yamllint wants it, and writes no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """A text, in quotes where a user who writes another one like it may need them: 03:30 needs none, and 13:30 would be 810."""
    style = '"' if re.fullmatch(r"[0-9]+:[0-9]+", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


@dataclass(frozen=True)
class Entry:
    """A key in its place below other keys."""

    key: Key
    above: tuple[str, ...] = ()
    """The names of the keys that contain it."""

    @property
    def path(self) -> str:
        """The place of the key, such as `source.git`."""
        return ".".join([*self.above, self.key.name])

    def below(self) -> Iterator[Entry]:
        """List the keys of a mapping, and theirs; keys that several share follow once, after the last."""
        above = (*self.above, self.key.name, *(["<name>"] if self.key.type in ("names", "mappings") else []))
        yield from entries(self.key.keys, above)
        if self.key.entry:
            yield from entries(self.key.entry.keys, (*above, "<name>"))


def entries(keys: tuple[Key, ...], above: tuple[str, ...] = ()) -> Iterator[Entry]:
    """List keys, each with what it contains."""
    shared = {
        first.keys[0].name: first.keys for first, second in pairwise(keys) if first.keys and first.keys is second.keys
    }
    for key in keys:
        entry = Entry(key, above)
        yield entry
        if key.keys not in shared.values():
            yield from entry.below()
    for keys_of_several in shared.values():
        yield from entries(keys_of_several, (*above, "<name>"))


def overview(keys: tuple[Key, ...]) -> list[str]:
    """A table of keys with links to their sections."""
    rows = [f"| [`{key.name}`](#{key.name}) | {default_text(key)} | {first_sentence(key)} |" for key in keys]
    return ["| key | default | what it is for |", "|---|---|---|", *rows]


def section(entry: Entry) -> list[str]:
    """Describe one key: a heading, its type and default, its text and an example."""
    key = entry.key
    kind = (
        key.type.replace("float|duration", "duration")
        .replace("|", " or ")
        .replace("names", "mapping")
        .replace("entries", "mapping")
    )
    facts = f"{kind}, in {key.unit}" if key.unit else kind
    if key.choices:
        facts += ": " + ", ".join(f"`{choice}`" for choice in key.choices)
    level = "####" if entry.above else "###"
    lines = [f"{level} `{entry.path}`", "", f"*Type:* {facts}  ", f"*Default:* {default_text(key)}", ""]
    lines += [inspect.cleandoc(key.reason), ""]
    if key.example not in (None, key.default):
        value: Any = {key.name: key.example}
        for name in reversed(entry.above):
            value = {name: value}
        example = yaml.dump(value, sort_keys=False, Dumper=_Dumper, allow_unicode=True, width=110)
        lines += ["```yaml", example.rstrip("\n"), "```", ""]
    return lines


def reference() -> str:
    """Return the text of docs/reference.md."""
    return "\n".join(
        [
            "<!-- Generated from plugins/module_utils/model/schema.py by `make docs`. -->",
            "# Reference",
            "",
            "[example-apps.yml](example-apps.yml) shows every key in its place. A key that is not here is refused.",
            "",
            "- [An app](#an-app)",
            "- [The secrets of an app](#the-secrets-of-an-app)",
            "- [A host](#a-host)",
            "- [For one run, with -e](#for-one-run-with--e)",
            "- [In the environment](#in-the-environment)",
            "",
            "## An app",
            "",
            "An app is an entry of `apps`. Its name is also a user, a group and a folder on the host. It has 1 to 31",
            "lower-case letters, digits and hyphens, and begins with a letter. The examples show the keys of an app.",
            "",
            "A duration is a number of seconds, or a text with a unit: `90` and `90s` are the same, and so are `600` and `10m`. The",
            "units are `s`, `m`, `h` and `d`: seconds, minutes, hours and days.",
            "",
            *overview(schema.APP),
            "",
            *(line for entry in entries(schema.APP) for line in section(entry)),
            "## The secrets of an app",
            "",
            f"`vault_apps.<name>` may have {names(schema.SECRETS)}, which is merged with the app of the same name. So",
            "you can encrypt a whole file with ansible-vault.",
            "",
            "## A host",
            "",
            "Set these in `group_vars`, `host_vars` or with `-e`.",
            "",
            *overview(schema.SETTINGS),
            "",
            *(line for entry in entries(schema.SETTINGS) for line in section(entry)),
            "## For one run, with -e",
            "",
            "A name that is nearly one of these is refused. You can also set a host's settings, above, this way.",
            "",
            "A duration without a unit is in seconds: `-e time_limit=90` is `90s`. `m` is minutes, `h` hours, `d` days. The",
            "durations of settings and keys are written the same way: `request_timeout: 3` is `3s`. Keys of an app belong in the",
            "inventory: no app reads a variable of that name.",
            "",
            "A run warns of such a key, and of a variable that only other playbooks read. A template of the inventory may use both.",
            "",
            *run_table(run_variables.VARIABLES),
            "",
            "## In the environment",
            "",
            *run_table(run_variables.ENVIRONMENT),
            "",
        ]
    )


def names(keys: tuple[Key, ...]) -> str:
    """Join the names of keys for a sentence."""
    return " and ".join(f"`{key.name}`" for key in keys)


def run_table(variables: Sequence[Variable]) -> list[str]:
    """Write the table of variables for one run."""
    rows = []
    for variable in variables:
        choices = f" One of {', '.join(f'`{choice}`' for choice in variable.choices)}." if variable.choices else ""
        rows.append(f"| `{variable.name}` | {variable.reader} | {variable.default} | {variable.reason}{choices} |")
    return ["| variable | read by | default | what it is for |", "|---|---|---|---|", *rows]


def lookup_parts(text: str) -> str:
    """Return the text of the page with the table of the lookup's parts."""
    before, _, rest = text.partition(PARTS_MARK)
    rows = [
        f"| `{name}` | {inspect.getdoc(derive)} |"
        for name, derive in sorted(PARTS.items())
        if not name.startswith("hooks/")
    ]
    hooks = ", ".join(f"`{key.name}`" for key in schema.HOOKS)
    rows.append(f"| `hooks/<name>` | {inspect.getdoc(hooks_of)} Names: {hooks}. |")
    table = "\n".join(["", "| part | what it returns |", "|---|---|", *rows, "", ""])
    return f"{before}{PARTS_MARK}{table}{rest[rest.index('## ') :]}"


def main() -> int:
    """Write, or with --check compare, every generated file.

    Returns:
        The exit status.
    """
    files = {ROOT / "docs/reference.md": reference()}
    files |= {ROOT / f"roles/{role}/meta/argument_specs.yml": specification(role) for role in ROLES}
    for path in sorted(ROOT.glob("roles/*/README.md")):
        files[path] = readme(path.parent.name, path.read_text(encoding="utf-8"))
    files[LOOKUP] = lookup_parts(LOOKUP.read_text(encoding="utf-8"))
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
