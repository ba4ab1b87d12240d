"""What is in a virtualenv, and what the operator should know of that."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from ...contract.manifest import Manifest
from ..base import atomic
from ..system.installed import distributions
from . import advice, installing
from .virtualenv import COMPLETE

ONE_PROCESS = ("flask-socketio", "python-socketio", "python-engineio", "nicegui", "gradio", "streamlit")
"""Distributions that keep a client's session in the process that began it."""
LOSES_STREAMS = ((25, 2, 0), (27, 0, 1))
"""The first and the last gunicorn whose ASGI worker was seen to give up a stream (measured, 25.0.3 to 27.0.1)."""


def packages(venv: str) -> dict[str, str]:
    """The distributions in a complete virtualenv, normalised name to version: as noted when it was made, or as they are."""
    noted = (atomic.read_json(f"{venv}/{COMPLETE}") or {}).get("packages")
    return {installing.name(name): version for name, version in noted or distributions(venv)}


def warnings(manifest: Manifest, installed: Mapping[str, str]) -> list[str]:
    """What the operator should know of how this release is served, given the distributions in its virtualenv."""
    notes = []
    sessions = [name for name in ONE_PROCESS if name in installed]
    if sessions and manifest.workers > 1:
        notes.append(
            f"{sessions[0]} keeps a client's session in one process, but the app has {manifest.workers} workers. "
            "A request that reaches another one may find no session. Set `workers: 1`, unless the app uses only websockets "
            "or shares its sessions by a message queue"
        )
    if (
        manifest.worker_class == "asgi"
        and LOSES_STREAMS[0] <= _version(installed.get("gunicorn", "")) <= LOSES_STREAMS[1]
    ):
        notes.append(
            f"`worker_class: asgi` of gunicorn {installed['gunicorn']} ends a streamed answer silently once the app has "
            "asked whether its client is still connected. Leave `worker_class` out, for uvicorn"
        )
    notes.append(advice.unproved(installed.get("gunicorn", ""), manifest.worker_class))
    notes.append(advice.slower(installed, manifest.worker_class))
    notes.append(advice.websockets(installed, manifest.worker_class, manifest.threads, manifest.workers))
    return [note for note in notes if note]


def _version(text: str) -> tuple[int, ...]:
    """The numbers in front of a version."""
    numbers = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part[:9]) for part in numbers[0].split(".")) if numbers else ()


def sbom(manifest: Manifest, installed: Mapping[str, str]) -> dict[str, Any]:
    """What a release consists of besides its own code: every distribution in its virtualenv, as CycloneDX 1.5.

    Without a time or a random number in it: the same virtualenv gives the same text.
    """

    def component(name: str, version: str) -> dict[str, str]:
        purl = f"pkg:pypi/{name}@{urllib.parse.quote(version, safe='')}"
        return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}

    application = {
        "type": "application",
        "bom-ref": f"{manifest.app}@{manifest.release_id}",
        "name": manifest.app,
        "version": manifest.release_id,
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": application},
        "components": [component(*pair) for pair in sorted(installed.items())],
    }
