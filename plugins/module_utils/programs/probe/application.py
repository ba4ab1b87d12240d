"""After the import: is it an application?"""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from types import ModuleType
from typing import Any, NoReturn

from .faults import Fault
from .signatures import FACTORY_NAME, binds, interfaces, looks_like_factory, signature_words
from .target import Target, bound_names, quoted

# Functions that begin a program and return no application.
PROGRAMS = {"main", "run", "cli", "serve", "start", "launch", "launch_instance", "entrypoint", "entry_point", "manage"}


def attribute_of(target: Target, module: ModuleType) -> Any:
    """Return the attribute that MODULE names, or raise the Fault that names the module's attributes."""
    try:
        return getattr(module, target.attribute)
    except AttributeError:
        pass
    call = "()" if target.call is not None else ""
    message = f"module {target.module} has no attribute {target.attribute!r}"
    for name, path in target.modules.items():
        if name != target.module and target.attribute in bound_names(path):
            where = "its submodule " if name.startswith(target.module + ".") else ""
            return _fail(
                "no-attribute", f"{message}, but {where}{name} has", f'write "{name}:{target.attribute}{call}"'
            )
    names = callables(module)
    inner = f"{target.module}.{target.attribute}"
    if inner in target.modules:
        has = bound_names(target.modules[inner])
        name = next((name for name in ("application", "app") if name in has), "app")
        return _fail("no-attribute", f"{message}: {inner} is a module in it", f'write "{inner}:{name}"')
    near = difflib.get_close_matches(target.attribute, names, 1)
    suffix = "()" if near and looks_like_factory(getattr(module, near[0])) else ""
    hint = f'did you mean "{target.module}:{near[0]}{suffix}"? ' if near else ""
    hint += f"callable there: {quoted(names)}" if names else "nothing in it is callable"
    return _fail("no-attribute", message, hint)


def _fail(kind: str, message: str, hint: str) -> NoReturn:
    raise Fault(kind, message, hint)


def callables(module: ModuleType) -> list[str]:
    """Return the module's own callables, applications first; what it imported to build them is noise."""
    first: list[str] = []
    rest: list[str] = []
    for name, value in list(vars(module).items()):
        kind = type(value)
        if (
            name.startswith("_")
            or name in PROGRAMS
            or isinstance(value, ModuleType)
            or not callable(value)
            or kind.__name__ == "LocalProxy"
        ):
            continue
        plain = inspect.isclass(value) or inspect.isroutine(value)
        if plain and getattr(value, "__module__", None) != module.__name__:
            continue
        (first if not plain or looks_like_factory(value) or interfaces(value) else rest).append(name)
    return first + rest


def find_interface(target: Target, app: Any, given: str | None) -> str:
    """Return "wsgi" or "asgi" for the application, or raise the Fault that says why it is neither."""
    words = f"{target.module}:{target.called if target.call is not None else target.attribute}"
    kind = type(app)
    if app is None and target.call is not None:
        raise Fault("not-callable", f"{words} returned None", f"does {target.called} end with `return app`?")
    if inspect.iscoroutine(app):
        app.close()
        raise Fault(
            "not-callable",
            f"{words} returned a coroutine: gunicorn does not wait for an async factory",
            f"make {target.attribute} a plain `def`, and do its asynchronous work in the lifespan",
        )
    if isinstance(app, ModuleType):
        inner = [name for name in ("app", "application", "create_app") if hasattr(app, name)]
        hint = f'name the application in it: "{app.__name__}:{(inner or ["app"])[0]}"'
        raise Fault("not-callable", f"{words} is a module, not an application", hint)
    if not callable(app):
        server = getattr(app, "server", None)
        if server is not None and interfaces(server):
            hint = f'it wraps one: write "application = {target.attribute}.server" and serve that'
        else:
            hint = _others(target, "name the application, such as a Flask or FastAPI object")
        raise Fault("not-callable", f"{words} is not callable: it is of type {kind.__module__}.{kind.__name__}", hint)
    supported = interfaces(app)
    if isinstance(supported, str):
        raise Fault("wrong-interface", f"{words} {supported}", _others(target, "name a WSGI or an ASGI 3 application"))
    if not supported:
        raise _no_application(target, app, words)
    if given is not None and given not in supported:
        is_ = supported[0].upper()
        raise Fault(
            "wrong-interface",
            f"{words} is a{'n' if is_ == 'ASGI' else ''} {is_} application, but `interface: {given}` is set",
            f"remove `interface`, or write `interface: {supported[0]}`",
        )
    return given or supported[0]


def _others(target: Target, otherwise: str) -> str:
    """Name the things in the module that can be served, or say OTHERWISE."""
    module = sys.modules.get(target.module)
    names = callables(module) if module is not None else []
    good = []
    for name in names:
        value = getattr(module, name)
        if looks_like_factory(value):
            good.append(f'"{target.module}:{name}()"')
        elif isinstance(interfaces(value), tuple) and interfaces(value):
            good.append(f'"{target.module}:{name}"')
    return f"write {' or '.join(good[:3])}" if good else otherwise


def _no_application(target: Target, app: Any, words: str) -> Fault:
    """Explain a callable that is neither kind of application: most often a factory without its ()."""
    takes = signature_words(app)
    if target.call is None and (inspect.isroutine(app) or inspect.isclass(app) or isinstance(app, functools.partial)):
        if binds(app):
            what = "a class" if inspect.isclass(app) else "a function that makes the application"
            return Fault(
                "needs-parentheses",
                f"{words} is {what}, not an application: it takes {takes}",
                f'use "{words}()"',
            )
        if FACTORY_NAME.search(target.attribute):
            return Fault(
                "needs-parentheses",
                f"{words} is a function that makes the application: it takes {takes}",
                f'use "{words}(...)" with values for its arguments, such as "{words}(\\"production\\")"',
            )
    hint = _others(target, "name the application, such as a Flask or FastAPI object")
    known = type(app).__module__.partition(".")[0]
    if known in {"aiohttp", "tornado"}:
        hint = f"{known}'s applications need {known}'s own server; only WSGI and ASGI applications are served"
    return Fault(
        "wrong-interface",
        f"{words} is called with {takes}, but WSGI calls (environ, start_response) and ASGI (scope, receive, send)",
        hint,
    )
