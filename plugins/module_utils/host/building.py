"""Builds a release on the host: code, virtualenv, configuration, and the proof that its module loads.

Everything is written in its final place, since a virtualenv cannot be moved; `manifest.json` is written last and makes
the release complete. What an interrupted build leaves behind has none and is built anew.
"""

from __future__ import annotations

import base64
import contextlib
import filecmp
import importlib.metadata
import io
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tarfile
import urllib.parse
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import assets
from .masking import Masking

COMPLETE = ".complete"
"""The file that makes a virtualenv complete; holds how it was made."""
KILLED = 5.0
"""Seconds within which a killed process's output ends."""
ANY_APP = "wsgiref.simple_server:demo_app"
"""Of the standard library; what gunicorn loads while it checks a configuration."""
PROBE_GRACE = 10
"""Seconds that the import probe may take beyond its own deadline before it is killed."""


class BuildError(Exception):
    """A release that cannot be built; the message says why and what to do."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output
        """The last lines of what failed."""


class Lacking(BuildError):
    """The release before is not what the controller remembers: the code has to be sent as a whole."""


def build(job: Mapping[str, Any]) -> dict[str, Any]:
    """Build the release that `job` describes and return its manifest. Raises BuildError.

    The keys of a job are those that the action `release` writes: see there.
    """
    path, group = job["path"], job["group"]
    if os.path.realpath(f"{os.path.dirname(path)}/../current") == path:
        raise BuildError(
            "this release is current but incomplete (is its virtualenv damaged?); it is not built under its own visitors: deploy a changed one"
        )
    if os.path.lexists(path):
        shutil.rmtree(path)
    logged = os.path.exists(job["log"])
    hide = Masking(path, ())
    try:
        os.makedirs(path, 0o755)
        _code(job)
        try:
            assets.lay_out(path, job["static"], job["nginx_group"])
        except assets.StaticError as exc:
            raise BuildError(str(exc)) from exc
        _write(f"{path}/exec", job["launcher"], 0o755)
        _write(f"{path}/inspect", job["probe"], 0o755)
        _write(f"{path}/environment.json", job["environment"], 0o640, group)
        hide = Masking(path, job["secrets"])
        for name, target in job["links"].items():
            os.symlink(target, f"{path}/{name}")
        _open_log(job["log"], group)
        made = virtualenv(job)
        _write(f"{path}/sbom.json", json.dumps(sbom(job), indent=2) + "\n", 0o644)
        # Which of the variants it is, only the probe knows for sure; it takes a while, as the others do.
        guess = _likely(job)
        _write_variant(job, guess)
        with ThreadPoolExecutor() as pool:
            compiled = pool.submit(_compile_and_sync, job)
            checked = pool.submit(_check_config, job)
            interface = _probe(job)
        compiled.result()
        if interface == guess:
            checked.result()
        else:
            _write_variant(job, interface)
            _check_config(job)
        text = job["variants"][interface]["manifest.json"]
        manifest: dict[str, Any] = json.loads(text)
        _write(f"{path}/manifest.json", text, 0o644)
        _sync(path)
        return {**manifest, "built_virtualenv": made}
    except BaseException as exc:
        shutil.rmtree(path, ignore_errors=True)
        if not logged:
            with contextlib.suppress(OSError):
                os.unlink(job["log"])
        if isinstance(exc, BuildError):
            raise type(exc)(hide(str(exc)), hide(exc.output)) from None
        raise


def _likely(job: Mapping[str, Any]) -> str:
    """The interface of the release before, or the first one there is a variant for."""
    variants: list[str] = list(job["variants"])
    before = job["code"].get("from") or job["code"].get("like")
    if before:
        with contextlib.suppress(OSError, ValueError):
            with open(os.path.join(os.path.dirname(before), "manifest.json"), encoding="utf-8") as handle:
                interface = json.load(handle).get("interface")
            if interface in variants:
                return str(interface)
    return variants[0]


def _write_variant(job: Mapping[str, Any], interface: str) -> None:
    """The files that depend on the interface; the manifest, which makes the release complete, is not yet one of them."""
    for name, text in job["variants"][interface].items():
        if name != "manifest.json":
            _write(f"{job['path']}/{name}", text, 0o644)


def _write(path: str, text: str, mode: int, group: str | None = None) -> None:
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
        if group:
            shutil.chown(temporary, "root" if os.geteuid() == 0 else None, group)
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


def _code(job: Mapping[str, Any]) -> None:
    """Unpack the code, or link it from a release that has the same."""
    target, source = f"{job['path']}/code", job["code"]
    if "from" not in source:
        os.mkdir(target, 0o755)
        _keep(target, source.get("like"), source.get("keep", ()))
        with _archive(source) as archive:
            # The controller wrote it and lets no name or link in it leave the folder; Python says the same where it can
            # (PEP 706; Debian 12's 3.11.2 cannot).
            if hasattr(tarfile, "tar_filter"):
                archive.extraction_filter = staticmethod(tarfile.tar_filter)
            archive.extractall(target)  # noqa: S202  # nosec B202 # see above
        _date(target, source.get("like"))
    else:
        # Hard links: both releases are read-only and root's.
        shutil.copytree(source["from"], target, symlinks=True, copy_function=os.link)


def _keep(target: str, like: str | None, names: Sequence[str]) -> None:
    """Link the files that did not change from the release before. Raises Lacking when it has not all of them."""
    for name in names:
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        try:
            os.link(os.path.join(str(like), name), path, follow_symlinks=False)
        except FileNotFoundError as exc:
            raise Lacking(f"the release before has no {name} any more") from exc


def _archive(source: Mapping[str, Any]) -> tarfile.TarFile:
    """The code as it was sent: in the job itself, or as a file beside it."""
    if "stream" in source:
        return tarfile.open(fileobj=io.BytesIO(base64.b64decode(source["stream"])), mode="r:*")
    return tarfile.open(source["archive"], "r:*")


def _date(target: str, like: str | None) -> None:
    """Give every file the time of this build, or make it the same file as in the release before, where it is alike.

    The archive carries no times, so that equal code makes equal releases; but web servers tell versions of a file apart
    by time and size.
    """
    for place, _folders, names in os.walk(target):
        for name in names:
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


def _compile_and_sync(job: Mapping[str, Any]) -> None:
    """Make bytecode, then have everything that was made so far go to the disk."""
    _compile(job)
    os.sync()


def _compile(job: Mapping[str, Any]) -> None:
    """Bytecode of the code, which nobody may write later: else every worker would compile all of it at each start.

    That of files that did not change is linked from the release before. What cannot be compiled has none, which is no
    fault: the import probe tells whether the app needs it. Each time it is used it is checked against its source (PEP 552),
    so that somebody who edits a release in an emergency sees the edit work.
    """
    path, like = job["path"], job["code"].get("like")
    python = [f"{path}/venv/bin/python", "-I", "-S"]  # nothing of what a package may run at Python's start: we are root
    asked = subprocess.run([*python, "-c", "import sys; print(sys.implementation.cache_tag)"], **_CAPTURED)
    tag = asked.stdout.strip()
    static = tuple(os.path.join(path, "code", folder.strip("/"), "") for folder in job["static"].values())
    todo = []
    for place, _folders, names in os.walk(f"{path}/code"):
        for name in names:
            file = os.path.join(place, name)
            if not name.endswith(".py") or os.path.islink(file) or file.startswith(static):
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
        subprocess.run([*python, "-X", "utf8", *compileall], input="\n".join(todo), **_CAPTURED)


_CAPTURED: dict[str, Any] = {"cwd": "/", "capture_output": True, "text": True, "errors": "replace", "check": False}


def _bytecode(file: str, tag: str) -> str:
    """Where Python looks for a file's bytecode (PEP 3147)."""
    place, name = os.path.split(file)
    return os.path.join(place, "__pycache__", f"{name.removesuffix('.py')}.{tag}.pyc")


def _uv(job: Mapping[str, Any], arguments: Sequence[str], failure: str) -> None:
    """Run uv in the release's code. Raises BuildError with its last lines."""
    index = job["index"]
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": index["cache"],
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_COMPILE_BYTECODE": "1",
        "UV_PROJECT_ENVIRONMENT": job["venv"]["path"],
        "UV_HTTP_TIMEOUT": "60",
    }
    if index.get("url"):
        environment["UV_DEFAULT_INDEX"] = index["url"]
    if index.get("extra"):
        environment["UV_INDEX"] = " ".join(index["extra"])
    if os.path.exists(index["ca"]):
        environment["SSL_CERT_FILE"] = index["ca"]
    done = subprocess.run(
        [job["uv"], *arguments],
        close_fds=False,  # it may outlive us, and nobody is to build in the same place meanwhile: see lock.alone
        cwd=f"{job['path']}/code",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise BuildError(failure, _tail(done.stderr or done.stdout))


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def virtualenv(job: Mapping[str, Any]) -> bool:
    """Build the virtualenv of the job's lock unless it is complete; returns whether it did. Raises BuildError."""
    venv = job["venv"]
    path = venv["path"]
    if os.path.exists(f"{path}/{COMPLETE}"):
        return False
    shutil.rmtree(path, ignore_errors=True)
    try:
        _uv(
            job,
            ["venv", "--quiet", "--python", venv["python"], path],
            f"the virtualenv of {job['name']} could not be made with {venv['python']}",
        )
        _dependencies(job)
        _additions(job)
    except BaseException:
        # Nothing runs from a virtualenv that was never complete.
        shutil.rmtree(path, ignore_errors=True)
        raise
    _write(f"{path}/{COMPLETE}", json.dumps({"python": venv["python"], "lock": venv["lock"]}) + "\n", 0o644)
    return True


def _dependencies(job: Mapping[str, Any]) -> None:
    """Install what the app's own lock or requirements name."""
    venv = job["venv"]
    kind, file, python = venv["kind"], venv["file"], f"{venv['path']}/bin/python"
    failure = f"the dependencies of {job['name']} ({file or 'its requirements'}) could not be installed"
    install = ["pip", "install", "--quiet", "--python", python]
    if kind == "uv.lock":
        sync = ["sync", "--quiet", "--frozen", "--no-dev", "--no-install-project", "--python", venv["python"]]
        _uv(job, sync, failure)
    elif kind == "pyproject.toml":
        _uv(job, [*install, "-r", file], failure)
    elif kind == "list":
        _uv(job, [*install, "--no-config", *venv["lines"]], failure)
    elif kind != "none":
        # What uv's own settings in the code say is not part of such a lock, so it must not matter (--no-config).
        hashes = ["--require-hashes"] if venv["hashed"] and kind == "requirements.txt" else []
        _uv(job, [*install, "--no-config", *hashes, "-r", file], failure)


def _additions(job: Mapping[str, Any]) -> None:
    """Install what the kit adds (gunicorn, a worker class) and the app did not bring; the app's own versions stay."""
    venv = job["venv"]
    there = installed(venv["path"])
    missing = [item for item in venv["packages"] if "[" in item or _name(item) not in there]
    if missing:
        _uv(
            job,
            ["pip", "install", "--quiet", "--python", f"{venv['path']}/bin/python", *missing],
            f"{', '.join(missing)} could not be installed beside the dependencies of {job['name']}",
        )


def _name(requirement: str) -> str:
    """The normalised name in a requirement (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=<>!~ ;]", requirement, maxsplit=1)[0]).lower()


def installed(venv: str) -> dict[str, str]:
    """The distributions in a virtualenv: normalised name to version."""
    import glob

    folders = glob.glob(f"{glob.escape(venv)}/lib/python*/site-packages")
    return {_name(found.metadata["Name"]): found.version for found in importlib.metadata.distributions(path=folders)}


def sbom(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a release consists of besides its own code: every distribution in its virtualenv, as CycloneDX 1.5.

    Without a time or a random number in it: the same virtualenv gives the same text.
    """

    def component(name: str, version: str) -> dict[str, str]:
        purl = f"pkg:pypi/{name}@{urllib.parse.quote(version, safe='')}"
        return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}

    application = {
        "type": "application",
        "bom-ref": f"{job['name']}@{job['id']}",
        "name": job["name"],
        "version": job["id"],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": application},
        "components": [component(*pair) for pair in sorted(installed(job["venv"]["path"]).items())],
    }


def as_app(job: Mapping[str, Any], command: Sequence[str], deadline: float) -> subprocess.CompletedProcess[str]:
    """Run `command` as the app's user, in its code and with its environment, for `deadline` seconds at the most.

    Raises subprocess.TimeoutExpired, with the output so far; the process group is killed then, since an app's import may
    have forked.
    """
    path = job["path"]
    launch = [
        f"{path}/exec",
        "--user",
        job["user"],
        "--chdir",
        f"{path}/code",
        "--venv",
        f"{path}/venv",
        "--umask",
        "0027",
    ]
    process = subprocess.Popen(
        [*launch, f"{path}/environment.json", "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        # What has left the group and goes on may hold the pipes: it is not waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            late.output = "".join(process.communicate(timeout=KILLED))
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _probe(job: Mapping[str, Any]) -> str:
    """Load the app as its user with its environment; returns its interface. Raises BuildError that explains."""
    module, deadline = job["module"], job["boot"]
    command = [
        f"{job['path']}/venv/bin/python",
        "-B",  # bytecode is made meanwhile, of another kind
        f"{job['path']}/inspect",
        module,
        "--code",
        f"{job['path']}/code",
        "--deadline",
        str(deadline),
    ]
    if len(job["variants"]) == 1:
        command += ["--interface", *job["variants"]]
    try:
        done = as_app(job, command, deadline + PROBE_GRACE)
    except subprocess.TimeoutExpired:
        raise BuildError(
            f"{module} did not finish importing within {deadline} s and could not be asked where it hangs: a blocking call at import; "
            "do such work when a request needs it, or raise timeouts.boot"
        ) from None
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise BuildError(
            f"{module} ended the import probe (status {done.returncode}) before it could answer", _tail(done.stderr)
        ) from None
    if not answer["ok"]:
        hint = f"; {answer['hint']}" if answer["hint"] else ""
        raise BuildError(f"{answer['message']}{hint}", answer["detail"])
    if answer["interface"] not in job["variants"]:
        raise BuildError(
            f"{module} speaks {answer['interface']}, but `interface` says {', '.join(job['variants'])}; correct or leave out `interface`"
        )
    return str(answer["interface"])


def _check_config(job: Mapping[str, Any]) -> None:
    """gunicorn's own opinion of the configuration. Raises BuildError.

    It loads an app, too; the release's own has loaded already, which may have taken long, so that it gets one of Python's.
    """
    command = [f"{job['path']}/venv/bin/gunicorn", "-c", f"{job['path']}/gunicorn.conf.py", "--check-config", ANY_APP]
    try:
        done = as_app(job, command, job["boot"] + PROBE_GRACE)
    except subprocess.TimeoutExpired:
        raise BuildError(f"gunicorn did not finish checking its configuration within {job['boot']} s") from None
    if done.returncode:
        raise BuildError(
            "gunicorn refuses its configuration; look at gunicorn_extra, worker_class and threads",
            _tail(done.stderr or done.stdout),
        )


def exists(user: str) -> bool:
    """Whether the system has a user called `user`."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
