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
    "nginx_ports": {"type": "list", "elements": "int", "required": True},
    "tools": {"type": "dict", "required": True},
}
