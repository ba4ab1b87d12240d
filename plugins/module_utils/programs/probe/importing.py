"""During the import: the deadline, and what went wrong."""

from __future__ import annotations

import _thread
import errno
import linecache
import os
import re
import sys
import traceback
from types import FrameType

from .answer import Answer, clock, sleep
from .faults import GUARD, Fault, serves_at_import
from .masking import masked
from .missing import missing_module
from .target import Target

# Modules in which a thread that waits is a server: the deepest of them names the cause of a deadline passed.
SERVER_MODULES = (
    "aiohttp.web",
    "bottle",
    "cherrypy",
    "eventlet.wsgi",
    "gevent.baseserver",
    "gevent.pywsgi",
    "granian",
    "hypercorn",
    "socketserver",
    "uvicorn",
    "waitress",
    "werkzeug.serving",
    "wsgiref",
)
HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
"""Where the probe itself is."""


def watch(target: Target, answer: Answer, deadline: float, stage: list[str]) -> None:
    """Start the thread that answers for an import which does not end.

    A bare thread: `threading` would enter it into books that gevent and others replace under our feet.
    """
    main = _thread.get_ident()
    end = clock() + deadline

    def wait() -> None:
        while (left := end - clock()) > 0:
            sleep(left)
        try:
            frame = sys._current_frames().get(main)
            report = blocked(target, frame, deadline, stage[0]).report
        except BaseException as error:
            report = Fault("blocks-at-import", f"{stage[0]} took over {deadline:g} s", "", repr(error)).report
        answer.give(report)

    _thread.start_new_thread(wait, ())


def blocked(target: Target, frame: FrameType | None, deadline: float, stage: str) -> Fault:
    """Say where the main thread stands: the deepest line of the app's own, else the deepest of all."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    of_app = [(depth, f) for depth, f in enumerate(frames) if target.owns(f.f_code.co_filename)]
    others = [(depth, f) for depth, f in enumerate(frames) if not _of_import(f.f_code.co_filename)]
    if not of_app and not others:
        return Fault("blocks-at-import", f"{stage} did not end within {deadline:g} s", "see the app's output above")
    depth, where = (of_app or others)[0]
    path, line = where.f_code.co_filename, where.f_lineno
    place = f"{target.shown(path)}:{line}"
    text = linecache.getline(path, line).strip()
    detail = "\n".join(
        frame_lines(target, [(f.f_code.co_filename, f.f_lineno, f.f_code.co_name) for _, f in of_app][::-1])
    )
    if any(_is_server(f.f_globals.get("__name__")) for f in frames[:depth]):
        call = re.search(r"[\w.]+(?=\()", text)
        fault = serves_at_import(place, f"{call.group()}()" if call else "a server")
        fault.report["detail"] = detail
        return fault
    return Fault(
        "blocks-at-import",
        f"{stage} did not end within {deadline:g} s: {place} is still running{': ' + text if text else ''}",
        "an import must return at once: do this per request, in a background process, or with a short timeout; "
        f"put a server's start under {GUARD}",
        detail,
    )


def _is_server(name: object) -> bool:
    return isinstance(name, str) and any(name == known or name.startswith(known + ".") for known in SERVER_MODULES)


def _of_import(path: str) -> bool:
    """Tell whether a frame is the import system's, that of what starts a program, or this program's."""
    return (
        path.startswith(("<frozen importlib", "<frozen runpy", HERE))
        or path.endswith("/runpy.py")
        or "/importlib/" in path
    )


def frame_lines(target: Target, frames: list[tuple[str, int | None, str]]) -> list[str]:
    """Return one line per frame: file:line, function, source."""
    lines = []
    for path, line, function in frames[-5:]:
        text = linecache.getline(path, line).strip() if line else ""
        name = "" if function == "<module>" else f" in {function}()"
        lines.append(f"{target.shown(path)}:{line}{name}: {text}")
    return lines


def frames_of(target: Target, error: BaseException) -> list[tuple[str, int | None, str]]:
    """Return (file, line, function) of the app's own frames in the traceback, or of the last others."""
    everything = [(f.filename, f.lineno, f.name) for f in traceback.extract_tb(error.__traceback__)]
    everything = [frame for frame in everything if not _of_import(frame[0])]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        everything.append((error.filename, error.lineno, "<module>"))
    return [frame for frame in everything if target.owns(frame[0])] or everything[-2:]


def explain(target: Target, error: BaseException, stage: str, otherwise: str) -> Fault:
    """Turn what came out of the import, or out of a factory, into a Fault; OTHERWISE is the kind of the rest."""
    frames = frames_of(target, error)
    place = f"{target.shown(frames[-1][0])}:{frames[-1][1]}" if frames else target.module
    # Never fails, not even on an exception whose __str__ does. Of a syntax error the last line is the message.
    lines = masked("".join(traceback.format_exception_only(type(error), error))).strip().splitlines()
    lines = lines[-1:] if isinstance(error, SyntaxError) else lines
    summary = " ".join(" ".join(lines).split())
    traced, ending = frame_lines(target, frames), lines[:10]
    detail = "\n".join([*traced, *ending])
    if isinstance(error, SystemExit):
        return Fault(
            "exits-at-import",
            f"{stage} ended the process: sys.exit({error.code!r}) at {place}",
            f"raise an exception instead, or put command line code under {GUARD}",
            detail,
        )
    if isinstance(error, ModuleNotFoundError) and error.name and not of_distribution(error):
        missing = missing_module(target, error.name, place, detail)
        if missing is not None:
            return missing
    if isinstance(error, SyntaxError):
        version = ".".join(map(str, sys.version_info[:2]))
        message = f"{place} is not valid Python {version}: {error.msg}"
        return Fault(
            "import-error", message, "correct the line, or choose another version with the app's `python`", detail
        )
    reason = _reason(error)
    if reason is not error:
        cause = " ".join(masked("".join(traceback.format_exception_only(type(reason), reason))).split())
        if cause not in summary:
            summary = f"{summary if len(summary) <= 200 else summary[:200] + '...'}, because of {cause}"
            of_reason = frame_lines(target, frames_of(target, reason))
            detail = "\n".join([detail, *of_reason, cause])
            traced, ending = [*traced, *of_reason], [*ending, cause]
        if isinstance(reason, ModuleNotFoundError) and reason.name and not of_distribution(reason):
            missing = missing_module(target, reason.name, place, detail)
            if missing is not None:
                return missing
    short = summary if len(summary) <= 400 else summary[:400] + "..."
    if all(line in short for line in ending) and len(lines) == 1:
        detail = "\n".join(traced)  # the message has the rest
    return Fault(otherwise, f"{stage} failed at {place}: {short}", _hint(target, reason), detail)


def _reason(error: BaseException) -> BaseException:
    """Return what is at the bottom of an exception: what it was raised from, or while, where that tells more."""
    seen: list[BaseException] = []
    while error not in seen and not isinstance(error, ImportError | OSError):
        seen.append(error)
        below = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        telling = isinstance(below, ImportError | OSError) or (isinstance(below, KeyError) and _names_variable(below))
        if below is None or not (telling or error.__cause__):
            break
        error = below
    return error


def of_distribution(error: BaseException) -> bool:
    """Tell whether `importlib.metadata` does not know a distribution: an ImportError by its class alone."""
    return type(error).__name__ == "PackageNotFoundError"


def _hint(target: Target, error: BaseException) -> str:
    """Say what to do about an exception of the app's own."""
    if isinstance(error, KeyError) and _names_variable(error):
        return f"if the app reads it from os.environ, add {error.args[0]} to the app's environment or secrets"
    if isinstance(error, ImportError) and of_distribution(error):
        name = str(error.name)
        folder = re.sub(r"[-.]", "_", name).lower()
        if target.has(folder) or target.elsewhere(folder) is not None:
            return (
                f"{name} is the app's own: write its `name`, its `version` and a [build-system] into the pyproject.toml beside "
                "it, so that its metadata are known"
            )
        return f"add {name} to {target.dependencies}, and deploy again"
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT):
        shared, home = (os.environ.get(name, "") for name in ("SLIPWAY_SHARED", "HOME"))
        where = f"{shared} (the variable SLIPWAY_SHARED), to {home} (HOME)" if shared else "shared/, to HOME"
        return (
            f"the app runs as a separate user, and its code is read-only. What it writes goes to {where}, to /tmp, or to a "
            "folder that `sandbox.write` names"
        )
    return "correct the error; the app must start with the environment that the inventory gives it"


def _names_variable(error: KeyError) -> bool:
    return (
        bool(error.args)
        and isinstance(error.args[0], str)
        and re.fullmatch(r"[A-Z][A-Z0-9_]*", error.args[0]) is not None
    )
