"""Lets Python keep bytecode of all modules of the kit on the controller.

Ansible's importer of collections compiles every module again at each start. That was a tenth of a run that changes nothing.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules and packages below this one as Python finds those of any other package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what Python's own loader loads; None leaves the rest, such as folders without a file, to Ansible."""
        if path is None or not fullname.startswith(f"{__name__}."):
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname)
            if spec and spec.loader:
                return spec
        return None


# Without Ansible, in tests and tools, Python itself imports the modules.
if type(__spec__.loader).__module__.startswith("ansible."):
    sys.meta_path.insert(0, Finder())
