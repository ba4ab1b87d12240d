"""What reads the words of untrusted programs as root or on the controller takes a time in proportion to their length."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract import queries
from ansible_collections.slipway.kit.plugins.module_utils.host.base import space
from ansible_collections.slipway.kit.plugins.module_utils.host.build import (
    advice,
    building,
    interpreters,
    lacking,
    setup,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.run import access, logbook, logs
from ansible_collections.slipway.kit.plugins.module_utils.host.system import installed, packages
from ansible_collections.slipway.kit.plugins.module_utils.programs.certificates import (
    authority,
    confined,
    logged,
    pairs,
)
from ansible_collections.slipway.kit.plugins.module_utils.sources import _SUBMODULE, errors, locks, vcs
from ansible_collections.slipway.kit.plugins.modules import tool

from tests.patience import slowness

SIZE = 256 * 1024
LIMIT = 1.5
"""Seconds of processor time on the reference machine. A search that is quadratic takes a minute."""


def _explained(text: str) -> str:
    settings: Any = SimpleNamespace(authority=SimpleNamespace(directory="https://acme.test", profile="x", eab=None))
    return authority.explain(settings, authority.Reply(confined.Outcome(1, text, False), logged.parse(text)))


def _interpreter(text: str) -> str:
    wanted: Any = SimpleNamespace(url="", version="3.13.1")
    return interpreters._reason(text, "https://python.test", wanted)


READERS: dict[str, Callable[[str], object]] = {
    "the authority": _explained,
    "the host's account": authority.NEW_ACCOUNT.search,
    "a chain": lambda text: pairs.CERTIFICATE.findall(text.encode()),
    "uv": lambda text: advice.failed(text, "requirements.txt", "shop", "/usr/bin/python3"),
    "a build": lambda text: lacking.built(text, "shop", "/usr/bin/python3"),
    "an app's library": lambda text: lacking.needed(text, "shop"),
    "an app's module": lacking.absent,
    "an app's exceptions": lacking.began,
    "a command's tables": setup._TABLE.search,
    "an app's requirements": building._ASGI.search,
    "uv's interpreter": _interpreter,
    "pip": lambda text: tool.refusal("uv", subprocess.CompletedProcess([], 1, "", text)),
    "a full disk": space.RAISED.search,
    "apt": lambda text: (packages.TELLING.findall(text), packages._ABSENT.findall(text)),
    "a distribution's name": lambda text: (installed.NAME.search(text), installed.VERSION.search(text)),
    "a query": queries.masked,
    "a request": access.parse,
    "a line of a log": lambda text: (
        logbook.STAMP.match(text),
        logbook.REQUEST.search(text),
        logbook.TRACEBACK.match(text),
    ),
    "a traceback": lambda text: logs._RAISED.fullmatch(text),
    "git": errors.masked,
    "a submodule": lambda text: _SUBMODULE.findall(text.encode()),
    "a lock": locks._poetry_versions,
    "a requirement": lambda text: vcs.taken("git+https://git.test/x " + text, "."),
}
BLOCKS = (
    "profile ",
    "account ",
    "Identifier: x\nType: ",
    "a",
    "a-",
    "a/",
    "a==",
    "lib",
    "lib.so",
    " ",
    "\n",
    "\n ",
    "1 ",
    "Package 'a', required by '",
    "Hash mismatch Expected: ",
    "Expected sha256 a ",
    "Pkg-config binary ",
    "relation ",
    "E: Package '",
    "[Errno 28] No space left on device: '",
    "http://a:",
    "?a=",
    '"',
    "path = ",
    "-----BEGIN CERTIFICATE----- ",
)
BEGINS = (
    "ModuleNotFoundError: No module named '",
    "path = ",
    "Name: ",
    ">=1",
    "- - [",
    "Hash mismatch Expected: ",
    "Expected sha256 ",
)


@pytest.mark.parametrize("name", READERS)
def test_a_text_is_read_in_a_time_in_proportion_to_it(name: str) -> None:
    for begin, block in (*(("", block) for block in BLOCKS), *product(BEGINS, ("a", " ", "1 ", "\n"))):
        text = (begin + block * (SIZE // len(block)))[: SIZE - 1] + "!"
        before = time.process_time()
        READERS[name](text)
        spent = time.process_time() - before
        assert spent < LIMIT * slowness(), f"{begin!r} and {block!r} over and over: {spent:.1f} s"


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("x\nPkg-config for machine host machine: NO", "pkg-config"),
        ("/usr/bin/ld: cannot find -lxyz123", "xyz123"),
        ("sh: 1: /usr/bin/pg_config: not found", "libpq-dev"),
        ("error: pg_config executable not found.", "libpq-dev"),
    ],
)
def test_a_build_still_names_what_it_lacks(output: str, sentence: str) -> None:
    assert sentence in lacking.built(output, "shop", "/usr/bin/python3")


def test_the_hash_of_an_archive_is_found_before_and_after() -> None:
    text = "error: x\n  cause: Hash mismatch for `cpython`\n\nExpected:\n  aaaa\n\nComputed:\n  bbbb\n"
    assert "has the SHA-256 bbbb, and not aaaa" in _interpreter(text)
    result = subprocess.CompletedProcess([], 1, "", "ERROR: THESE\n  Expected sha256 aaaa\n       Got        bbbb\n")
    assert "sha256:bbbb" in tool.refusal("uv", result)


def test_a_folder_of_a_submodule_is_found() -> None:
    assert _SUBMODULE.findall(b'[submodule "x"]\n\tpath = lib/x y \t\r\n url = z\n') == [b"lib/x y \t\r"]
