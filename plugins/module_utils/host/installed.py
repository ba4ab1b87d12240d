"""What is really installed in the virtualenv of an app's current release."""

from __future__ import annotations

import glob
import importlib.metadata
import os
from typing import Any

from . import releases
from .manifest import app_name, release_path


def installed(root: str) -> dict[str, Any] | None:
    """The current release of an app and its distributions, by their own metadata; None without such a release.

    Nothing of the app is run: the metadata are files.
    """
    app, release = app_name(root), releases.current(root)
    if release is None:
        return None
    folders = glob.glob(os.path.join(release_path(root, release), "venv/lib/python*/site-packages"))
    found = {
        (distribution.metadata["Name"], distribution.version)
        for distribution in importlib.metadata.distributions(path=folders)
        if distribution.metadata["Name"]  # what a broken installation left has none
    }
    packages = [{"name": name, "version": version} for name, version in sorted(found)]
    return {"app": app, "release": release, "packages": packages}
