"""The system packages that a build or an import lacks are reported in the words of the inventory."""

from __future__ import annotations

import os
import shutil

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.build import lacking

BUILDS = {
    "Error: pg_config executable not found.": "libpq-dev",
    "  x Failed to build `psycopg2==2.9.10`\n Error: pg_config executable not found.": "libpq-dev",
    "/bin/sh: 1: pkg-config: not found\n  Exception: Can not find valid pkg-config name.\n Specify MYSQLCLIENT_CFLAGS and MYSQLCLIENT_LDFLAGS env vars manually": "default-libmysqlclient-dev, pkg-config",
    "/bin/sh: 1: mysql_config: not found": "default-libmysqlclient-dev, pkg-config",
    "Modules/common.h:15:10: fatal error: lber.h: No such file or directory": "libldap-dev, libsasl2-dev",
    "src/x.c:5:10: fatal error: sasl/sasl.h: No such file or directory": "libldap-dev, libsasl2-dev",
    "Error: Please make sure the libxml2 and libxslt development packages are installed.": "libxml2-dev, libxslt1-dev",
    "  x Failed to build `xmlsec==1.3.14`\n  Exception: Unable to invoke pkg-config.": "libxmlsec1-dev, pkg-config",
    "c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory": "libffi-dev",
    "__main__.RequiredDependencyException: jpeg": "libjpeg-dev, zlib1g-dev",
    "The headers or library files could not be found for zlib,": "zlib1g-dev",
    "Package 'cairo', required by 'virtual:world', not found": "libcairo2-dev, pkg-config",
    '../meson.build:36:12: ERROR: Dependency "cairo" not found, tried pkgconfig and cmake': "libcairo2-dev, pkg-config",
    "Package libavformat was not found in the pkg-config search path.": "libavformat-dev",
    "gdal_config_error: [Errno 2] No such file or directory: 'gdal-config'": "libgdal-dev",
    "/bin/sh: 1: krb5-config: not found": "libkrb5-dev",
    "src/pyodbc.h:56:10: fatal error: sql.h: No such file or directory": "unixodbc-dev",
    "/usr/bin/ld: cannot find -lpq: No such file or directory": "libpq-dev",
    "CMake Error: Could NOT find OpenSSL, try to set the path to OpenSSL root folder": "libssl-dev, pkg-config",
    "error: can't find Rust compiler": "cargo",
    "FileNotFoundError: [Errno 2] No such file or directory: 'cmake'": "cmake",
    "error: command 'swig' failed: No such file or directory": "swig",
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without a compiler and without Python's headers."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setattr(os.path, "realpath", lambda path: "/usr/bin/python3.11")


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lacking, "toolchain", lambda python: [])


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(("output", "packages"), BUILDS.items())
def test_a_build_that_lacks_something(output: str, packages: str) -> None:
    advice = lacking.built(output, "shop", "/usr/bin/python3")
    assert f"write `system_packages: {{build: [{packages}" in advice
    assert advice.partition(", or take")[0].endswith("into apps.shop")
    assert "\n" not in advice


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("output", "packages"),
    [
        ("Error: pg_config executable not found.", "libpq-dev, build-essential, python3-dev"),
        ("src/x.c:5:10: fatal error: Python.h: No such file or directory", "build-essential, python3-dev"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "build-essential, python3-dev"),
        ("  x Failed to build `psycopg2==2.9.10`\n error: command 'gcc' failed: No such file or directory", "libpq-dev, build-essential, python3-dev"),
        ("error: linker `cc` not found", "build-essential, python3-dev"),
        ("error: can't find Rust compiler", "cargo"),
    ],
)  # fmt: skip
def test_what_the_next_failure_would_be_is_reported_at_once(output: str, packages: str) -> None:
    assert f"{{build: [{packages}]}}" in lacking.built(output, "shop", "/usr/bin/python3")


@pytest.mark.usefixtures("ready")
def test_what_no_table_knows() -> None:
    advice = lacking.built("a.c:1:10: fatal error: odd/thing.h: No such file or directory", "shop", "/usr/bin/python3")
    assert "needs odd/thing.h: write the Debian package that has it" in advice
    assert "apps.shop.system_packages.build" in advice
    advice = lacking.built("Package 'oddity', required by 'virtual:world', not found", "shop", "/usr/bin/python3")
    assert "needs oddity: write the Debian package" in advice


@pytest.mark.parametrize(
    "output",
    ["", "error: something else", "ValueError: cannot find the answer", "Program cmake found: YES (/usr/bin/cmake)\nerror: no",
     "FileNotFoundError: [Errno 2] No such file or directory: 'README.md'", "  x Failed to build `psycopg2==2.9.10`\n SyntaxError: invalid syntax"],
)  # fmt: skip
def test_another_failure_is_left_alone(output: str) -> None:
    assert lacking.built(output, "shop", "/usr/bin/python3") == ""


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ("ImportError: libpq.so.5: cannot open shared object file: No such file or directory", "libpq5"),
        ("ImportError: libGL.so.1: cannot open shared object file: No such file or directory", "libgl1"),
        ("OSError: libsndfile.so.1: cannot open shared object file", "libsndfile1"),
        ("libglib-2.0.so.0: cannot open shared object file", "libglib2.0-0"),
        ("libpango-1.0.so.0: cannot open shared object file", "libpango-1.0-0"),
        ("libldap-2.5.so.0: cannot open shared object file", "libldap-2.5-0"),
        ("libodbc.so.2: cannot open shared object file", "libodbc2"),
        ("libmariadb.so.3: cannot open shared object file", "libmariadb3"),
        ("ImportError: failed to find libmagic.  Check your installation", "libmagic1"),
        ("OSError: cannot load library 'libgobject-2.0-0': libgobject-2.0-0: cannot open", "libpango-1.0-0, libpangoft2-1.0-0, libharfbuzz-subset0"),
        ('OSError: no library called "cairo-2" was found', "libcairo2"),
        ("ImproperlyConfigured: Could not find the GDAL library (tried ...)", "gdal-bin"),
        ("ImportError: no pq wrapper available.\n- couldn't import psycopg 'python' implementation: libpq library not found", "libpq5"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'", "ffmpeg"),
        ("/bin/sh: 1: pdftotext: not found", "poppler-utils"),
    ],
)  # fmt: skip
def test_an_app_that_lacks_something(text: str, packages: str) -> None:
    advice = lacking.needed(text, "shop")
    assert f"write `system_packages: {{run: [{packages}]}}` into apps.shop" in advice


@pytest.mark.parametrize(
    "text", ["", "FileNotFoundError: [Errno 2] No such file or directory: 'config.yml'", "KeyError: 'ffmpeg'"]
)
def test_what_is_no_library_or_program_of_the_systems(text: str) -> None:
    assert lacking.needed(text, "shop") == ""


def test_where_an_app_may_write() -> None:
    advice = lacking.unwritable("OSError: [Errno 30] Read-only file system: '/var/lib/data'", "/srv/shop")
    for place in ("/srv/shop/shared (the variable SLIPWAY_SHARED)", "/srv/shop/home (HOME)", "/tmp"):
        assert place in advice
    assert lacking.unwritable("KeyError: 'x'", "/srv/shop") == ""


def test_every_table_leads_somewhere() -> None:
    known = lacking._table(lacking.DEVELOPMENT) | lacking._table(lacking.TOOLS)
    assert set(lacking.DISTRIBUTIONS.values()) <= set(known)
    assert {name for _, name in lacking._SENTENCES} <= set(known)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("Traceback:\nModuleNotFoundError: No module named 'yaml.cyaml'\n", "to import yaml, add PyYAML to"),
        ("ModuleNotFoundError: No module named 'ticker_tape'", "(usually ticker-tape)"),
        ("ModuleNotFoundError: No module named 'settings'", "if settings is the app's own"),
        ("  ModuleNotFoundError: No module named 'quoted'", ""),
        ("ImportError: cannot import name 'x'", ""),
    ],
)
def test_a_module_that_could_not_be_imported(text: str, advice: str) -> None:
    assert advice in lacking.absent(text)
    assert bool(advice) == bool(lacking.absent(text))
