"""What a callable takes, and so which interface it speaks."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

FACTORY_NAME = re.compile(r"^(create|make|get|build|new)_|_factory$|^factory$")


def signature_of(value: Any, follow: bool = True) -> inspect.Signature | None:
    """Return the signature of a callable; None where it cannot be seen."""
    try:
        return inspect.signature(value, follow_wrapped=follow)
    except (TypeError, ValueError):
        return None


def signature_words(value: Any) -> str:
    """Return the arguments of a callable, for a message. A default is not shown: it may be all of the environment."""
    signature = signature_of(value)
    if signature is None:
        return "unknown arguments"
    words = [_argument(parameter) for parameter in signature.parameters.values()]
    return "(" + ", ".join(words if len(words) <= 5 else [*words[:4], "..."]) + ")"


def _argument(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else "=..."
    return str(parameter.replace(annotation=parameter.empty, default=parameter.empty)) + default


def binds(value: Any) -> bool:
    """Tell whether VALUE can be called without arguments."""
    signature = signature_of(value)
    if signature is None:
        return False
    try:
        signature.bind()
    except TypeError:
        return False
    return True


def looks_like_factory(value: Any) -> bool:
    """Tell whether VALUE is a function to be written with () after it."""
    return inspect.isroutine(value) and not interfaces(value) and binds(value)


def interfaces(app: Any) -> tuple[str, ...] | str:
    """Return the interfaces that the callable may speak, the likelier first; () for neither.

    Only when nothing can be seen (`*args`, compiled code) are there two. A sentence's end says that it is an
    application of a kind that is not served.
    """
    if inspect.isclass(app):
        return _class_interfaces(app)
    if inspect.isroutine(app) or isinstance(app, functools.partial):
        call: Callable[..., Any] = app
    else:
        # An object: what runs is its type's __call__, which may be a slot or a property (Sentry), not a function.
        call = inspect.getattr_static(type(app), "__call__")
        call = call.__get__(app, type(app)) if hasattr(call, "__get__") else call
    return _call_interfaces(call)


def _call_interfaces(call: Callable[..., Any]) -> tuple[str, ...] | str:
    outer = signature_of(call, follow=False)
    if outer is None:
        return ("asgi",) if _is_async(call) else ("wsgi", "asgi")
    required, most = _positional(outer)
    if required == 0 and most is None:  # a decorator's (*args, **kwargs): what it wraps tells
        if _is_async(call):
            return ("asgi",)
        inner = getattr(call, "__wrapped__", None)
        if inner is not None and callable(inner):
            inner = inner.__get__(call.__self__) if inspect.ismethod(call) and hasattr(inner, "__get__") else inner
            return _call_interfaces(inner)
        name = getattr(call, "__name__", "")
        return () if FACTORY_NAME.search(name) else ("wsgi", "asgi")
    if required == 0:  # an application's arguments have no defaults: (config=None, debug=False) is a factory
        return ()
    first = next(iter(outer.parameters))
    if required <= 1 and most is not None and most < 2:
        if first == "scope":
            return "is an ASGI 2 application (scope first, then receive and send), which no current server runs"
        return ()
    if required <= 3 and (most is None or most >= 3) and (_is_async(call) or first == "scope" or required == 3):
        return ("asgi",)
    if required <= 2 and (most is None or most >= 2) and not _is_async(call):
        return ("wsgi",)
    return ()


def _class_interfaces(cls: type) -> tuple[str, ...] | str:
    """A class is an application itself when making an instance of it is answering a request (PEP 3333's example)."""
    signature = signature_of(cls)
    if signature is None:
        return ()
    required, most = _positional(signature)
    enough = [required <= count and (most is None or most >= count) for count in (1, 2, 3)]
    if required >= 1 and enough[2] and hasattr(cls, "__await__"):
        return ("asgi",)
    if required >= 1 and enough[1] and hasattr(cls, "__iter__"):
        return ("wsgi",)
    if required >= 1 and enough[0] and next(iter(signature.parameters)) == "scope" and _is_async(cls.__call__):
        return "is an ASGI 2 application (a class made per connection), which no current server runs"
    return ()


def _positional(signature: inspect.Signature) -> tuple[int, int | None]:
    """Return how many positional arguments are required, and how many are taken at most (None: any number)."""
    required, most = 0, 0
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return required, None
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            required += parameter.default is parameter.empty
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            return 99, 99  # neither interface passes keywords
    return required, most


def _is_async(call: Any) -> bool:
    """Tell whether calling gives a coroutine, as far as it can be seen without calling."""
    while isinstance(call, functools.partial):
        call = call.func
    # The mark of libraries that wrap a coroutine function in something else (asgiref before Python 3.12).
    function = getattr(call, "__func__", call)
    return inspect.iscoroutinefunction(call) or getattr(function, "_is_coroutine", None) is not None
