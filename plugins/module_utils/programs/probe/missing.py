"""A module that cannot be imported: whose it is, and what to do."""

from __future__ import annotations

import difflib
import os
import sys

from .distributions import DISTRIBUTIONS, OWN_NAMES, named
from .faults import Fault
from .target import Target, bound_names, quoted

# Modules that Python itself used to bring (PEP 594, PEP 632), and what brings them now.
REMOVED = {
    "asynchat": "pyasynchat",
    "asyncore": "pyasyncore",
    "cgi": "legacy-cgi",
    "crypt": "legacycrypt",
    "distutils": "setuptools",
    "imp": "",
    "telnetlib": "telnetlib3",
}
MADE = "what no source has is made by the app's `build` or placed by its `files`"
"""Where a module of the app's own may come from."""


def missing_module(target: Target, name: str, place: str, detail: str) -> Fault | None:
    """Explain a ModuleNotFoundError for NAME; None when it is just another error of the app's."""
    if name == target.module or target.module.startswith(name + "."):
        return no_module(target, name)
    top = name.partition(".")[0]
    if target.has(top):
        near = difflib.get_close_matches(name, target.modules, 1, 0.75)
        hint = f"did you mean {near[0]}?" if near else f"there is: {quoted(target.modules)}; {MADE}"
        return Fault("import-error", f"{place} imports {name}, which is not in the app's code", hint, detail)
    place_of = target.elsewhere(top)
    if place_of is not None:
        return _elsewhere(target, name, place_of, place, detail)
    if top in REMOVED:
        version = ".".join(map(str, sys.version_info[:2]))
        package = REMOVED[top]
        hint = f"add {package} to {target.dependencies}, or " if package else ""
        return Fault(
            "missing-dependency",
            f"{place} imports {name}, which Python {version} no longer brings",
            f"{hint}choose an older Python with the app's `python`",
            detail,
        )
    installed = sys.modules.get(top)
    if name != top and installed is not None and getattr(installed, "__file__", None):
        return Fault(
            "import-error",
            f"{place} imports {name}, which the installed version of {top} does not have",
            f"pin a version of {top} that has it, or import from where it is now",
            detail,
        )
    if OWN_NAMES.fullmatch(top):
        return Fault(
            "import-error",
            f"{place} imports {name}, which is neither in the app's code nor installed",
            "if it is the app's own, check whether git ignores it, and whether `source.folder` is the folder that it is "
            f"imported from; {MADE}. If a package brings it, add that to {target.dependencies}",
            detail,
        )
    package = DISTRIBUTIONS.get(top, "")
    called = f" (the package is called {package})" if package else ""
    return Fault(
        "missing-dependency",
        f"{place} imports {name}, which is not installed{called}",
        f"add {named(top)} to {target.dependencies}, and deploy again",
        detail,
    )


def _elsewhere(target: Target, name: str, folder: str, place: str, detail: str) -> Fault:
    """Explain a module that is the app's own, in another folder than the one that it is imported from."""
    message = f"{place} imports {name}, which is in the source's folder {folder}, from where nothing is imported"
    inside = os.path.relpath(os.path.join(target.tree, folder), target.code)
    if target.packaged(folder):
        dotted = ".".join([*inside.split(os.sep), name])
        return Fault("import-error", message, f"import it as {dotted}", detail)
    if inside.startswith(".."):
        hint = (
            f"name it in the requirements of the app, as {inside}, if it is a project; else leave out `source.folder`"
        )
        return Fault("import-error", message, hint, detail)
    module = target.text
    prefix = inside.replace(os.sep, ".") + "."
    if module.startswith(prefix):
        module = module[len(prefix) :]
    also = f" and `module: {module}`" if module != target.text else ""
    return Fault("import-error", message, f"set `source.folder: {folder}`{also}", detail)


def no_module(target: Target, name: str) -> Fault:
    """Explain that the module of MODULE is not there, with what is."""
    parent, _, last = name.rpartition(".")
    folder = "the app's code"
    message = f"there is no module {name!r} in {folder} nor in its virtualenv"
    if parent and parent in sys.modules:
        packaged = hasattr(sys.modules[parent], "__path__")
        message = f"there is no module {last!r} in {parent}" if packaged else f"{parent} is a module, not a package"
        if last == "py":
            return Fault("no-module", message, f'write "{parent}:{target.text.partition(":")[2]}", without .py')
        # The name of a module alone stands for its `application`.
        if target.text.partition(":")[2] in ("", "application") and hasattr(sys.modules[parent], last):
            return Fault("no-module", message, f'{last} is a name in {parent}: write "{parent}:{last}"')
    expression = target.text.partition(":")[2] or "application"
    # A module deeper in the tree (backend/shop/wsgi.py for shop.wsgi), one with a similar name, or one that has
    # the attribute. The first two count only if they have it too, as far as the source tells.
    below = [known for known in target.modules if known.endswith("." + target.module)]
    for known in below:
        prefix = known[: -len(target.module) - 1].replace(".", os.sep)
        folder = os.path.relpath(os.path.join(target.code, prefix), target.tree)
        if not target.packaged(folder):
            return Fault(
                "no-module", message, f"it is in the folder {folder} of the source: set `source.folder: {folder}`"
            )
    # The folder that `source.folder` names is no part of the module's name.
    inner = os.path.relpath(target.code, target.tree).replace(os.sep, ".")
    if target.module.startswith(f"{inner}.") and target.module[len(inner) + 1 :] in target.modules:
        return Fault(
            "no-module",
            message,
            f'write "{target.module[len(inner) + 1 :]}:{expression}": it counts from `source.folder`',
        )
    lower = {known.lower(): known for known in target.modules}
    close = [lower[known] for known in difflib.get_close_matches(target.module.lower(), lower, 3)]
    having = [known for known, path in target.modules.items() if target.attribute in bound_names(path)]
    guesses = [known for known in below + close if known in having] or below or close[:1] or having[:1]
    existing = f"there is: {quoted(target.modules)}" if target.modules else "the app's folder holds no Python file"
    return Fault("no-module", message, f'did you mean "{guesses[0]}:{expression}"? {existing}' if guesses else existing)
