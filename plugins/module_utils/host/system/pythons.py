"""Which Python interpreters a host has."""

from __future__ import annotations

import glob
import os
import re
import sys

from .reading import Started, at

PYTHONS = ("/usr/bin", "/usr/local/bin")
"""Where interpreters for apps are looked for: folders that every user may enter, unlike a pyenv in someone's home."""


class Versions:
    """The Python interpreters and their versions; one process for each distinct one but the one running this."""

    def __init__(self, root: str) -> None:
        self.paths: dict[str, str] = {}  # name -> what it leads to
        for folder in PYTHONS:
            for path in sorted(glob.glob(at(root, folder) + "/python3*")):
                real = os.path.realpath(path)
                usable = re.fullmatch(r"python3(\.\d+)?", os.path.basename(path)) and os.access(path, os.X_OK)
                if usable and "/.pyenv/" not in real and "/shims/" not in real:
                    self.paths[f"{folder}/{os.path.basename(path)}"] = real
        interpreter = os.path.realpath(sys.executable)
        self.known = {interpreter: sys.version.split()[0]}  # what platform.python_version() says, which is slow to load
        script = "import platform; print(platform.python_version())"
        self.running = {
            real: Started([real, "-I", "-S", "-c", script]) for real in set(self.paths.values()) if real != interpreter
        }

    def result(self) -> dict[str, str]:
        """Return the version of every path; one that does not run is left out."""
        for real, process in self.running.items():
            self.known[real] = process.output().strip()
        return {path: self.known[real] for path, real in self.paths.items() if self.known[real]}
