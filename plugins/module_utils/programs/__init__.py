"""The kit's own programs that run on the host: those that a release carries, and the one that keeps its certificates.

They are no templates: an inventory cannot replace them. The controller reads them as text. The host's modules import only what
they must calculate in the same way. Each release keeps those it was made with.

- `launcher.py` becomes `exec`: every command of an app starts through it.
- `probe` becomes the folder `inspect`: it imports an app and says what is wrong with it.
- `serving` becomes the folder `serving`: what the kit adds to gunicorn's workers.
- `log_reader.py` becomes `log.py`: it copies an instance's pipe into its log.
- `pause.py` waits before a process that crashes again and again starts.
- `timer.py` keeps what became known about the runs of timers, and runs them where no systemd does.
- `reaper.py` of `host/base` then ends everything that a run has started.
- `certificates` becomes a folder beside the releases: a deploy and the host's timer run it.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PROBE = "inspect"
"""The folder of a release that Python runs as a program."""
START = """\
import sys

import slipway_probe.command

# The app may have modules called as ours are: none is to be found from here.
del sys.path[0]
slipway_probe.command.main(sys.argv[1:])
"""
"""Runs the probe. Its package has a separate name, so that no module of the app is mistaken for one of it."""
CERTIFICATES_START = """\
import sys

import slipway_certificates.command

sys.exit(slipway_certificates.command.main(sys.argv[1:]))
"""
"""Runs the program that keeps the certificates."""


def of_host() -> dict[str, str]:
    """The program that keeps the host's certificates, by the paths of its files in its folder."""
    return {"__main__.py": CERTIFICATES_START, **_package("certificates", "slipway_certificates")}


def of_release(log_reader: bool, pause: bool = False, timer: bool = False) -> dict[str, str]:
    """The programs of a release, by their path in its folder.

    Args:
        log_reader: whether a separate process writes the instance's log.
        pause: whether the pauses after crashes are the kit's.
        timer: whether the app has timers. Without a log reader no systemd ends what a run has started.
    """
    texts = {
        "exec": _text("launcher.py"),
        f"{PROBE}/__main__.py": START,
        **_package("probe", f"{PROBE}/slipway_probe"),
        **_package("serving", "serving"),
    }
    if log_reader:
        texts["log.py"] = _text("log_reader.py")
    if pause:
        texts["pause.py"] = _text("pause.py")
    if timer:
        texts["timer.py"] = _text("timer.py")
        if not log_reader:
            texts["reaper.py"] = _text("../host/base/reaper.py")
    return texts


def slipway_run() -> str:
    """The program by which an operator on the host runs an app's commands; it is no part of a release."""
    return _text("slipway_run.py")


def of_process(programs: dict[str, str]) -> dict[str, str]:
    """Those without which a release's processes would be others: all but what only looks at the app while it is built."""
    return {path: text for path, text in programs.items() if not path.startswith(f"{PROBE}/")}


def _package(name: str, place: str) -> dict[str, str]:
    return {f"{place}/{path.name}": _text(f"{name}/{path.name}") for path in sorted((HERE / name).glob("*.py"))}


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
