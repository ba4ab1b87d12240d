"""``git``: a branch, tag or commit of a repository, through a mirror in the cache."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from ..model.checks import git_ref
from ..model.spelling import as_yaml
from . import lfs, local
from .cache import Cache, key
from .errors import SourceError, masked, printable
from .files import Files, listing, located, walk
from .gitcommand import NETWORK, PROTOCOLS, Result, git

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT = re.compile(r"[0-9a-f]{7,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


SERVE = "GIT_ALLOW_PROTOCOL= GIT_NO_LAZY_FETCH=1 git-upload-pack --strict"
"""What gives us the objects of a repository on this machine. It obeys that repository's configuration, by which it would
fetch what is missing there, with commands that the configuration names. It takes no other folder than the one named."""

SUBMODULES = 100
"""Submodules of a source, those within others included; each is fetched."""


def address(url: str, base: Path) -> tuple[str, bool]:
    """The address to give to git, and whether it is on this machine; a relative folder is taken from ``base``.

    Raises SourceError for anything but a folder, ``user@host:path`` and URLs of PROTOCOLS.
    """
    if url.startswith("-") or _CONTROL.search(url) or not url:
        raise SourceError(
            f"The git address {as_yaml(printable(masked(url)))} is refused: it starts with `-` or is not one line."
        )
    scheme, separator, rest = url.partition("://")
    if "::" in url.partition("/")[0] or (separator and scheme.lower() not in PROTOCOLS):
        raise SourceError(
            f"The git address {printable(masked(url))} has a protocol that is not allowed; use {', '.join(PROTOCOLS)}."
        )
    if separator:
        host = rest.partition("/")[0].rpartition("@")
        if host[0].startswith("-") or host[2].startswith("-"):
            raise SourceError(f"The git address {printable(masked(url))} is refused: its host or user starts with `-`.")
        return url, scheme.lower() == "file"
    before, colon, _ = url.partition(":")
    if colon and "/" not in before:  # user@host:path, git's own rule for what is ssh
        if before.rpartition("@")[2].startswith("-"):
            raise SourceError(f"The git address {printable(masked(url))} is refused: its host starts with `-`.")
        return url, False
    path = located(base, url)
    if not path.exists():
        raise SourceError(f"The git repository {printable(str(path))} does not exist; correct `git`.")
    return str(path.resolve()), True


def check_ref(ref: object) -> str:
    """``ref`` when it can be the name of a branch, tag or commit; raises SourceError otherwise."""
    if not isinstance(ref, str) or not ref:
        raise SourceError(
            f"`version` must be the name of a branch, a tag or a commit, not {as_yaml(ref)}; put a name that looks like a number "
            "in quotes."
        )
    if git_ref(ref):
        raise SourceError(f"`version` {as_yaml(printable(ref))} cannot be a branch, a tag or a commit; correct it.")
    return ref


def label(ref: str) -> str:
    """What a release of ``ref`` is called: the name of the branch or tag, or 12 digits of a commit."""
    return ref[:12] if _SHA.fullmatch(ref) else re.sub(r"^refs/(heads|tags)/", "", ref)


def tree(url: str, ref: str, base: Path, cache: Cache, log: Callable[[str], None]) -> tuple[Files, list[str], str]:
    """Check out ``ref`` of ``url``; returns the files, the warnings and the commit.

    All processes of a run get the commit that the first of them found. Raises SourceError when the repository cannot be
    read or does not have the ref.
    """
    url, near = address(url, base)
    shown = printable(masked(url))
    warnings = []
    if masked(url) != url:
        warnings.append(
            f"{shown}: the address holds a password; let git find it itself, by ssh or a credential helper."
        )
    name = key("git", url)
    with cache.lock(f"git-{name}"):
        mirror = cache.folder("git", name)
        for left in [*mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock")]:
            left.unlink()  # left by a git that was killed: the cache's lock excludes other processes
        _must(git(mirror, "init", "--quiet", "--bare", "--template=", "."), "make the mirror of", shown)
        commit = cache.recall("git", url, ref) or _commit(mirror, url, ref, near, shown, log)
        cache.remember(commit, "git", url, ref)
        root = cache.tree(
            f"git-{key('git', url, commit)}",
            lambda folder: _checkout(folder, mirror, url, commit, near, cache, shown, log),
        )
        files, more = listing(root, walk(root), shown)
    return files, warnings + more, commit


def _must(result: Result, doing: str, shown: str) -> bytes:
    if not result.ok:
        raise SourceError(
            f"Cannot {doing} {shown}: {result.reason}; check the address, and whether this machine may read it."
        )
    return result.output


def _find(mirror: Path, revision: str) -> str | None:
    result = git(mirror, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return result.output.decode().strip() if result.ok else None


def _commit(mirror: Path, url: str, ref: str, near: bool, shown: str, log: Callable[[str], None]) -> str:
    full = bool(_SHA.fullmatch(ref))
    if full and (commit := _find(mirror, ref)):
        return commit  # a commit never changes, so there is nothing to fetch
    log(f"fetching {shown}")
    fetch = ["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
    if near:
        fetch.append(f"--upload-pack={SERVE}")
        url = str(local.repository(local.path(url), local.path(url)))
    _must(
        git(
            mirror,
            *(*fetch, "--prune", "--", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"),
            timeout=NETWORK,
        ),
        "fetch",
        shown,
    )
    if full:
        if not _find(mirror, ref):  # not on a branch: most servers send it by its hash
            git(mirror, *fetch, "--", url, f"+{ref}:refs/slipway/{ref}", timeout=NETWORK)
        candidates = [ref]
    elif ref == "HEAD":  # the default branch
        git(mirror, *fetch, "--", url, "+HEAD:refs/slipway/HEAD", timeout=NETWORK)
        candidates = ["refs/slipway/HEAD"]
    elif ref.startswith("refs/"):
        if not ref.startswith(("refs/heads/", "refs/tags/")):  # for example refs/pull/7/head
            git(mirror, *fetch, "--", url, f"+{ref}:{ref}", timeout=NETWORK)
        candidates = [ref]
    else:
        # A tag before a branch of the same name, as git does; then a short hash.
        candidates = [f"refs/tags/{ref}", f"refs/heads/{ref}", *([ref] if _SHORT.fullmatch(ref) else [])]
    for candidate in candidates:
        if commit := _find(mirror, candidate):
            return commit
    names = _must(git(mirror, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/tags"), "read", shown)
    close = difflib.get_close_matches(ref, names.decode("utf-8", "replace").split("\n"), 1)
    raise SourceError(
        f"{shown} has no branch, tag or commit {printable(ref)}; "
        + (f"did you mean {printable(close[0])}?" if close else "correct `version`, or push it.")
    )


def _checkout(
    folder: Path,
    mirror: Path,
    url: str,
    commit: str,
    near: bool,
    cache: Cache,
    shown: str,
    log: Callable[[str], None],
) -> None:
    """Check out a commit and its submodules with their Git LFS content, but without repositories."""
    log(f"checking out {commit[:12]} of {shown}")
    _must(
        git(mirror, "clone", "--quiet", "--shared", "--no-checkout", "--template=", "--", str(mirror), str(folder)),
        "check out",
        shown,
    )
    # Where submodules with a relative address are.
    _must(git(folder, "config", "remote.origin.url", url), "check out", shown)
    _must(git(folder, "checkout", "--quiet", "--detach", commit, timeout=NETWORK), "check out", shown)
    _submodules(folder, local.path(url) if near else None, shown, log)
    lfs.fill(folder, url, near, lambda address: cache.folder("lfs", key("git", address)), shown, log)
    for at, folders, names in os.walk(folder):
        if ".git" in folders:
            shutil.rmtree(os.path.join(at, ".git"))
            folders.remove(".git")
        if ".git" in names:
            os.unlink(os.path.join(at, ".git"))


def _submodules(top: Path, within: Path | None, shown: str, log: Callable[[str], None]) -> None:
    """Check out the submodules of a checkout, and their submodules.

    A submodule on this machine must be in ``within``. The controller's user could read others, but the author of the
    address may not.

    Args:
        top: The checkout.
        within: The folder that the user named as the source, if it is on this machine.
        shown: The source's name in messages.
        log: Reports progress.
    """
    todo = [top]
    count = 0
    while todo:
        folder = todo.pop()
        modules = folder / ".gitmodules"
        if not os.path.lexists(modules):
            continue
        if modules.is_symlink() or not modules.is_file():
            raise SourceError(f"{shown}: .gitmodules is no regular file; commit it as one.")
        _must(git(folder, "submodule", "--quiet", "init"), "read the submodules of", shown)  # relative addresses, too
        paths = _settings(folder, "path", "--file", str(modules))
        urls = _settings(folder, "url", "--local")
        staged = _must(git(folder, "ls-files", "-z", "--stage"), "read the submodules of", shown)
        commits = {
            path: about.split()[1].decode()
            for about, _tab, path in (line.partition(b"\t") for line in staged.split(b"\0"))
            if about.startswith(b"160000 ")
        }
        for name, path in paths.items():
            if path in commits and name in urls:
                count += 1
                if count > SUBMODULES:
                    raise SourceError(f"{shown}: there are more than {SUBMODULES} submodules; ship less.")
                place = folder / os.fsdecode(path)
                what = f"the submodule {printable(path)} of {shown}"
                log(f"fetching {what}")
                _submodule(top, place, os.fsdecode(urls[name]), commits[path], within, what)
                todo.append(place)


def _settings(folder: Path, what: str, *where: str) -> dict[bytes, bytes]:
    """Read one setting of each submodule, by the submodule's name."""
    read = ("config", "-z", "--no-includes", *where, "--get-regexp", rf"^submodule\..*\.{what}$")
    lines = (line.partition(b"\n") for line in git(folder, *read).output.split(b"\0") if line)
    return {key[len("submodule.") : -len(what) - 1]: value for key, _line, value in lines}


def _submodule(top: Path, place: Path, url: str, commit: str, within: Path | None, shown: str) -> None:
    """Check out a submodule at its place, in a separate repository."""
    url, near = address(url, place)
    start = ["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
    origin = url
    if near:
        if within is None or within.resolve() not in local.path(url).resolve().parents:
            raise SourceError(
                f"Cannot fetch {shown}: {printable(url)} is on this machine and not inside the folder of the source. Give it "
                "an address of http, https, git or ssh, or check it out and deploy by `path`."
            )
        origin = str(local.repository(local.path(url), within))
        start.append(f"--upload-pack={SERVE}")
    # The user's settings may change the address. Even then, git reads nothing on this machine that was not checked above.
    protocols = ["file"] if near else [protocol for protocol in PROTOCOLS if protocol != "file"]
    if not place.is_dir() or place.resolve() != top.resolve() / place.relative_to(top):
        raise SourceError(f"Cannot fetch {shown}: there is something else in its place; correct .gitmodules.")
    _must(git(place, "init", "--quiet", "--template=", "."), "check out", shown)
    _must(git(place, "config", "remote.origin.url", url), "check out", shown)
    into = f"+{commit}:refs/slipway/{commit}"
    if not git(place, *start, "--depth=1", "--", origin, into, protocols=protocols, timeout=NETWORK).ok:
        # A server that gives a commit only as a part of what it has a name for, or no part of a history.
        every = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        _must(git(place, *start, "--", origin, *every, protocols=protocols, timeout=NETWORK), "fetch", shown)
        if not _find(place, commit):
            _must(git(place, *start, "--", origin, into, protocols=protocols, timeout=NETWORK), "fetch", shown)
    _must(git(place, "checkout", "--quiet", "--detach", commit, timeout=NETWORK), "check out", shown)
