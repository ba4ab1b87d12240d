"""What of its host an app lacks, by what a build, an import or an exception says: the words to write into the inventory.

The names are Debian's. For what no table knows, a rule names it, or the message says where to look.

Every call on a host imports this, and only a failure needs it. So patterns are compiled, and other modules imported, when they are
used: it took 6 ms of each call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

DEVELOPMENT = {
    "pg_config libpq-fe.h libpq pq": ("PostgreSQL's client library", "libpq-dev"),
    "mysql_config mysql.h mysqlclient mariadb mariadb_config libmariadb": ("MySQL's client library", "default-libmysqlclient-dev pkg-config"),
    "ldap.h lber.h sasl/sasl.h sasl.h ldap lber": ("OpenLDAP's headers", "libldap-dev libsasl2-dev"),
    "xml2-config xslt-config libxml/xmlversion.h xmlversion.h libxml/tree.h libxslt/xslt.h libxml-2.0 libxslt xml2 xslt": ("libxml2 and libxslt", "libxml2-dev libxslt1-dev"),
    "xmlsec1 xmlsec/xmlsec.h": ("the library xmlsec", "libxmlsec1-dev pkg-config"),
    "ffi.h libffi ffi": ("libffi's headers", "libffi-dev"),
    "jpeglib.h jpeg libjpeg": ("image libraries", "libjpeg-dev zlib1g-dev"),
    "zlib.h zlib z": ("zlib's headers", "zlib1g-dev"),
    "freetype2 ft2build.h freetype": ("FreeType", "libfreetype-dev pkg-config"),
    "cairo.h cairo": ("cairo", "libcairo2-dev pkg-config"),
    "pango pangocairo pango/pango.h": ("Pango", "libpango1.0-dev pkg-config"),
    "gobject-introspection-1.0 girepository-2.0": ("GObject introspection", "libgirepository1.0-dev libcairo2-dev pkg-config"),
    "gdal-config gdal.h gdal GDAL": ("GDAL", "libgdal-dev"),
    "geos-config geos_c.h geos GEOS": ("GEOS", "libgeos-dev"),
    "proj.h proj PROJ": ("PROJ", "libproj-dev proj-bin"),
    "magic.h magic libmagic": ("libmagic", "libmagic-dev"),
    "krb5-config gssapi.h gssapi/gssapi.h krb5.h krb5 krb5-gssapi": ("Kerberos", "libkrb5-dev"),
    "sql.h sqlext.h odbc": ("unixODBC", "unixodbc-dev"),
    "libavformat libavcodec libavdevice libavutil libavfilter libswscale libswresample libavformat/avformat.h": ("FFmpeg's libraries", "libavformat-dev libavcodec-dev libavdevice-dev libavutil-dev libavfilter-dev libswscale-dev libswresample-dev pkg-config"),
    "sndfile.h sndfile": ("libsndfile", "libsndfile1-dev"),
    "portaudio.h portaudio-2.0 portaudio": ("PortAudio", "portaudio19-dev"),
    "openssl/ssl.h openssl/opensslv.h openssl/evp.h openssl OpenSSL ssl crypto": ("OpenSSL", "libssl-dev pkg-config"),
    "curl-config curl/curl.h libcurl curl": ("curl's library", "libcurl4-openssl-dev"),
    "bzlib.h bz2": ("bzip2", "libbz2-dev"),
    "lzma.h lzma liblzma": ("liblzma", "liblzma-dev"),
    "yaml.h yaml yaml-0.1": ("libyaml", "libyaml-dev"),
    "snappy-c.h snappy": ("snappy", "libsnappy-dev"),
    "sqlite3.h sqlite3": ("SQLite", "libsqlite3-dev"),
    "hdf5.h hdf5": ("HDF5", "libhdf5-dev pkg-config"),
    "gmp.h gmp": ("GMP", "libgmp-dev"),
    "mpfr.h mpfr": ("MPFR", "libmpfr-dev"),
    "systemd/sd-daemon.h libsystemd systemd": ("systemd's library", "libsystemd-dev pkg-config"),
    "dbus/dbus.h dbus-1": ("D-Bus", "libdbus-1-dev libglib2.0-dev pkg-config"),
    "glib.h glib-2.0": ("GLib", "libglib2.0-dev pkg-config"),
    "cups/cups.h": ("CUPS", "libcups2-dev"),
    "vips vips/vips.h": ("libvips", "libvips-dev pkg-config"),
    "openblas OpenBLAS BLAS LAPACK lapack": ("a linear algebra library", "libopenblas-dev pkg-config"),
    "memcached.h libmemcached/memcached.h": ("memcached's client library", "libmemcached-dev"),
    "graphviz graphviz/cgraph.h": ("Graphviz", "libgraphviz-dev pkg-config"),
    "Python.h": ("Python's headers", ""),
}  # fmt: skip
"""Programs, headers, modules of pkg-config, names for the linker: what they are of, and the packages to build against it."""
DISTRIBUTIONS = {
    "psycopg2": "pq", "psycopg-c": "pq", "mysqlclient": "mysqlclient", "python-ldap": "ldap", "xmlsec": "xmlsec1", "lxml": "libxml-2.0",
    "pillow": "jpeg", "pycairo": "cairo", "pygobject": "gobject-introspection-1.0", "gdal": "gdal", "pyodbc": "odbc", "pycurl": "libcurl",
    "gssapi": "krb5", "av": "libavformat", "pyaudio": "portaudio", "dbus-python": "dbus-1", "systemd-python": "libsystemd", "cffi": "ffi",
    "pygraphviz": "graphviz", "pyproj": "proj", "shapely": "geos",
}  # fmt: skip
"""Distributions that are often built, and a name of what each needs: what they say first is seldom all that they lack."""
TOOLS = {
    "cargo rustc": ("a compiler for Rust", "cargo"),
    "cmake": ("CMake", "cmake"),
    "gfortran": ("a compiler for Fortran", "gfortran"),
    "swig": ("SWIG", "swig"),
    "ninja": ("Ninja", "ninja-build"),
    "pkg-config pkgconf pkgconfig": ("pkg-config, and the library that it looks for", "pkg-config"),
    "make": ("make", "build-essential"),
    "autoreconf automake": ("autotools", "autoconf automake libtool"),
    "git": ("git", "git"),
}
"""Programs that a build starts."""
COMPILER = "build-essential"
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libxml2.so.2": "libxml2",
    "libX11.so.6": "libx11-6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libgeos_c.so.1": "libgeos-c1v5",
    "libmysqlclient.so.21": "default-libmysqlclient-dev",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libxmlsec1-openssl.so.1": "libxmlsec1-openssl",
    "libstdc++.so.6": "libstdc++6",
}
"""Shared libraries whose package is not called by the rule."""
LOADED = {
    "libmagic": "libmagic1",
    "cairo": "libcairo2",
    "gobject-2.0": "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
    "pango-1.0": "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
    "pangoft2-1.0": "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
    "sndfile": "libsndfile1",
    "portaudio": "libportaudio2",
    "zbar": "libzbar0",
    "libpq": "libpq5",
    "pq": "libpq5",
    "gdal": "gdal-bin",
    "geos": "libgeos-c1v5",
    "spatialite": "libsqlite3-mod-spatialite",
    "vips": "libvips42",
    "enchant": "libenchant-2-2",
    "odbc": "libodbc2",
    "opus": "libopus0",
    "usb": "libusb-1.0-0",
}
"""Libraries that an app looks for by name while it runs."""
PROGRAMS = {
    "ffmpeg": "ffmpeg", "ffprobe": "ffmpeg", "tesseract": "tesseract-ocr", "gs": "ghostscript", "convert": "imagemagick",
    "magick": "imagemagick", "identify": "imagemagick", "pdftoppm": "poppler-utils", "pdftotext": "poppler-utils",
    "pdfinfo": "poppler-utils", "dot": "graphviz", "pandoc": "pandoc", "wkhtmltopdf": "wkhtmltopdf", "git": "git",
    "node": "nodejs", "npm": "npm", "exiftool": "libimage-exiftool-perl", "soffice": "libreoffice-core", "sox": "sox",
    "libreoffice": "libreoffice-core", "gettext": "gettext", "msgfmt": "gettext", "psql": "postgresql-client",
    "pg_dump": "postgresql-client", "mysqldump": "default-mysql-client", "chromium": "chromium", "qpdf": "qpdf",
}  # fmt: skip
"""Programs that apps start."""

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.+/-]*"
_WHOLE = rf"(?<![A-Za-z0-9_.+/-])/?({_WORD})"
"""A word from its beginning: an untrusted package writes this output, and a search from each letter of a long one takes hours."""
_NAMED = (
    rf"fatal error: ({_WORD}\.(?:h|hh|hpp)): No such file",
    rf"ld(?:\.\w+)?: cannot find -l({_WORD})",
    rf"Package '?({_WORD})'?(?:, required by '[^']*', not found| was not found in the pkg-config search path)",
    rf"No package '({_WORD})' found",
    rf"Dependency lookup for ({_WORD}) with method",
    rf"Dependency \"({_WORD})\" not found",
)
"""How builds name what they lack, so that a message can say it also where no table knows it."""
_MENTIONED = (
    rf"Could NOT find ({_WORD})",
    rf"Could not find a package configuration file provided by \"({_WORD})\"",
    rf"The headers or library files could not be found for ({_WORD})",
    rf"{_WHOLE}(?: executable)?\S{{0,2}}(?: is| was)?(?:: command)? (?:not found|required to build)",
    rf"[Cc]an(?:not|'t) find (?:the )?({_WORD})",
    rf"No such file or directory: '({_WORD})'",
    rf"(?:command|program) '({_WORD})' (?:failed: No such file|not found)",
    rf"Program '?({_WORD})'? (?:found: NO|not found)",
    rf"{_WHOLE} must be installed to build",
)
"""How they mention it among much else: what no table knows is none of it."""
_SENTENCES = (
    (r"Specify MYSQLCLIENT_CFLAGS", "mysqlclient"),
    (r"make sure the libxml2 and libxslt development packages are installed", "libxml-2.0"),
    (r"can't find Rust compiler|Rust toolchain|rustup\.rs", "cargo"),
    (r"CMake must be installed|CMake is (?:required|not installed)|Problem with the CMake installation", "cmake"),
    (r"RequiredDependencyException: jpeg", "jpeg"),
    (r"RequiredDependencyException: zlib", "zlib"),
)  # fmt: skip
_PKG_CONFIG = (
    r"Did not find pkg-config|Pkg-config (?:binary|for machine)[^\n]{0,200}(?:NO|not found)|Unable to invoke pkg-config"
)
_FAILED = r"(?:Failed to build|failed to build|Building wheel for) `?([A-Za-z0-9][\w.-]*)"
_COMPILER = (
    r"(?:command|program) '?(?:[\w-]+-linux-gnu-)?(?:gcc|cc|g\+\+|c\+\+)'? (?:failed: No such file|not found)"
    r"|No such file or directory: '?(?:[\w-]*gcc|cc|c\+\+|g\+\+)'?|Unknown compiler\(s\)|No CMAKE_C\w*_COMPILER could be found"
    r"|linker `cc` not found|(?:gcc|cc|g\+\+): (?:command )?not found"
)
_SHARED = r"(lib[A-Za-z0-9_.+-]{1,100}\.so(?:\.[0-9]+)*): cannot open shared object file"
_BY_NAME = (
    r"failed to find (libmagic)|[Nn]o library called \"(?:lib)?([\w.-]+?)(?:-\d+)?\" was found|cannot load library '(?:lib)?([\w.-]+?)(?:-\d+)?(?:\.so[\d.]*)?'"
    r"|(sndfile|PortAudio) library not found|Unable to find (zbar) shared|(libpq) library not found|Could not find the (GDAL|GEOS) library"
    r"|Unable to load the (Spatia[Ll]ite) library|The '?(enchant)'? C library was not found"
)
_STARTED = r"No such file or directory: '(?:/usr/bin/)?([a-z0-9_-]+)'|(?:^|[\s:])([a-z0-9_-]+): (?:command )?not found"


def built(output: str, app: str, python: str) -> str:
    """What to write so that a package can be built, as the end of a sentence; empty where nothing of it is known.

    `python` is the interpreter that it is built for.
    """
    lacking = _lacking(output)
    if lacking is None and not re.search(_COMPILER, output):
        return ""
    what, packages = lacking or ("a compiler", [])
    for match in re.finditer(_FAILED, output):
        name = DISTRIBUTIONS.get(re.sub(r"[-_.]+", "-", match[1]).lower(), "")
        if name:
            what, more = _table(DEVELOPMENT)[name]
            packages = [*more, *packages]
            break
    # What comes next is known already: it would be the next failure.
    if lacking is None or any(name.endswith("-dev") for name in packages) or what == "Python's headers":
        packages = [*packages, *toolchain(python)]
    packages = list(dict.fromkeys(packages))
    if not packages:
        return (
            f"a package is built here and needs {what}: write the Debian package that has it (packages.debian.org searches by "
            f"content) into apps.{app}.system_packages.build"
        )
    other = ", or take psycopg2-binary for psycopg2" if "libpq-dev" in packages and "psycopg2" in output else ""
    return f"a package is built here and needs {what}: write {_key('build', packages)} into apps.{app}{other}"


def _lacking(output: str) -> tuple[str, list[str]] | None:
    """What a build lacks and the packages with it, none where no table knows them."""
    known = _table(DEVELOPMENT) | _table(TOOLS)
    unknown = ""
    for sentence, name in _SENTENCES:
        if re.search(sentence, output):
            return known[name]
    for pattern in (*_NAMED, *_MENTIONED):
        for match in re.finditer(pattern, output):
            name = match[1]
            for one in (name, name.rpartition("/")[2], name.lower()):
                if one in known:
                    return known[one]
            if pattern in _NAMED:
                unknown = unknown or name
    if not unknown and re.search(_PKG_CONFIG, output):
        return known["pkg-config"]
    return (unknown, []) if unknown else None


def toolchain(python: str) -> list[str]:
    """The packages of what every build needs and this host lacks: a compiler, and the headers of the host's own Python."""
    from shutil import which

    remedies = [] if which("cc") or which("gcc") else [COMPILER]
    version = re.fullmatch(r"/usr/bin/python(3(?:\.\d+)?)", os.path.realpath(python))
    if version and not os.path.exists(f"/usr/include/python{version[1]}/Python.h"):
        remedies.append(
            "python3-dev"
            if os.path.realpath("/usr/bin/python3") == os.path.realpath(python)
            else f"python{version[1]}-dev"
        )
    return remedies


def needed(text: str, app: str) -> str:
    """What to write so that an app finds a library or program, as a sentence's end; empty where it lacks none."""
    if match := re.search(_SHARED, text):
        name = match[1]
        return f"{name} is a library of the system: write {_key('run', [_package_of(name)])} into apps.{app}"
    if match := re.search(_BY_NAME, text):
        missing = next(name for name in match.groups() if name).lower()
        if packages := LOADED.get(missing):
            return f"{missing} is a library of the system: write {_key('run', packages.split())} into apps.{app}"
    for match in re.finditer(_STARTED, text):
        name = match[1] or match[2]
        if name in PROGRAMS:
            return f"{name} is a program of the system: write {_key('run', [PROGRAMS[name]])} into apps.{app}"
    return ""


_ABSENT = r"(?m)^ModuleNotFoundError: No module named '([A-Za-z_]\w*)(?:\.[\w.]*)?'"


def absent(text: str) -> str:
    """What to do about a Python module that an app could not import, as a sentence's end; empty where it lacks none."""
    from ...programs.probe.distributions import OWN_NAMES, named

    names = re.findall(_ABSENT, text)
    if not names:
        return ""
    if OWN_NAMES.fullmatch(names[-1]):
        return (
            f"if {names[-1]} is the app's own, see whether git ignores it; if a package brings it, add that to the app's "
            "dependencies, and deploy again"
        )
    return f"to import {names[-1]}, add {named(names[-1])} to the app's dependencies, and deploy again"


_CHAIN = r"\n(?:The above exception was the direct cause|During handling of the above exception)"
_EXCEPTION = r"[A-Za-z_][\w.]*: .+"
SHOWN = 300
"""Letters of an exception in a message."""
NO_ROOM = ("Read-only file system", "Permission denied")
"""What the system says to who writes where it may not."""


def began(text: str) -> str:
    """The exception that a chain of them began with, as a sentence's end: the last one often says less. Empty for no chain."""
    head, *more = re.split(_CHAIN, text, maxsplit=1)
    line = head.rstrip().rpartition("\n")[2].strip()
    return f"it began with {line[:SHOWN]}" if more and re.fullmatch(_EXCEPTION, line) else ""


def unwritable(text: str, root: str) -> str:
    """Where an app may write, as a sentence's end, when it could not somewhere; empty when it says nothing of that."""
    if not any(word in text for word in NO_ROOM):
        return ""
    made = "; what belongs to the release itself is made by the app's `build`" if f"{root}/releases/" in text else ""
    return (
        f"the app may write in {root}/shared (the variable SLIPWAY_SHARED), in {root}/home (HOME), in /tmp, and where "
        f"`sandbox.write` says; have it keep the file there{made}"
    )


def remedy(text: str, root: str) -> str:
    """What to change after a command or an app of the app at `root` failed with `text`; empty if it is not known."""
    return unwritable(text, root) or needed(text, os.path.basename(root)) or absent(text)


def _package_of(library: str) -> str:
    """The package of a shared library: by a table, or by Debian's rule (Policy 8.1): libfoo.so.2 is in libfoo2."""
    if library in LIBRARIES:
        return LIBRARIES[library]
    stem, _, version = library.partition(".so")
    name = stem.lower().replace("_", "-")
    number = version.lstrip(".").partition(".")[0]
    return f"{name}-{number}" if name[-1].isdigit() and number else f"{name}{number}"


def _key(kind: str, packages: Sequence[str]) -> str:
    return f"`system_packages: {{{kind}: [{', '.join(packages)}]}}`"


def _table(entries: dict[str, tuple[str, str]]) -> dict[str, tuple[str, list[str]]]:
    return {name: (what, packages.split()) for names, (what, packages) in entries.items() for name in names.split()}
