"""The probe's command line."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

from .answer import Answer, clock
from .application import attribute_of, find_interface
from .faults import Fault
from .importing import explain, watch
from .signatures import interfaces, signature_of, signature_words
from .source import check_source
from .target import Target


def main(arguments: list[str]) -> NoReturn:
    """Run the command line of this process."""
    options = dict.fromkeys(("--code", "--deadline", "--interface", "--source", "--dependencies", "--secrets"), "")
    rest = list(arguments)
    positional = []
    while rest:
        word = rest.pop(0)
        if word in options and rest:
            options[word] = rest.pop(0)
        else:
            positional.append(word)
    try:
        deadline = float(options["--deadline"])
    except ValueError:
        deadline = 0.0
    given = options["--interface"] or None
    if (
        len(positional) != 1
        or deadline <= 0
        or not os.path.isdir(options["--code"])
        or given not in (None, "wsgi", "asgi")
    ):
        print("usage: inspect MODULE --code DIR --deadline SECONDS [--interface wsgi|asgi]", file=sys.stderr)
        sys.exit(64)  # EX_USAGE

    answer = Answer()
    try:
        target = Target(positional[0], options["--code"], options["--source"], options["--dependencies"])
        report = probe(target, answer, deadline, given)
    except Fault as fault:
        report = fault.report
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: S110  the app may have put anything there, and its output is only a courtesy
        pass
    answer.give(report)


def probe(target: Target, answer: Answer, deadline: float, given: str | None) -> dict[str, Any]:
    """Import the app, make it, and return the good answer; anything else is a Fault."""
    for root in reversed(target.roots):
        sys.path.insert(0, root)
    os.chdir(target.code)
    # What an app that reads its command line on import finds under gunicorn.
    sys.argv = [os.path.join(os.path.dirname(sys.executable), "gunicorn"), "-c", "gunicorn.conf.py", target.text]
    check_source(target)

    stage = [f"importing {target.module}"]
    watch(target, answer, deadline, stage)
    start = clock()
    try:
        module = importlib.import_module(target.module)
    except BaseException as error:
        raise explain(target, error, stage[0], "import-error") from None
    app = attribute_of(target, module)
    if target.call is not None:
        stage[0] = f"the factory {target.called}"
        app = make(target, app, stage[0])
    interface = find_interface(target, app, given)
    return {"ok": True, "interface": interface, "module": target.text, "seconds": round(clock() - start, 3)}


def make(target: Target, factory: Any, stage: str) -> Any:
    """Call the factory as gunicorn will."""
    arguments, keywords = target.call or ([], {})
    words = f"{target.module}:{target.attribute}"
    if not callable(factory):
        raise Fault("not-callable", f"{words} is of type {type(factory).__name__}: not a function", f'use "{words}"')
    signature = signature_of(factory)
    try:
        if signature is not None:
            signature.bind(*arguments, **keywords)
    except TypeError as error:
        if isinstance(interfaces(factory), tuple) and interfaces(factory):
            raise Fault("factory-failed", f"{words} is the application itself", f'use "{words}" without ()') from None
        raise Fault(
            "factory-failed",
            f"{words} takes {signature_words(factory)}, but {target.text!r} does not fit: {error}",
            f'give its arguments in the parentheses, such as "{words}(\\"production\\")"',
        ) from None
    try:
        return factory(*arguments, **keywords)
    except BaseException as error:
        raise explain(target, error, stage, "factory-failed") from None
