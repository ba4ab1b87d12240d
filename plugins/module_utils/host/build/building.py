"""Builds a release on the host: code, virtualenv, what is made and placed, configuration, and the proof that its module loads.

Everything is written in its final place, since a virtualenv cannot be moved; `manifest.json` is written last and makes
the release complete. What an interrupted build leaves behind has no manifest and is built again.

Root runs nothing here that a source or a package brought. The build user makes the virtualenv, which root then takes over.
The app's user loads the app (`confine`).
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import re
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ...contract import names
from ...contract.errors import HostError
from ...contract.job import Job, Variant
from ...contract.manifest import Manifest, written
from ..base import atomic, trees
from ..base.outcome import TROUBLE
from ..files import assets
from ..process import confine
from ..process.masking import Masking
from ..system import releases
from . import advice, calendar, directives, interpreters, making, placed, setup, writable
from .contents import packages, sbom, warnings
from .disk import watch
from .errors import BuildError
from .proving import as_app, check_config, probe
from .release_bytecode import compile_and_sync
from .release_folder import clear, lead_out, lead_to, share, write, write_programs, write_variant
from .unpacking import ALTERED, date, lay_out_code
from .virtualenv import cache_of, virtualenv

BOUND = "-bound"
"""What a manifest's `build` ends with where what was made names its release, so that no other can have it."""
_ASGI = re.compile(
    r"(?im)^[ \t\r\"'-]*(name = \")?(channels|fastapi|hypercorn|litestar|quart|starlette|uvicorn"
    r"|(?:datasette|fastmcp|gradio|mcp|nicegui|streamlit)(?!-))\b"
)
"""Dependencies by which a first guess is that an app speaks ASGI. A wrong guess costs a second virtualenv.

The second line has frameworks whose client packages (`mcp-client`, …) WSGI apps have, too.
"""


@dataclass(frozen=True)
class Built:
    """A release that was built."""

    manifest: Manifest
    virtualenv: bool
    """Whether a virtualenv was built for it."""
    warnings: list[str]


def build(job: Job) -> Built:
    """Build the release that `job` describes.

    Raises:
        BuildError: it cannot be built; nothing of it is left.
    """
    path, group = job.manifest.path, job.manifest.group
    if os.path.realpath(f"{job.manifest.root}/current") == path:
        raise BuildError(
            "this release is current but incomplete (is its virtualenv damaged?), and is not rebuilt while it serves clients: deploy a changed one"
        )
    # A bad release that is incomplete stays bad until it is proved.
    releases.keep_marks(job.manifest.root, [job.manifest.release_id])
    for old in (path, cache_of(job)):
        if os.path.lexists(old):
            clear(old)
    fresh = [program.log for program in job.manifest.programs if not os.path.exists(program.log)]
    credentials = dict.fromkeys(job.index.secrets, "package_index_credentials")
    hide = Masking(path, (), credentials)
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.mkdir(path, 0o700)
        share(path, group, 0o751)
        lay_out_code(job)
        share(f"{path}/code", group, 0o750)
        writable.make_home(names.home(job.manifest.root), job.manifest.user)
        write_programs(job)
        write(f"{path}/environment.json", job.environment, 0o640, group)
        hide = Masking(path, job.manifest.secrets, credentials)
        lead_out(job.manifest)
        calendar.check(job.manifest.timers)
        directives.check(job.directives)
        # Which of the variants it is, only the probe knows for sure; it takes a while, as the others do.
        guess = _likely(job)
        if job.interpreter:
            interpreters.ensure(job.interpreter, job.uv, job.index.ca, job.deadline, watch)
        variant = job.variants[guess]
        lead_to(variant)
        made = virtualenv(job, variant)
        _suits(job, variant)
        bound = _complete(job)
        write_variant(variant)
        cell = confine.app(job.manifest, "media")
        folders = tuple(job.manifest.media.values())
        opened = writable.open_media(cell, names.shared(job.manifest.root), folders, job.manifest.nginx_group)
        _set_up(job)
        with ThreadPoolExecutor() as pool:
            compiled = pool.submit(compile_and_sync, job)
            checked = pool.submit(check_config, variant)
            interface = guess if _in_use(job) else probe(job, variant)
        compiled.result()
        if interface == guess:
            checked.result()
        else:
            variant = job.variants[interface]
            lead_to(variant)
            made = virtualenv(job, variant) or made
            _suits(job, variant)
            write_variant(variant)
            check_config(variant)
        manifest = replace(variant.manifest, build=variant.manifest.build + BOUND) if bound else variant.manifest
        installed = packages(manifest.venv)
        write(f"{path}/sbom.json", json.dumps(sbom(manifest, installed), indent=2) + "\n", 0o640, group)
        write(f"{path}/{names.MANIFEST}", written(manifest), 0o640, group)
        atomic.sync_directory(path)  # its own files; `compile_and_sync` has written the rest
        return Built(manifest, made, [*warnings(manifest, installed), *opened])
    except BaseException as exc:
        trees.remove(path)
        for made_log in fresh:
            with contextlib.suppress(OSError):
                os.unlink(made_log)
        if isinstance(exc, BuildError):
            raise type(exc)(hide(str(exc)), confine.last(hide(exc.output))) from None
        if isinstance(exc, HostError):
            raise HostError(hide(str(exc))) from None
        if isinstance(exc, TROUBLE) or not isinstance(exc, Exception):
            raise
        trace = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__, limit=-3))
        raise BuildError("a fault of the kit, not of the app; report it with these lines", hide(trace)) from None
    finally:
        # Not before the copies: ext4 makes new files slowly where many were just removed.
        trees.remove(cache_of(job))


def _complete(job: Job) -> bool:
    """Add to the code what its source lacks, and lay out what nginx serves of it; whether no other release can have that."""
    path, group = job.manifest.path, job.manifest.group
    code, contents = f"{path}/code", job.files
    altered: list[str] = []
    bound = False
    try:
        if job.code.folder:
            with contextlib.suppress(FileNotFoundError):
                os.link(os.path.join(os.path.dirname(job.code.folder), ALTERED), f"{path}/{ALTERED}")
        else:
            # Also what a build puts back as the source has it: what is placed there afterwards is no file of the source's.
            altered = [name for name in contents if os.path.lexists(f"{code}/{name}")]
            if job.make:
                made = making.make(job, job.make, cache_of(job), watch(os.path.dirname(job.manifest.venv), path))
                altered, bound = sorted({*altered, *made.altered}), made.bound
                date(code, job.code.like)
                share(code, group, 0o750)
            if altered:
                write(f"{path}/{ALTERED}", json.dumps({"altered": altered}) + "\n", 0o640, group)
        placed.place(code, contents, os.geteuid(), grp.getgrnam(group).gr_gid)
        assets.lay_out(path, job.manifest.static, job.manifest.nginx_group)
    except making.MakeError as exc:
        raise BuildError(str(exc), exc.output) from exc
    except (assets.StaticError, placed.PlaceError) as exc:
        raise BuildError(str(exc)) from exc
    return bound


def _set_up(job: Job) -> None:
    """Do what the app does once on a host. Raises BuildError."""
    if not job.setup:
        return
    manifest = job.manifest
    try:
        setup.once(
            manifest.app,
            manifest.root,
            manifest.release_id,
            job.setup,
            lambda words, limit: as_app(manifest, "setup", words, limit),
        )
    except setup.SetupError as exc:
        raise BuildError(str(exc), exc.output) from exc


def _in_use(job: Job) -> bool:
    """Whether the app must not be loaded now: it has no module, or it cannot run twice and may be running."""
    if not job.manifest.serves:
        return True
    return not job.manifest.overlap and os.path.lexists(f"{job.manifest.root}/current")


def _suits(job: Job, variant: Variant) -> None:
    """Raise BuildError when the gunicorn that was installed is not one that can serve the app."""
    manifest = variant.manifest
    if not manifest.serves:
        return
    fault = advice.gunicorn(packages(manifest.venv).get("gunicorn", ""), manifest.worker_class)
    if fault:
        raise BuildError(f"{fault}; it comes from {job.lock.place}")


def _likely(job: Job) -> str:
    """The interface of the release before, or the first one there is a variant for."""
    variants = list(job.variants)
    before = job.code.folder or job.code.like
    if before:
        interface = (atomic.read_json(os.path.join(os.path.dirname(before), names.MANIFEST)) or {}).get("interface")
        if interface in variants:
            return str(interface)
    if "asgi" in variants and _ASGI.search(_requirements(job)):
        return "asgi"
    return variants[0]


def _requirements(job: Job) -> str:
    """What the app says about its dependencies, in whichever notation."""
    lock = job.lock
    if lock.text or not lock.file:
        return lock.text or "\n".join(lock.lines)
    try:
        with open(os.path.join(job.manifest.path, "code", lock.file), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""  # it is uv that says so
