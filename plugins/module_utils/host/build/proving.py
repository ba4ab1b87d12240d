"""Proves a release before it is started: its app loads, and gunicorn takes its configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ...contract import bounded, names
from ...contract.job import Job, Variant
from ...contract.manifest import Manifest
from ..base.ending import ending
from ..process import confine
from ..process.masking import Masking
from . import lacking
from .errors import AppError, BuildError

ANY_APP = "wsgiref.simple_server:demo_app"
"""Of the standard library; what gunicorn loads while it checks a configuration."""
PROBE_GRACE = 10
"""Seconds that the import probe may take beyond its own deadline before it is killed."""
EXITS, LAST_LINES = "exits-at-import", 10
"""The import probe's word for an app that ends the process; and how many of the lines are shown that it wrote before."""
ANSWER = 256 << 10
"""Letters of the import probe's answer."""
SAID = 4000
"""Letters of each text in the import probe's answer."""


def as_app(manifest: Manifest, what: str, command: Sequence[str], deadline: float) -> confine.Outcome:
    """Run `command` as the app's user, in its code, with its environment and within its instance's sandbox.

    Args:
        manifest: of the release that the app runs from.
        what: for what, a word.
        command: the command and its arguments.
        deadline: seconds after which it is killed.
    """
    return confine.run(launch(manifest, command), confine.app(manifest, what), deadline)


def launch(manifest: Manifest, command: Sequence[str]) -> list[str]:
    """A command in the app's code and with its environment, for the app's user."""
    path = manifest.path
    code = os.path.join(path, "code", manifest.folder)
    venv = os.path.realpath(f"{path}/venv")  # as the instance is started: it has one name in sys.path
    words = [f"{path}/exec", "--chdir", code, "--venv", venv, "--umask", "0027"]
    return [*words, f"{path}/environment.json", "--", *command]


def probe(job: Job, variant: Variant) -> str:
    """Load the app as its user with its environment; returns its interface. Raises BuildError that explains."""
    manifest = job.manifest
    module, deadline = manifest.module, manifest.timeouts.boot
    command = [
        f"{variant.manifest.venv}/bin/python",
        "-B",  # bytecode is made meanwhile, of another kind
        f"{manifest.path}/inspect",
        module,
        "--code",
        os.path.join(manifest.path, "code", manifest.folder),
        "--source",
        f"{manifest.path}/code",
        "--dependencies",
        job.lock.place,
        "--secrets",
        ",".join(manifest.secrets),
        "--deadline",
        str(deadline),
    ]
    if len(job.variants) == 1:
        command += ["--interface", *job.variants]
    result = as_app(manifest, "probe", command, deadline + PROBE_GRACE)
    if result.timed_out:
        raise BuildError(
            f"{module} did not finish importing within {deadline:g} s and could not report where it hangs: a blocking call at "
            "import. Do such work when a request needs it, or raise timeouts.boot"
        )
    hide = Masking(manifest.path, manifest.secrets)
    answer = _answer(result.stdout, hide)
    if answer is None:
        raise BuildError(
            f"{module} ended the import probe ({ending(result.status)}) before it could answer", result.stderr
        )
    if not answer["ok"]:
        remedy = lacking.needed(f"{answer['message']}\n{answer['detail']}", manifest.app) or answer["hint"]
        hint = f"; {remedy}" if remedy else ""
        # An app that ends itself has said why, if anybody has.
        output = confine.last(hide(result.stderr), LAST_LINES) if answer["kind"] == EXITS else ""
        raise AppError(f"{answer['message']}{hint}", "\n".join(filter(None, (output, answer["detail"]))))
    if answer["interface"] not in job.variants:
        raise BuildError(
            f"{module} speaks {answer['interface']}, but `interface` says {', '.join(job.variants)}; correct or leave out `interface`"
        )
    return str(answer["interface"])


def _answer(stdout: str, hide: Masking) -> dict[str, Any] | None:
    """The import probe's answer, without secrets; None where the app has printed something else in its place.

    It is the app's process that speaks: nothing is taken as it is. A secret that was cut could not be found any more.
    """
    try:
        answer = bounded.loads(stdout.strip().rpartition("\n")[2], ANSWER)
    except ValueError:
        return None
    texts = (
        ("interface",)
        if isinstance(answer, dict) and answer.get("ok") is True
        else ("kind", "message", "hint", "detail")
    )
    if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
        return None
    if not all(isinstance(answer.get(key), str) for key in texts):
        return None
    return {"ok": answer["ok"], **{key: hide(answer[key])[:SAID] for key in texts}}


def check_config(variant: Variant) -> None:
    """Have gunicorn check its configuration, unless the current release serves with the same one.

    The check runs with a stand-in app, so that the real one is not loaded twice.

    Raises:
        BuildError: gunicorn refuses it.
    """
    manifest = variant.manifest
    if not manifest.serves or _serves_already(manifest):
        return
    gunicorn = f"{manifest.venv}/bin/gunicorn"
    command = [gunicorn, "-c", f"{manifest.path}/gunicorn.conf.py", "--check-config", ANY_APP]
    result = as_app(manifest, "check", command, manifest.timeouts.boot + PROBE_GRACE)
    if result.timed_out:
        raise BuildError(f"gunicorn did not finish checking its configuration within {manifest.timeouts.boot:g} s")
    if result.status:
        raise BuildError(
            "gunicorn refuses its configuration; look at gunicorn_extra, worker_class and threads",
            result.stderr or result.stdout,
        )


def _serves_already(manifest: Manifest) -> bool:
    """Whether the current release has the same gunicorn and the same configuration; a check would cost a process more.

    What `gunicorn_extra` says may depend on the code, so it is always checked.
    """
    path, current = manifest.path, os.path.realpath(f"{manifest.root}/current")
    if os.path.exists(f"{path}/{names.GUNICORN_EXTRA}") or os.path.realpath(f"{current}/venv") != os.path.realpath(
        manifest.venv
    ):
        return False
    try:
        return current != path and _configuration(path) == _configuration(current)
    except OSError:
        return False  # an older kit has built it, with other files


def _configuration(path: str) -> dict[str, str]:
    """What a release's gunicorn reads beside the virtualenv and the code, without the release's name."""
    serving = (f"serving/{name}" for name in os.listdir(f"{path}/serving"))
    texts = {}
    for name in ("gunicorn.conf.py", "environment.json", *serving):
        with open(f"{path}/{name}", encoding="utf-8") as handle:
            texts[name] = handle.read().replace(os.path.basename(path), "")
    return texts
