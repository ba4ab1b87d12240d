"""The app's own metadata, equal to those of an installation, but without one."""

from __future__ import annotations

import importlib.metadata
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.sources import fetch
from ansible_collections.slipway.kit.plugins.module_utils.sources.metadata import scm_version

HATCH = '\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
SETUPTOOLS = '\n[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
SCM = '\n[build-system]\nrequires = ["setuptools", "setuptools-scm>=8"]\n'
STATIC = '[project]\nname = "Tick.er-app"\nversion = "1.4"\ndependencies = ["flask>=3"]\n'
DYNAMIC = '[project]\nname = "ticker"\ndynamic = ["version"]\n'


@pytest.fixture
def shipped(tmp_path: Path):
    """Ship a source, and unpack it."""

    def unpacked(files: dict[str, str], **source: str) -> Path:
        for name, content in {"web.py": "", **files}.items():
            (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "app" / name).write_text(content)
        tree = fetch({"path": "app", **source}, requirements=[], base=tmp_path, cache=tmp_path / "cache", log=print)
        tree.write_tar(tmp_path / "code.tar")
        with tarfile.open(tmp_path / "code.tar") as archive:
            archive.extractall(tmp_path / "code", filter="data")
        return tmp_path / "code"

    return unpacked


def known(code: Path) -> dict[str, str]:
    return {
        distribution.metadata["Name"]: distribution.version
        for distribution in importlib.metadata.distributions(path=[str(code)])
    }


def test_an_app_finds_itself_with_its_entry_points(shipped):
    code = shipped(
        {"pyproject.toml": STATIC + '[project.entry-points."shop.plugins"]\nmail = "shop.mail:Plugin"\n' + HATCH}
    )
    (distribution,) = importlib.metadata.distributions(path=[str(code)])
    assert (distribution.metadata["Name"], distribution.version, distribution.requires) == (
        "Tick.er-app",
        "1.4",
        ["flask>=3"],
    )
    (point,) = distribution.entry_points
    assert (point.group, point.name, point.value) == ("shop.plugins", "mail", "shop.mail:Plugin")


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"pyproject.toml": '[tool.poetry]\nname = "ticker"\nversion = "1.4"\n[build-system]\nrequires=["poetry-core"]\n'}, "1.4"),
        (
            {
                "pyproject.toml": DYNAMIC + '[tool.setuptools.dynamic]\nversion = {attr = "ticker.__version__"}\n' + SETUPTOOLS,
                "src/ticker/__init__.py": '__version__ = "2.0"\n',
            },
            "2.0",
        ),
        ({"pyproject.toml": DYNAMIC + '[tool.setuptools.dynamic]\nversion = {file = ["VERSION"]}\n' + SETUPTOOLS, "VERSION": "2.1\n"}, "2.1"),
        ({"pyproject.toml": DYNAMIC + '[tool.hatch.version]\npath = "ticker.py"\n' + HATCH, "ticker.py": "__version__ = '2.2'"}, "2.2"),
        ({"pyproject.toml": SETUPTOOLS, "setup.cfg": "[metadata]\nname = ticker\nversion = attr: ticker.version\n", "ticker.py": "version = '2.3'"}, "2.3"),
        ({"pyproject.toml": DYNAMIC + '[build-system]\nrequires=["flit_core"]\nbuild-backend="flit_core.buildapi"\n', "ticker/__init__.py": "__version__ = '2.4'"}, "2.4"),
    ],
)  # fmt: skip
def test_where_a_version_stands(shipped, files, version):
    assert known(shipped(files)) == {"ticker": version}


def test_the_version_of_a_tag(shipped):
    project = DYNAMIC + '[tool.setuptools_scm]\nversion_file = "ticker/_version.py"\n' + SCM
    code = shipped({"pyproject.toml": project, "ticker/__init__.py": ""}, version="v1.2.0")
    assert known(code) == {"ticker": "1.2.0"}
    assert "version = '1.2.0'" in (code / "ticker/_version.py").read_text()


@pytest.mark.parametrize(
    ("label", "version"),
    [("v1.2.0", "1.2.0"), ("shop-1.2", "1.2"), ("release/2.0rc1", "2.0rc1"), ("main", "0.dev0+g0123abcd"), ("", "0.dev0+g0123abcd")],
)  # fmt: skip
def test_tags(label, version):
    assert scm_version(label, "0123abcdef") == version


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": STATIC},  # no package: uv does not install it either
        {"pyproject.toml": STATIC + HATCH + "[tool.uv]\npackage = false\n"},
        {"pyproject.toml": DYNAMIC + HATCH},
        {"pyproject.toml": STATIC.replace("Tick.er-app", "../x") + HATCH},
        {"pyproject.toml": STATIC.replace("1.4", "1\\n2") + HATCH},
        {"pyproject.toml": "<<<"},
        # Reading such a key would take minutes.
        {"pyproject.toml": STATIC + HATCH + "[" + "a." * 400_000 + "a]\n", "requirements.txt": ""},
        {},
    ],
)
def test_where_there_is_nothing_to_say(shipped, files):
    assert not known(shipped(files))


def test_metadata_that_are_there_stay(shipped):
    info = "Metadata-Version: 2.1\nName: ticker\nVersion: 9\n"
    files = {"pyproject.toml": STATIC.replace("Tick.er-app", "ticker") + HATCH, "ticker.egg-info/PKG-INFO": info}
    assert known(shipped(files)) == {"ticker": "9"}


def test_in_the_apps_own_folder(shipped):
    code = shipped({"backend/pyproject.toml": STATIC + HATCH, "backend/web.py": ""}, folder="backend")
    assert known(code / "backend") == {"Tick.er-app": "1.4"}


def test_what_is_built_learns_the_version(tmp_path):
    for name, content in {"pyproject.toml": DYNAMIC + SCM, "requirements.txt": ".\n"}.items():
        (tmp_path / name).write_text(content)

    def lock(version: str):
        source = {"path": str(tmp_path), "version": version}
        return fetch(source, requirements=None, base=tmp_path, cache=tmp_path / "cache", log=print).lock

    assert lock("v1.2.0").scm == {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_TICKER": "1.2.0"}
    assert lock("v1.2.0").hash != lock("v1.3.0").hash

    (tmp_path / "pyproject.toml").write_text(SCM)
    (tmp_path / "setup.cfg").write_text("[metadata]\nname = old-ticker\n")
    assert lock("v1.2.0").scm == {"SETUPTOOLS_SCM_PRETEND_VERSION_FOR_OLD_TICKER": "1.2.0"}
    (tmp_path / "pyproject.toml").write_text(SCM.replace("setuptools-scm", "poetry-dynamic-versioning"))
    assert lock("v1.2.0").scm == {"POETRY_DYNAMIC_VERSIONING_BYPASS": "1.2.0"}
