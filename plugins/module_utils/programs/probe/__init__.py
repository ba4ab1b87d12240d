"""Import an app the way gunicorn will, and say in one sentence what is wrong with it.

    venv/bin/python inspect MODULE --code DIR --deadline SECONDS [--interface wsgi|asgi]
                            [--source DIR] [--dependencies TEXT] [--secrets NAME,NAME]

Installed as ``inspect`` in every release. The release's own virtualenv runs it, as the app's user, with its environment
(through ``exec``), before any process of the release is started. MODULE is what gunicorn takes:
``pkg.mod:attr``, ``pkg.mod:factory()``, ``pkg.mod:factory("arg", key=1)`` or ``pkg.mod`` (= ``:application``).

The last line of stdout is one JSON object and the exit code is 0, whatever the app does:

    `{"ok": true, "interface": "wsgi"|"asgi", "module": MODULE, "seconds": time of the import}`
    `{"ok": false, "kind": KIND, "message": one sentence, "hint": what to do, "detail": end of the traceback or ""}`

``--source`` is the whole source, of which the code may be a folder. ``--dependencies`` says where a missing one is added.
``--secrets`` names the variables that no message may repeat.

What the app prints goes to stderr. KINDs: bad-module, no-module, no-attribute, not-callable, needs-parentheses,
factory-failed, import-error, missing-dependency, exits-at-import, blocks-at-import, wrong-interface.
An answer is missing only after an ``os._exit``, or a call into C that holds the interpreter's lock past the deadline. So
the caller needs a separate timeout, a little longer than the deadline.

Python 3.10 or later, standard library only.
"""
