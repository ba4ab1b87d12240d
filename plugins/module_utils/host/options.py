"""What several of the host's modules take."""

from __future__ import annotations

from typing import Any

#: The apps of a call, each with its release.
APPS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {"root": {"type": "path", "required": True}, "release": {"type": "str", "required": True}},
}

#: What to look at of a host: the arguments of `facts.collect`.
LOOK: dict[str, Any] = {
    "apps": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"name": {"type": "str", "required": True}, "root": {"type": "path", "required": True}},
    },
    "packages": {"type": "list", "elements": "str", "required": True},
    "nginx_port": {"type": "int", "required": True},
    "tools": {"type": "dict", "required": True},
}

#: What `facts.collect` answers, as plugins/module_utils/answers.py reads it: these become variables of templates.
FACTS: dict[str, Any] = {
    "cores": "count",
    "memory": "count",
    "systemd": "bool",
    "ipv6": "bool",
    "packages_missing": ["package"],
    "tools": {"<word>": "bool"},
    "supervisor_running": "bool",
    "apps": {
        "<app>": {
            "current?": "release",
            "releases": {
                "<release>": {
                    "code?": "word",
                    "build?": "word",
                    "placed?": ["line"],
                    "bad?": "text",
                    "activated?": "word",
                    "previous?": "release",
                    "migrated?": "word",
                    "complete": "bool",
                }
            },
        }
    },
    "deployed": ["app"],
    "drifted": ["line"],
    "users": ["account"],
    "pythons": {"<path>": "word"},
    "nginx": {
        "installed": "bool",
        "user": "account",
        "group": "account",
        "main_conf": "word",
        "distro_conf?": "file",
        "running": "bool",
        "port_taken?": {"program": "line", "pid": "count"},
        "default_server?": "path",
        "welcome_page?": "path",
        "nameless_server?": "path",
        "sites": {"<path>": ["app"]},
    },
}
