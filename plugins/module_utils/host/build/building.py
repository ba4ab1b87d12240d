"""Builds a release on the host: code, virtualenv, what is made and placed, configuration, and the proof that its module loads.

Everything is written in its final place, since a virtualenv cannot be moved; `manifest.json` is written last and makes
the release complete. What an interrupted build leaves behind has none and is built anew.

Root runs nothing here that a source or a package brought: the build user makes the virtualenv, which root then takes over,
and the app's user loads the app (`confine`).
"""

from __future__ import annotations

import base64
import contextlib
import filecmp
import grp
import inspect
import io
import json
import os
import pwd
import re
import shutil
import subprocess
import tarfile
import traceback
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ...contract import names
from ...contract.job import Code, Index, Job, Lock, Variant
from ...contract.manifest import HostError, Manifest, written
from ..base import atomic, trees
from ..base.outcome import TROUBLE
from ..files import assets
from ..process import confine
from ..process.masking import Masking
from ..system.installed import TooMany, distributions
from . import advice, compiling, installing, interpreters, lacking, leftovers, making, placed, setup, writable
from .takeover import SIZE, Refused, Stopped, take_over

COMPLETE = ".complete"
"""The file that makes a virtualenv complete; holds how it was made."""
CACHE = ".cache"
"""The build user's folder among the virtualenvs, with its cache of packages: a new one for each release, since a package that is
built could change what is in it, and uv does not check again what it has unpacked."""
TAKEN = ".taken"
"""Root's folder among the virtualenvs, where it copies what the build user made; of a run that was killed it is left."""
ALTERED = "altered.json"
"""The file in a release that names what of the source's files its code has no more, or otherwise."""
BOUND = "-bound"
"""What a manifest's `build` ends with where what was made names its release, so that no other can have it."""
ANY_APP = "wsgiref.simple_server:demo_app"
"""Of the standard library; what gunicorn loads while it checks a configuration."""
_ASGI = re.compile(
    r"(?im)^[\s\"'-]*(name = \")?(channels|fastapi|hypercorn|litestar|quart|starlette|uvicorn"
    r"|(?:datasette|fastmcp|gradio|mcp|nicegui|streamlit)(?!-))\b"
)
"""Dependencies by which a first guess is that an app speaks ASGI. A wrong guess costs a second virtualenv: everything is
downloaded again. Of those after the line break there are packages of clients, too, which WSGI apps have."""
ONE_PROCESS = ("flask-socketio", "python-socketio", "python-engineio", "nicegui", "gradio", "streamlit")
"""Distributions that keep a client's session in the process that began it."""
LOSES_STREAMS = ((25, 2, 0), (27, 0, 1))
"""The first and the last gunicorn whose ASGI worker was seen to give up a stream (measured, 25.0.3 to 27.0.1)."""
PROBE_GRACE = 10
"""Seconds that the import probe may take beyond its own deadline before it is killed."""
SPARE_DISK, SPARE_FILES, SPARE_SHARE = 256 * 1024**2, 20_000, 0.02
"""What a build leaves free for the host: so many bytes and files, or this part of a small disk."""
COMPILE_MEMORY = 2 * 1024**3
"""Bytes that Python may take to compile code."""
EXITS, SAID_LAST = "exits-at-import", 10
"""The import probe's word for an app that ends the process; and how many of the lines are shown that it wrote before."""
SAID = 4000
"""Letters of each text in the import probe's answer."""


class BuildError(Exception):
    """A release that cannot be built; the message says why and what to do."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output
        """What it printed; `build` leaves the last lines of it, without secrets."""


class AppError(BuildError):
    """What the app itself ran into while it was loaded, within its sandbox, where more is read-only than on the host."""


class Lacking(BuildError):
    """The release before is not what the controller remembers: the code has to be sent as a whole."""


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
    path, group, log = job.manifest.path, job.manifest.group, job.manifest.log
    if os.path.realpath(f"{job.manifest.root}/current") == path:
        raise BuildError(
            "this release is current but incomplete (is its virtualenv damaged?); it is not built under its own visitors: deploy a changed one"
        )
    for old in (path, _cache(job)):
        if os.path.lexists(old):
            _remove(old)
    logged = os.path.exists(log)
    credentials = dict.fromkeys(job.index.secrets, "package_index_credentials")
    hide = Masking(path, (), credentials)
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.mkdir(path, 0o700)
        _share(path, group, 0o751)
        _code(job)
        _share(f"{path}/code", group, 0o750)
        writable.make_home(names.home(job.manifest.root), job.manifest.user)
        _write_programs(job)
        _write(f"{path}/environment.json", job.environment, 0o640, group)
        hide = Masking(path, job.manifest.secrets, credentials)
        for name, target in (("run", job.manifest.run), ("log", log)):
            os.symlink(target, f"{path}/{name}")
        _open_log(log, group)
        # Which of the variants it is, only the probe knows for sure; it takes a while, as the others do.
        guess = _likely(job)
        if job.interpreter:
            interpreters.ensure(job.interpreter, job.uv, job.index.ca, job.deadline, _disk)
        variant = job.variants[guess]
        _lead_to(variant)
        made = virtualenv(job, variant)
        _suits(job, variant)
        bound = _complete(job)
        _write_variant(variant)
        cell = confine.app(job.manifest, "media")
        folders = tuple(job.manifest.media.values())
        opened = writable.open_media(cell, names.shared(job.manifest.root), folders, job.manifest.nginx_group)
        _set_up(job)
        with ThreadPoolExecutor() as pool:
            compiled = pool.submit(_compile_and_sync, job)
            checked = pool.submit(_check_config, variant)
            interface = guess if _in_use(job) else _probe(job, variant)
        compiled.result()
        if interface == guess:
            checked.result()
        else:
            variant = job.variants[interface]
            _lead_to(variant)
            made = virtualenv(job, variant) or made
            _suits(job, variant)
            _write_variant(variant)
            _check_config(variant)
        manifest = replace(variant.manifest, build=variant.manifest.build + BOUND) if bound else variant.manifest
        there = packages(manifest.venv)
        _write(f"{path}/sbom.json", json.dumps(sbom(manifest, there), indent=2) + "\n", 0o640, group)
        _write(f"{path}/{names.MANIFEST}", written(manifest), 0o640, group)
        _sync(path)
        return Built(manifest, made, [*warnings(manifest, there), *opened])
    except BaseException as exc:
        trees.remove(path)
        if not logged:
            with contextlib.suppress(OSError):
                os.unlink(log)
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
        trees.remove(_cache(job))


def _cache(job: Job) -> str:
    """The build user's folder: one for all that is built of a release, so that a second virtualenv downloads nothing again."""
    return os.path.join(os.path.dirname(job.manifest.venv), CACHE)


def _complete(job: Job) -> bool:
    """Add to the code what its source lacks, and lay out what nginx serves of it; whether no other release can have that."""
    path, group = job.manifest.path, job.manifest.group
    code, contents = f"{path}/code", job.files
    altered: list[str] = []
    bound = False
    try:
        if job.code.release:
            with contextlib.suppress(FileNotFoundError):
                os.link(os.path.join(os.path.dirname(job.code.release), ALTERED), f"{path}/{ALTERED}")
        else:
            # Also what a build puts back as the source has it: what is placed there afterwards is no file of the source's.
            altered = [name for name in contents if os.path.lexists(f"{code}/{name}")]
            if job.make:
                made = making.make(job, job.make, _cache(job), _disk(os.path.dirname(job.manifest.venv)))
                altered, bound = sorted({*altered, *made.altered}), made.bound
                _date(code, job.code.like)
                _share(code, group, 0o750)
            if altered:
                _write(f"{path}/{ALTERED}", json.dumps({"altered": altered}) + "\n", 0o640, group)
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
            manifest.release,
            job.setup,
            lambda words, limit: as_app(manifest, "setup", words, limit),
        )
    except setup.SetupError as exc:
        raise BuildError(str(exc), exc.output) from exc


def _in_use(job: Job) -> bool:
    """Whether the app must not be loaded now: it cannot run twice, and may be running."""
    return not job.manifest.overlap and os.path.lexists(f"{job.manifest.root}/current")


def _suits(job: Job, variant: Variant) -> None:
    """Raise BuildError when the gunicorn that was installed is not one that can serve the app."""
    manifest = variant.manifest
    fault = advice.gunicorn(packages(manifest.venv).get("gunicorn", ""), manifest.worker_class)
    if fault:
        raise BuildError(f"{fault}; it comes from {job.lock.place}")


def _likely(job: Job) -> str:
    """The interface of the release before, or the first one there is a variant for."""
    variants = list(job.variants)
    before = job.code.release or job.code.like
    if before:
        interface = (atomic.read_json(os.path.join(os.path.dirname(before), names.MANIFEST)) or {}).get("interface")
        if interface in variants:
            return str(interface)
    if "asgi" in variants and _ASGI.search(_requirements(job)):
        return "asgi"
    return variants[0]


def _requirements(job: Job) -> str:
    """What the app says of its dependencies, in whichever notation."""
    lock = job.lock
    if lock.text or not lock.file:
        return lock.text or "\n".join(lock.lines)
    try:
        with open(os.path.join(job.manifest.path, "code", lock.file), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""  # it is uv that says so


def _write_programs(job: Job) -> None:
    """The kit's own programs, of which the app's user starts one itself."""
    path, group = job.manifest.path, job.manifest.group
    for name, text in job.programs.items():
        folder = os.path.dirname(f"{path}/{name}")
        if not os.path.isdir(folder):
            os.makedirs(folder, 0o700)
            _share(folder, group, 0o750)
        _write(f"{path}/{name}", text, 0o750 if name == "exec" else 0o640, group)


def _lead_to(variant: Variant) -> None:
    """Let the release's link lead to the virtualenv of the variant: what serves it is in there, too."""
    link = f"{variant.manifest.path}/venv"
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(os.path.relpath(variant.manifest.venv, variant.manifest.path), link)


def _write_variant(variant: Variant) -> None:
    """The files that depend on the interface; the manifest, which makes the release complete, is not one of them."""
    for name, text in variant.files.items():
        _write(f"{variant.manifest.path}/{name}", text, 0o640, variant.manifest.group)


def _share(path: str, group: str, mode: int) -> None:
    """Let a group, beside root, into a folder as far as the mode says. What is in it may be shared with other releases."""
    shutil.chown(path, os.geteuid(), group)
    os.chmod(path, mode)


def _remove(path: str) -> None:
    """Remove what stands in a build's way. Raises BuildError that names what remains."""
    remains = trees.remove(path).remains
    if remains:
        raise BuildError(f"{path} could not be removed: {'; '.join(remains)}")


def _write(path: str, text: str, mode: int, group: str) -> None:
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        shutil.chown(temporary, os.geteuid(), group)
        os.fchmod(out.fileno(), mode)
        out.flush()
        os.fsync(out.fileno())
    os.rename(temporary, path)


def _open_log(path: str, group: str) -> None:
    """The log exists before the manager appends to it, so that the app's group may read it."""
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o640))
        os.chmod(path, 0o640)
        shutil.chown(path, None, group)


def _sync(path: str) -> None:
    """A release survives a power cut right after it was switched to: of all but what `_write` made, `_compile_and_sync` took care."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _code(job: Job) -> None:
    """Unpack the code, or link it from a release that has the same."""
    target, source = f"{job.manifest.path}/code", job.code
    if not source.release:
        os.mkdir(target, 0o755)
        # What a build user gets to write is no file of another release's.
        _keep(target, source.like, source.keep, _copy if job.make else _link)
        with _archive(source) as archive:
            # The controller wrote it and lets no name or link in it leave the folder; Python says the same where it can
            # (PEP 706; Debian 12's 3.11.2 cannot).
            if hasattr(tarfile, "tar_filter"):
                archive.extraction_filter = staticmethod(tarfile.tar_filter)
            archive.extractall(target)  # noqa: S202  # nosec B202 # see above
        if not job.make:
            _date(target, source.like)
    else:
        # Hard links: both releases are read-only and root's.
        shutil.copytree(source.release, target, symlinks=True, copy_function=os.link)


def _keep(target: str, like: str, files: Sequence[str], take: Callable[[str, str], None]) -> None:
    """Take the files that did not change from the release before. Raises Lacking when it has not all of them as they were sent."""
    release = os.path.dirname(like)
    altered = set((atomic.read_json(os.path.join(release, ALTERED)) or {}).get("altered", ()))
    altered.update((atomic.read_json(os.path.join(release, names.MANIFEST)) or {}).get("placed", ()))
    for name in files:
        if name in altered:
            raise Lacking(f"the release before has another {name} than its source")
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        try:
            take(os.path.join(like, name), path)
        except FileNotFoundError as exc:
            raise Lacking(f"the release before has no {name} any more") from exc


def _link(file: str, path: str) -> None:
    os.link(file, path, follow_symlinks=False)


def _copy(file: str, path: str) -> None:
    shutil.copy2(file, path, follow_symlinks=False)


def _archive(source: Code) -> tarfile.TarFile:
    """The code as it was sent: in the job itself, or as a file beside it."""
    if source.stream:
        return tarfile.open(fileobj=io.BytesIO(base64.b64decode(source.stream)), mode="r:*")
    return tarfile.open(source.archive, "r:*")


def _date(target: str, like: str) -> None:
    """Give every file the time of this build, or make it the same file as in the release before, where it is alike.

    The archive carries no times, so that equal code makes equal releases; but web servers tell versions of a file apart
    by time and size.
    """
    for place, _folders, files in os.walk(target):
        for name in files:
            file = os.path.join(place, name)
            if os.path.islink(file):
                continue
            before = os.path.join(like, os.path.relpath(file, target)) if like else ""
            if before and not os.path.islink(before) and os.path.isfile(before) and _alike(before, file):
                if not os.path.samefile(before, file):
                    os.unlink(file)
                    os.link(before, file)
            else:
                os.utime(file)


def _alike(one: str, other: str) -> bool:
    if os.path.samefile(one, other):
        return True
    return os.stat(one).st_mode == os.stat(other).st_mode and filecmp.cmp(one, other, shallow=False)


def _compile_and_sync(job: Job) -> None:
    """Make bytecode, then have everything that was made so far go to the disk."""
    _compile(job)
    os.sync()


def _compile(job: Job) -> None:
    """Bytecode of the code, which nobody may write later: else every worker would compile all of it at each start.

    That of files that did not change is linked from the release before. What cannot be compiled has none, which is no
    fault: the import probe tells whether the app needs it. Each time it is used it is checked against its source (PEP 552),
    so that somebody who edits a release in an emergency sees the edit work.
    """
    path, like = job.manifest.path, job.code.like
    # The interpreter itself, without anything that a package may run at Python's start: we are root.
    python = [job.python, "-I", "-S"]
    asked = subprocess.run(
        [*python, "-c", "import sys; print(sys.implementation.cache_tag)"], stdout=subprocess.PIPE, **_QUIET
    )
    tag = asked.stdout.strip()
    static = tuple(os.path.join(path, "code", folder.strip("/"), "") for folder in job.manifest.static.values())
    secret = {f"{path}/code/{name}" for name in job.files}  # their bytecode would be as secret, and nobody's to read
    todo = []
    for place, _folders, files in os.walk(f"{path}/code"):
        for name in files:
            file = os.path.join(place, name)
            if not name.endswith(".py") or os.path.islink(file) or file.startswith(static) or file in secret:
                continue
            bytecode = _bytecode(file, tag)
            before = os.path.join(like, os.path.relpath(file, f"{path}/code")) if like else ""
            if os.path.exists(bytecode):
                continue
            if before and os.path.exists(_bytecode(before, tag)) and os.path.samefile(before, file):
                os.makedirs(os.path.dirname(bytecode), 0o755, exist_ok=True)
                os.link(_bytecode(before, tag), bytecode)
            elif file.isprintable():  # compileall takes names as lines of text
                todo.append(file)
    if todo:
        compileall = ["-m", "compileall", "-qq", "-j", "0", "--invalidation-mode", "checked-hash", "-i", "-"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            limit = f"--as={COMPILE_MEMORY}"
            subprocess.run(
                ["prlimit", limit, *python, "-X", "utf8", *compileall],
                input="\n".join(todo),
                stdout=subprocess.DEVNULL,
                timeout=job.deadline,
                **_QUIET,
            )


_QUIET: dict[str, Any] = {"cwd": "/", "stderr": subprocess.DEVNULL, "text": True, "errors": "replace", "check": False}


def _bytecode(file: str, tag: str) -> str:
    """Where Python looks for a file's bytecode (PEP 3147)."""
    place, name = os.path.split(file)
    return os.path.join(place, "__pycache__", f"{name.removesuffix('.py')}.{tag}.pyc")


def virtualenv(job: Job, variant: Variant) -> bool:
    """Build the virtualenv of a variant unless it is complete; returns whether it did. Raises BuildError."""
    manifest = job.manifest
    group, path, code = manifest.group, variant.manifest.venv, f"{manifest.path}/code"
    if _whole(path):
        return False
    try:
        builder = pwd.getpwnam(manifest.builder)
    except KeyError:
        raise BuildError(
            f"there is no user {manifest.builder} on this host to build with; run site.yml to make it"
        ) from None
    leftovers.clear(manifest.builder)  # of a build whose run has died
    folder = os.path.dirname(path)
    cache, taken = _cache(job), f"{folder}/{TAKEN}"
    for old in (path, taken):
        _remove(old)
    try:
        os.makedirs(folder, 0o755, exist_ok=True)
        for new in (path, cache):
            if new == path or not os.path.exists(cache):
                os.mkdir(new, 0o700)
                os.chown(new, builder.pw_uid, builder.pw_gid)
        os.chown(code, -1, builder.pw_gid)
        try:
            _install(job, variant, cache)
        finally:
            leftovers.clear(manifest.builder)
            _share(code, group, 0o750)
        os.mkdir(taken, 0o700)
        theirs, ours = f"{taken}/theirs", f"{taken}/ours"
        os.rename(path, theirs)
        try:
            sources = (os.path.dirname(manifest.path), f"{cache}/{manifest.release}")
            reader = grp.getgrnam(group).gr_gid
            take_over(theirs, ours, builder.pw_uid, reader, job.python, sources, _disk(folder), _newest(folder))
            there = distributions(ours)
        except Stopped as exc:
            raise BuildError(f"the virtualenv of {manifest.app} was not built: {exc}") from exc
        except (Refused, TooMany, OSError) as exc:
            raise BuildError(f"the virtualenv of {manifest.app} is not used: {exc}; which package made this?") from exc
        for name in (COMPLETE, f"{COMPLETE}.new"):
            trees.remove(f"{ours}/{name}")  # whoever made one, it was not root
        made = {"python": job.python, "lock": job.lock.hash, "packages": there}
        _write(f"{ours}/{COMPLETE}", json.dumps(made) + "\n", 0o640, group)
        os.rename(ours, path)
    except BaseException:
        # Nothing runs from a virtualenv that was never complete.
        trees.remove(path)
        raise
    finally:
        trees.remove(taken)
    return True


def _newest(folder: str) -> str:
    """The complete virtualenv in `folder` that was made last, most of which a new one has again; empty without any."""
    with os.scandir(folder) as entries:
        complete = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and _whole(entry.path)]
    return max(complete, key=lambda path: os.stat(f"{path}/{COMPLETE}").st_mtime_ns, default="")


def _whole(venv: str) -> bool:
    """Whether a virtualenv is complete: what a build user has left says nothing that counts."""
    try:
        return os.stat(venv).st_uid == os.geteuid() and os.path.exists(f"{venv}/{COMPLETE}")
    except FileNotFoundError:
        return False


def _install(job: Job, variant: Variant, cache: str) -> None:
    """Have the build user make the virtualenv and install all packages. Raises BuildError with what they printed."""
    manifest, lock, python = variant.manifest, job.lock, job.python
    app, venv = manifest.app, manifest.venv
    install = [job.uv, "pip", "install", "--quiet", "--python", f"{venv}/bin/python"]
    what = installing.job(
        path=venv,
        python=python,
        code=f"{manifest.path}/code",
        folder=lock.folder,
        # What the controller made of another tool's lock.
        files=_files(lock, cache),
        # What is built from the source writes beside it, which nobody may in a release.
        copy=f"{cache}/{manifest.release}" if lock.local else "",
        without=list(job.files),
        environment={**_environment(job.index, cache, venv), **lock.scm},
        venv=[job.uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", python, venv],
        dependencies=_dependencies(job, install, cache),
        additions=install,
        packages=variant.packages,
        compiling=inspect.getsource(compiling),
    )
    program = ["/usr/bin/python3", "-I", "-S", "-c", inspect.getsource(installing)]
    cell = confine.builder(app, manifest.builder, [os.path.dirname(venv)], python)
    done = confine.run(program, cell, job.deadline, what, _disk(os.path.dirname(venv)))
    output = done.stderr
    if done.stopped:
        raise BuildError(f"the virtualenv of {app} was not built: {done.stopped}", output)
    if done.timed_out:
        raise BuildError(
            f"the virtualenv of {app} was not built within {job.deadline:g} s; raise timeouts.build, or see what takes so long",
            output,
        )
    if done.status:
        step = done.stdout.strip().rpartition("\n")[2]
        failures = {
            "venv": f"the virtualenv of {app} could not be made with {python}",
            "dependencies": f"the dependencies of {app} ({lock.shown}) could not be installed",
            "additions": f"{', '.join(variant.packages)} could not be installed beside the dependencies of {app}",
        }
        failure = failures.get(step, f"the build of the virtualenv of {app} ended with status {done.status}")
        remedy = advice.failed(output, job.lock.place, app, python)
        raise BuildError(f"{failure}{'; ' if remedy else ''}{remedy}", output)


def _environment(index: Index, cache: str, venv: str) -> dict[str, str]:
    """What uv finds in its environment, which everything finds that it has built: no secret of an app's."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": f"{cache}/home",
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": f"{cache}/uv",
        "UV_NO_EDITABLE": "1",  # nothing in a virtualenv leads into a release
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_PROJECT_ENVIRONMENT": venv,
        "UV_HTTP_TIMEOUT": "60",
    }
    if index.url:
        environment["UV_DEFAULT_INDEX"] = index.url
    if index.extra:
        environment["UV_INDEX"] = " ".join(index.extra)
    if index.strategy:
        environment["UV_INDEX_STRATEGY"] = index.strategy
    if os.path.exists(index.ca):
        environment["SSL_CERT_FILE"] = index.ca
    return environment


def _exported(cache: str) -> str:
    """Where the requirements are that were made from a lock of another tool."""
    return f"{cache}/requirements.txt"


def _listed(cache: str) -> str:
    """Where the constraints are that the inventory lists."""
    return f"{cache}/constraints.txt"


def _files(lock: Lock, cache: str) -> dict[str, str]:
    """Files that a build needs besides those of the source."""
    texts = {_exported(cache): lock.text} if lock.text else {}
    if lock.constraints and not lock.constraints[0]:
        texts[_listed(cache)] = "".join(f"{line}\n" for line in lock.constraints[1:])
    return texts


def _dependencies(job: Job, install: Sequence[str], cache: str) -> list[str]:
    """The command that installs what the app's own lock or requirements name; empty where they name nothing.

    It runs in the lock's folder.
    """
    lock = job.lock
    hashed = ["--require-hashes"] if lock.hashed else []
    if lock.complete:
        # What the lock's own tool resolved is not resolved anew.
        return [*install, "--no-config", "--no-deps", *hashed, "-r", _exported(cache)]
    if lock.kind == "uv.lock":
        sync = ["sync", "--quiet", "--frozen", "--no-dev", "--no-install-project", "--python", job.python]
        return [job.uv, *sync, *(["--package", lock.member] if lock.member else [])]
    constraints = []
    if lock.constraints:
        file = lock.constraints[0]
        constraints = ["-c", os.path.relpath(file, lock.folder or ".") if file else _listed(cache)]
    if lock.kind == "pyproject.toml":
        file = os.path.relpath(lock.file, lock.folder or ".")
        return [*install, *constraints, "-r", _exported(cache) if lock.text else file]
    if lock.text:
        return [*install, "--no-config", *constraints, "-r", _exported(cache)]
    if lock.kind == "list":
        return [*install, "--no-config", *constraints, *lock.lines]
    if lock.kind == "none":
        return []
    # What uv's own settings in the code say is not part of such a lock, so it must not matter (--no-config).
    hashes = hashed if lock.kind == "requirements.txt" else []
    return [*install, "--no-config", *hashes, *constraints, "-r", os.path.relpath(lock.file, lock.folder or ".")]


def _disk(path: str) -> Callable[[], str]:
    """Watches how much of a disk a build takes: says why it has to end, or nothing."""
    disk = os.statvfs(path)
    before = disk.f_bavail * disk.f_frsize
    spare = min(SPARE_DISK, int(disk.f_blocks * disk.f_frsize * SPARE_SHARE))
    spare_files = min(SPARE_FILES, int(disk.f_files * SPARE_SHARE))  # none where a disk has no such limit

    def look() -> str:
        disk = os.statvfs(path)
        left = disk.f_bavail * disk.f_frsize
        if left < spare:
            return f"the disk with {path} is full but for {left // 1024**2} MiB; make room on it"
        if disk.f_favail < spare_files:
            return f"the disk with {path} has room for {disk.f_favail} more files only (df -i); remove some from it"
        if before - left > SIZE:
            return f"it took more than {SIZE // 1024**3} GiB of the disk with {path}; see what its packages write"
        return ""

    return look


def packages(venv: str) -> dict[str, str]:
    """The distributions in a complete virtualenv, normalised name to version: as noted when it was made, or as they are."""
    noted = (atomic.read_json(f"{venv}/{COMPLETE}") or {}).get("packages")
    return {installing.name(name): version for name, version in noted or distributions(venv)}


def warnings(manifest: Manifest, there: Mapping[str, str]) -> list[str]:
    """What the operator should know of how this release is served, given the distributions in its virtualenv."""
    found = []
    sessions = [name for name in ONE_PROCESS if name in there]
    if sessions and manifest.workers > 1:
        found.append(
            f"{sessions[0]} keeps a client's session in one process, but the app has {manifest.workers} workers: "
            "a request that reaches another one may find no session; set `workers: 1`, unless it uses websockets alone "
            "or shares its sessions by a message queue"
        )
    if manifest.worker_class == "asgi" and LOSES_STREAMS[0] <= _version(there.get("gunicorn", "")) <= LOSES_STREAMS[1]:
        found.append(
            f"`worker_class: asgi` of gunicorn {there['gunicorn']} ends a streamed answer without a word once the "
            "app has asked whether its client is still there; leave `worker_class` out, for uvicorn"
        )
    held = advice.websockets(there, manifest.worker_class, manifest.threads, manifest.workers)
    return [*found, held] if held else found


def _version(text: str) -> tuple[int, ...]:
    """The numbers in front of a version."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(int(part[:9]) for part in found[0].split(".")) if found else ()


def sbom(manifest: Manifest, there: Mapping[str, str]) -> dict[str, Any]:
    """What a release consists of besides its own code: every distribution in its virtualenv, as CycloneDX 1.5.

    Without a time or a random number in it: the same virtualenv gives the same text.
    """

    def component(name: str, version: str) -> dict[str, str]:
        purl = f"pkg:pypi/{name}@{urllib.parse.quote(version, safe='')}"
        return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}

    application = {
        "type": "application",
        "bom-ref": f"{manifest.app}@{manifest.release}",
        "name": manifest.app,
        "version": manifest.release,
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": application},
        "components": [component(*pair) for pair in sorted(there.items())],
    }


def as_app(release: Manifest, what: str, command: Sequence[str], deadline: float) -> confine.Outcome:
    """Run `command` as the app's user, in its code, with its environment and within its instance's sandbox.

    Args:
        release: whose.
        what: for what, a word.
        command: the command and its arguments.
        deadline: seconds after which it is killed.
    """
    path = release.path
    code = os.path.join(path, "code", release.folder)
    venv = os.path.realpath(f"{path}/venv")  # as the instance is started: it has one name in sys.path
    launch = [f"{path}/exec", "--chdir", code, "--venv", venv, "--umask", "0027"]
    words = [*launch, f"{path}/environment.json", "--", *command]
    return confine.run(words, confine.app(release, what), deadline)


def _probe(job: Job, variant: Variant) -> str:
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
    done = as_app(manifest, "probe", command, deadline + PROBE_GRACE)
    if done.timed_out:
        raise BuildError(
            f"{module} did not finish importing within {deadline:g} s and could not be asked where it hangs: a blocking call at import; "
            "do such work when a request needs it, or raise timeouts.boot"
        )
    answer = _answer(done.stdout, Masking(manifest.path, manifest.secrets))
    if answer is None:
        raise BuildError(f"{module} ended the import probe (status {done.status}) before it could answer", done.stderr)
    if not answer["ok"]:
        remedy = lacking.needed(f"{answer['message']}\n{answer['detail']}", manifest.app) or answer["hint"]
        hint = f"; {remedy}" if remedy else ""
        # An app that ends itself has said why, if anybody has.
        said = confine.last(done.stderr, SAID_LAST) if answer["kind"] == EXITS else ""
        raise AppError(f"{answer['message']}{hint}", "\n".join(filter(None, (said, answer["detail"]))))
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
        answer = json.loads(stdout.strip().rpartition("\n")[2])
    except (ValueError, RecursionError):
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


def _check_config(variant: Variant) -> None:
    """gunicorn's own opinion of the configuration. Raises BuildError.

    It loads an app, too; the release's own has loaded already, which may have taken long, so that it gets one of Python's.
    """
    manifest = variant.manifest
    gunicorn = f"{manifest.venv}/bin/gunicorn"
    command = [gunicorn, "-c", f"{manifest.path}/gunicorn.conf.py", "--check-config", ANY_APP]
    done = as_app(manifest, "check", command, manifest.timeouts.boot + PROBE_GRACE)
    if done.timed_out:
        raise BuildError(f"gunicorn did not finish checking its configuration within {manifest.timeouts.boot:g} s")
    if done.status:
        raise BuildError(
            "gunicorn refuses its configuration; look at gunicorn_extra, worker_class and threads",
            done.stderr or done.stdout,
        )
