"""Makes a virtualenv and installs an app's packages into it: a program that the build user runs, in its sandbox.

A virtualenv outlives the release that it was built for, so nothing in it may lead there. What is built from the source is
built from a copy, and installed, not linked.

It runs by its text alone (`python3 -I -S -c`), since the build user cannot read the kit's modules. The job comes as JSON
on standard input. On a failure the last line of standard output is the step that failed: `venv`, `dependencies` or
`additions`. It is no failure that there is no wheel of one of the `wheels`.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def main() -> None:
    """Do the job; exit status 1 when a step failed."""
    job = json.load(sys.stdin)
    os.umask(0o022)
    os.makedirs(job["environment"]["HOME"], 0o700, exist_ok=True)
    if job["copy"]:
        shutil.rmtree(job["copy"], ignore_errors=True)
        shutil.copytree(job["code"], job["copy"], symlinks=True, ignore=ignoring(job["code"], job["without"]))
    for path, text in job["files"].items():
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
    # Paths in a list of requirements count from the folder that uv runs in.
    folder = os.path.join(job["copy"] or job["code"], job["folder"])
    try:
        for step in ("venv", "dependencies", "additions"):
            words = job[step]
            if step == "additions":
                missing = lacking(job["packages"], job["path"])
                words = [*words, *missing] if missing else []
            if words and run(words, folder, job["environment"]):
                print(step)
                sys.exit(1)
        add_wheels(job["wheel"], job["wheels"], job["path"], folder, job["environment"])
    finally:
        if job["copy"]:
            shutil.rmtree(job["copy"], ignore_errors=True)
    for site in glob.glob(f"{glob.escape(job['path'])}/lib/python*/site-packages"):
        forget(site)


def add_wheels(
    install: Sequence[str], lists: Mapping[str, str], venv: str, folder: str, environment: Mapping[str, str]
) -> None:
    """Install those packages that the virtualenv lacks and of which there are wheels.

    Args:
        install: the command, without what to install.
        lists: the file with the requirement, for each package.
        venv: the virtualenv.
        folder: where uv runs.
        environment: of uv.
    """
    files = [lists[package] for package in lacking(list(lists), venv)]
    if files and run([*install, *(f"--requirements={file}" for file in files)], folder, environment) and files[1:]:
        for file in files:
            run([*install, f"--requirements={file}"], folder, environment)


def ignoring(top: str, files: Sequence[str]) -> Callable[[str, Sequence[str]], list[str]]:
    """Leaves out of a copy of `top` the files that are for the app's eyes alone."""
    paths = {os.path.join(top, name) for name in files}
    return lambda place, names: [name for name in names if os.path.join(place, name) in paths]


def forget(site: str) -> None:
    """Remove what says from which folder a distribution was built (`direct_url.json`): that folder is gone by now."""
    for path in glob.glob(f"{glob.escape(site)}/*.dist-info/direct_url.json"):
        with open(path, encoding="utf-8") as handle:
            origin = json.load(handle)
        if "dir_info" not in origin and not origin["url"].startswith("file:"):
            continue  # an archive or a repository of somewhere else
        os.unlink(path)
        record = os.path.join(os.path.dirname(path), "RECORD")
        with open(record, encoding="utf-8", newline="") as handle:
            rows = [row for row in csv.reader(handle) if row and not row[0].endswith(".dist-info/direct_url.json")]
        with open(record, "w", encoding="utf-8", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows(rows)


def run(words: Sequence[str], folder: str, environment: Mapping[str, str]) -> int:
    """Run a command in a folder; its exit status."""
    return subprocess.run(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def lacking(packages: Sequence[str], venv: str) -> list[str]:
    """Those requirements whose package is not in the virtualenv, and those with extras, since these may be missing."""
    import importlib.metadata  # it takes long to load, and other modules import this one for a name only

    folders = glob.glob(f"{glob.escape(venv)}/lib/python*/site-packages")
    installed: set[str] = {
        name(distribution.metadata["Name"] or "") for distribution in importlib.metadata.distributions(path=folders)
    }
    return [item for item in packages if "[" in item or name(item) not in installed]


def name(requirement: str) -> str:
    """The normalised name in a requirement (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>!~ ;]", requirement, maxsplit=1)[0]).lower()


def job(**entries: Any) -> bytes:
    """A job as `main` reads it."""
    return json.dumps(entries).encode()


if __name__ == "__main__":
    main()
