"""Has the build user make a virtualenv, and takes it over."""

from __future__ import annotations

import grp
import inspect
import json
import os
from collections.abc import Sequence

from ...contract.job import Index, Job, Lock, Variant
from ..base import atomic, trees
from ..base.ending import ending
from ..process import confine
from ..system.installed import TooMany, distributions
from . import advice, build_user, compiling, installing, wheels
from .disk import watch
from .errors import BuildError
from .release_folder import clear, share, write
from .takeover import Refused, Stopped, take_over
from .virtualenv_bytecode import Bytecode

COMPLETE = ".complete"
"""The file that makes a virtualenv complete; holds how it was made."""
BYTECODE = "bytecode"
"""In COMPLETE the interpreter's tag in the names of the bytecode; empty where some may be lacking. Older ones have none."""
CACHE = ".cache"
"""The build user's folder among the virtualenvs, with its cache of packages.

Each release gets a new one: a package that is built could change its contents, and uv does not check again what it has
unpacked."""
TAKEN = ".taken"
"""Root's folder among the virtualenvs, where it copies what the build user made; of a run that was killed it is left."""


def cache_of(job: Job) -> str:
    """The build user's folder: one for a release, so that a second virtualenv downloads nothing again. `build` removes it."""
    return os.path.join(os.path.dirname(job.manifest.venv), CACHE)


def virtualenv(job: Job, variant: Variant) -> bool:
    """Build the virtualenv of a variant unless it is complete; returns whether it did. Raises BuildError."""
    manifest = job.manifest
    group, path, code = manifest.group, variant.manifest.venv, f"{manifest.path}/code"
    if _whole(path):
        return False
    builder = build_user.begin(manifest.builder)
    folder = os.path.dirname(path)
    cache, taken = cache_of(job), f"{folder}/{TAKEN}"
    for old in (path, taken):
        clear(old)
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
            build_user.clear(manifest.builder)
            share(code, group, 0o750)
        os.mkdir(taken, 0o700)
        theirs, ours = f"{taken}/theirs", f"{taken}/ours"
        os.rename(path, theirs)
        try:
            sources = (os.path.dirname(manifest.path), f"{cache}/{manifest.release_id}")
            reader = grp.getgrnam(group).gr_gid
            like = _newest(folder)
            with _bytecode(job, ours, like) as bytecode:
                take_over(theirs, ours, builder.pw_uid, reader, job.python, sources, watch(folder), bytecode, like)
                installed = distributions(ours)
                compiled, tag = bytecode.finish()
            if compiled:
                _ended(compiled, job)
        except Stopped as exc:
            raise BuildError(f"the virtualenv of {manifest.app} was not built: {exc}") from exc
        except (Refused, TooMany, OSError) as exc:
            raise BuildError(f"the virtualenv of {manifest.app} is not used: {exc}; which package made this?") from exc
        for name in (COMPLETE, f"{COMPLETE}.new"):
            trees.remove(f"{ours}/{name}")  # a build may have made one; root did not
        made = {"python": job.python, "lock": job.lock.hash, "packages": installed, BYTECODE: tag}
        write(f"{ours}/{COMPLETE}", json.dumps(made) + "\n", 0o640, group)
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


def _bytecode(job: Job, copy: str, like: str) -> Bytecode:
    """What makes the bytecode of a copy. Only that is taken from `like` which the same interpreter made for root."""
    before = (atomic.read_json(f"{like}/{COMPLETE}") or {}) if like else {}
    tag = before.get(BYTECODE) or "" if before.get("python") == job.python else ""
    program = [job.python, "-I", "-S", "-X", "utf8", "-c", inspect.getsource(compiling)]
    manifest = job.manifest
    cell = confine.builder(manifest.app, manifest.builder, [], job.python)

    def run(stdin: int, sink: confine.Sink) -> confine.Outcome:
        return confine.run(program, cell, job.deadline, stdin, watch(os.path.dirname(copy)), sink)

    return Bytecode(copy, run, like, tag)


def _ended(result: confine.Outcome, job: Job) -> None:
    """Raise BuildError when a part of a build was ended before it was done."""
    app = job.manifest.app
    if result.stopped:
        raise BuildError(f"the virtualenv of {app} was not built: {result.stopped}", result.stderr)
    if result.timed_out:
        raise BuildError(
            f"the virtualenv of {app} was not built within {job.deadline:g} s; raise timeouts.build, or see what takes so long",
            result.stderr,
        )


def _install(job: Job, variant: Variant, cache: str) -> None:
    """Have the build user make the virtualenv and install all packages. Raises BuildError with what they printed."""
    manifest, lock, python = variant.manifest, job.lock, job.python
    app, venv = manifest.app, manifest.venv
    install = [job.uv, "pip", "install", "--quiet", "--python", f"{venv}/bin/python"]
    needed, wanted = wheels.split(variant.packages)
    what = installing.job(
        path=venv,
        code=f"{manifest.path}/code",
        folder=lock.folder,
        # What the controller made of another tool's lock.
        files={**_files(lock, cache), **{_wheel(cache, package): text for package, text in wanted.items()}},
        # What is built from the source writes beside it, and a release is read-only.
        copy=f"{cache}/{manifest.release_id}" if lock.local else "",
        without=list(job.files),
        environment={**_environment(job.index, cache, venv), **lock.scm},
        venv=[job.uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", python, venv],
        dependencies=_dependencies(job, install, cache),
        additions=install,
        packages=needed,
        wheel=[*install, "--no-deps", "--require-hashes", "--only-binary=:all:"],
        wheels={package: _wheel(cache, package) for package in wanted},
    )
    program = ["/usr/bin/python3", "-I", "-S", "-c", inspect.getsource(installing)]
    cell = confine.builder(app, manifest.builder, [os.path.dirname(venv)], python)
    result = confine.run(program, cell, job.deadline, what, watch(os.path.dirname(venv)))
    output = result.stderr
    _ended(result, job)
    if result.status:
        step = result.stdout.strip().rpartition("\n")[2]
        failures = {
            "venv": f"the virtualenv of {app} could not be made with {python}",
            "dependencies": f"the dependencies of {app} ({lock.shown}) could not be installed",
            "additions": f"{', '.join(needed)} could not be installed beside the dependencies of {app}",
        }
        failure = failures.get(step, f"the build of the virtualenv of {app} ended with {ending(result.status)}")
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


def _wheel(cache: str, package: str) -> str:
    """Where the requirement of a wheel and its hashes are."""
    return f"{cache}/{installing.name(package)}.wheel.txt"


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
        # What the lock's own tool resolved is not resolved again.
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
