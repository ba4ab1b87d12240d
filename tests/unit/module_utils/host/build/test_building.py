"""Real builds of a release on this machine, as this user; a failed one leaves nothing."""

from __future__ import annotations

import base64
import contextlib
import grp
import gzip
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import programs
from ansible_collections.slipway.kit.plugins.module_utils.contract.job import (
    Code,
    Index,
    Job,
    Lock,
    Make,
    Setup,
    Variant,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.base import processes
from ansible_collections.slipway.kit.plugins.module_utils.host.build import (
    building,
    contents,
    disk,
    errors,
    installing,
    proving,
    virtualenv,
)
from ansible_collections.slipway.kit.plugins.module_utils.host.build.building import Built
from ansible_collections.slipway.kit.plugins.module_utils.host.build.errors import BuildError
from ansible_collections.slipway.kit.plugins.module_utils.host.process.masking import Masking
from ansible_collections.slipway.kit.plugins.module_utils.host.system import releases as marks

from tests import releases
from tests.patience import patience

ROOT = Path(__file__).parents[5]
APPS = ROOT / "tests/fixtures/apps"
BIN = Path(sys.executable).parent


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app's root with a complete virtualenv: this one."""
    monkeypatch.setattr(processes, "end_everything", lambda user: None)  # the build user is the one that runs the tests
    venv = tmp_path / "site/venvs/done/bin"
    venv.mkdir(parents=True)
    for name, target in (("python", sys.executable), ("gunicorn", str(BIN / "gunicorn"))):
        (venv / name).write_text(f'#!/bin/sh\nexec {target} "$@"\n')
        (venv / name).chmod(0o755)
    (venv.parent / virtualenv.COMPLETE).touch()
    (tmp_path / "log").mkdir()
    return tmp_path / "site"


def job(site: Path, app: str = "good_wsgi", **changes: Any) -> dict[str, Any]:
    release_id = "v1-00000000"
    path = site / "releases" / release_id
    archive = site / f"{app}.tar"
    subprocess.run(["tar", "-C", APPS / app, "-cf", archive, "."], check=True)
    manifest = {"release": release_id, "workers": 2, "threads": 8, "worker_class": "gthread"}
    files = {"gunicorn.conf.py": 'wsgi_app = "web:app"\n', "manifest.json": json.dumps(manifest)}
    return {
        "name": "site",
        "id": release_id,
        "path": str(path),
        "folder": "",
        "dependencies": "requirements.txt",
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
        "builder": pwd.getpwuid(os.getuid()).pw_name,
        "manager": "systemd",
        "unit_file": "unit",
        "build": 60,
        "module": "web:app",
        "boot": 5,
        "overlap": True,
        "log": str(site.parent / "log/v1.log"),
        "links": {"run": str(site.parent / "run")},
        "nginx_group": grp.getgrgid(os.getgid()).gr_name,
        "static": {},
        "home": str(site / "home"),
        "root": str(site),
        "shared": str(site / "shared"),
        "media": [],
        "variants": {
            "wsgi": {**files, "unit": "wsgi\n"},
            "asgi": {**files, "unit": "asgi\n"},
        },
        "environment": json.dumps({"GREETING": "Ahoy"}),
        "secrets": [],
        "programs": programs.of_release(log_reader=False),
        "interpreter": {},
        "venvs": {kind: {"path": str(site / "venvs/done"), "packages": []} for kind in ("wsgi", "asgi")},
        "venv": {
            "python": sys.executable,
            "lock": "0",
            "kind": "none",
            "file": None,
            "shown": "its requirements",
            "hashed": False,
            "local": False,
            "lines": [],
            "folder": "",
            "member": "",
            "text": "",
            "complete": False,
            "constraints": [],
            "scm": {},
        },
        "uv": "/nonexistent",
        "index": {"url": None, "extra": [], "ca": "/nonexistent", "strategy": None, "secrets": []},
        "code": {"archive": str(archive)},
        "files": {},
        "make": None,
        "setup": {"commands": [], "timeout": 10},
        **changes,
    }


def ready(fields: dict[str, Any]) -> Job:
    """The contract's job for the fields of these tests."""
    venv, index, make = fields["venv"], fields["index"], fields["make"]
    variants = {}
    for kind, files in fields["variants"].items():
        manifest_json = json.loads(files["manifest.json"])
        manifest = releases.manifest(
            app=fields["name"],
            release_id=fields["id"],
            interface=kind,
            venv=fields["venvs"][kind]["path"],
            run=fields["links"]["run"],
            static=fields["static"],
            media={f"/{folder}/": folder for folder in fields["media"]},
            secrets=tuple(fields["secrets"]),
            **{
                name: fields[name]
                for name in ("path", "folder", "user", "group", "builder", "manager", "unit_file", "log")
            },
            **{name: fields[name] for name in ("root", "module", "overlap", "nginx_group")},
            **{name: value for name, value in manifest_json.items() if name != "release"},
        )
        timeouts = replace(manifest.timeouts, boot=fields["boot"])
        texts = {name: text for name, text in files.items() if name != "manifest.json"}
        variants[kind] = Variant(replace(manifest, timeouts=timeouts), tuple(fields["venvs"][kind]["packages"]), texts)
    code = {("folder" if name == "from" else name): value for name, value in fields["code"].items()}
    return Job(
        variants=variants,
        code=Code(**code),
        **{name: fields[name] for name in ("environment", "files", "programs", "uv")},
        python=venv["python"],
        interpreter=None,
        lock=Lock(
            place=fields["dependencies"],
            hash=venv["lock"],
            file=venv["file"] or "",
            **{name: venv[name] for name in ("kind", "shown", "folder", "member", "text", "complete", "scm")},
            **{name: venv[name] for name in ("hashed", "local")},
            constraints=tuple(venv["constraints"]),
            lines=tuple(venv["lines"]),
        ),
        index=Index(**{**index, "extra": tuple(index["extra"]), "secrets": tuple(index["secrets"])}),
        make=make
        and Make(
            commands=tuple(make["commands"]),
            environment=json.loads(make["environment"]),
            files=make["files"],
            unset=tuple(make["unset"]),
        ),
        setup=Setup(fields["setup"]["commands"], fields["setup"]["timeout"]),
        deadline=fields["build"],
    )


def build(fields: dict[str, Any]) -> Built:
    return building.build(ready(fields))


def make_virtualenv(fields: dict[str, Any]) -> bool:
    venv = {"path": fields["venv"]["path"], "packages": fields["venv"]["packages"]}
    wanted = ready({**fields, "venvs": {"wsgi": venv, "asgi": venv}})
    return virtualenv.virtualenv(wanted, wanted.variants["wsgi"])


def left(site: Path) -> list[str]:
    return [
        path.name for folder in (site / "releases", site.parent / "log") if folder.exists() for path in folder.iterdir()
    ]


@pytest.mark.parametrize(("app", "interface"), [("good_wsgi", "wsgi"), ("good_asgi", "asgi")])
def test_a_good_one(site: Path, app: str, interface: str) -> None:
    made = build(job(site, app))
    path = site / "releases/v1-00000000"
    assert (made.manifest.release_id, made.virtualenv, made.warnings) == ("v1-00000000", False, [])
    assert os.readlink(path / "venv") == "../../venvs/done"
    assert (path / "unit").read_text() == f"{interface}\n"
    assert stat.S_IMODE((path / "environment.json").stat().st_mode) == 0o640
    assert stat.S_IMODE((site.parent / "log/v1.log").stat().st_mode) == 0o640
    assert not list(path.glob("*.new"))
    if os.getuid() == 0:
        assert {file.owner() for file in path.rglob("*") if file.exists()} == {"root"}


@pytest.mark.parametrize(("before", "checks"), [("wsgi", ["wsgi", "asgi"]), ("asgi", ["asgi"])])
def test_the_configuration_is_checked_for_the_interface_of_the_release_before(
    site: Path, monkeypatch: pytest.MonkeyPatch, before: str, checks: list[str]
) -> None:
    """And once more when the app has another one."""
    like = site / "releases/v0-00000000"
    (like / "code").mkdir(parents=True)
    (like / "manifest.json").write_text(json.dumps({"interface": before}))
    seen, check = [], proving.check_config

    def noted(variant: Variant) -> None:
        seen.append(Path(variant.manifest.path, "unit").read_text().strip())
        check(variant)

    monkeypatch.setattr(building, "check_config", noted)
    wanted = job(site, "good_asgi")
    wanted["code"]["like"] = str(like / "code")
    build(wanted)
    assert seen == checks
    assert (site / "releases/v1-00000000/unit").read_text() == "asgi\n"


def test_code_comes_as_a_file_or_in_the_job_itself(site: Path) -> None:
    path, contents_of_both = site / "releases/v1-00000000/code", []
    for way in ("archive", "stream"):
        wanted = job(site)
        if way == "stream":
            archive = Path(wanted["code"]["archive"]).read_bytes()
            wanted["code"] = {"stream": base64.b64encode(archive).decode()}
        build(wanted)
        contents_of_both.append({str(one.relative_to(path)): one.read_bytes() for one in path.rglob("*.py")})
    assert contents_of_both[0] == contents_of_both[1] != {}


def test_what_did_not_change_is_linked_from_the_release_before(site: Path) -> None:
    before = site / "releases/v0-00000000/code"
    (before / "shop").mkdir(parents=True)
    (before / "shop/kept.py").write_text("kept")
    (before / "gone.py").write_text("gone")
    (before / "link").symlink_to("shop")
    os.utime(before / "shop/kept.py", (1, 1))
    wanted = job(site)
    wanted["code"] |= {"like": str(before), "keep": ["shop/kept.py", "link"]}
    build(wanted)
    code = site / "releases/v1-00000000/code"
    assert (code / "shop/kept.py").samefile(before / "shop/kept.py")
    assert (code / "shop/kept.py").stat().st_mtime == 1, "a browser's copy of it is still good"
    assert os.readlink(code / "link") == "shop"
    assert (code / "web.py").exists()
    assert not (code / "gone.py").exists()


def test_bytecode_is_made_at_build(site: Path) -> None:
    """Code gets bytecode, static files do not, and unchanged code is not compiled again."""
    like = site / "releases/v0-00000000/code"
    folder, tag = site / "source", sys.implementation.cache_tag
    (folder / "assets").mkdir(parents=True)
    for name, text in {
        "web.py": "from kept import app",
        "kept.py": (APPS / "good_wsgi/web.py").read_text(),
        "python2.py": "print 'no'",
        "assets/demo.py": "1",
    }.items():
        (folder / name).write_text(text)
    subprocess.run(["tar", "-C", folder, "-cf", site / "first.tar", "."], check=True)
    other = {"id": "v0-00000000", "path": str(like.parent), "log": str(site.parent / "log/v0.log")}
    build(job(site, code={"archive": str(site / "first.tar")}, static={"/assets/": "assets"}, **other))
    made = sorted(str(one.relative_to(like)) for one in like.rglob("*.pyc"))
    assert made == [f"__pycache__/kept.{tag}.pyc", f"__pycache__/web.{tag}.pyc"]

    (folder / "web.py").write_text("from kept import app  # anew")
    subprocess.run(["tar", "-C", folder, "-cf", site / "second.tar", "web.py"], check=True)
    build(job(site, code={"archive": str(site / "second.tar"), "like": str(like), "keep": ["kept.py"]}))
    code = site / "releases/v1-00000000/code"
    assert (code / made[0]).samefile(like / made[0])
    assert not (code / made[1]).samefile(like / made[1])
    flags = (code / made[1]).read_bytes()[4]
    assert flags == 0b11, "checked by a hash of the source (PEP 552)"


def test_static_texts_get_compressed_copies_that_are_no_code(site: Path) -> None:
    folder = site / "source"
    (folder / "assets").mkdir(parents=True)
    (folder / "web.py").write_text((APPS / "good_wsgi/web.py").read_text())
    (folder / "assets/a.css").write_text("a { color: red }\n" * 100)
    subprocess.run(["tar", "-C", folder, "-cf", site / "first.tar", "."], check=True)
    build(job(site, code={"archive": str(site / "first.tar")}, static={"/assets/": "assets"}))
    release = site / "releases/v1-00000000"
    assert gzip.decompress((release / "static/assets/a.css.gz").read_bytes()) == (folder / "assets/a.css").read_bytes()
    assert not (release / "code/assets/a.css.gz").exists()

    (folder / "web.py").write_text((APPS / "good_wsgi/web.py").read_text() + "# changed\n")
    subprocess.run(["tar", "-C", folder, "-cf", site / "second.tar", "web.py"], check=True)
    code = {"archive": str(site / "second.tar"), "like": str(release / "code"), "keep": ["assets/a.css"]}
    other = {"id": "v2-00000000", "path": str(site / "releases/v2-00000000"), "log": str(site.parent / "log/v2.log")}
    build(job(site, code=code, static={"/assets/": "assets"}, **other))
    assert (site / "releases/v2-00000000/static/assets/a.css.gz").samefile(release / "static/assets/a.css.gz")


def test_a_release_before_that_lacks_a_file_is_distinguished(site: Path) -> None:
    wanted = job(site)
    wanted["code"] |= {"like": str(site / "releases/v0-00000000/code"), "keep": ["lost.py"]}
    with pytest.raises(errors.Lacking, match=r"has no lost\.py any more"):
        build(wanted)
    assert left(site) == []


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("raises", "importing web failed at settings.py:2"),
        ("exits", "sys.exit(0) at web.py:3"),
        ("not_callable", "web:app is not callable"),
        ("missing_module", "; did you mean"),
        ("sleeps", "did not end within 1 s"),
    ],
)
def test_what_does_not_load_leaves_nothing(site: Path, app: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        build(job(site, app, boot=1))
    assert message in str(caught.value)
    assert left(site) == []
    assert (site / "venvs/done/.complete").exists()


def test_an_import_that_forks_is_killed_with_its_children(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a probe that ignores its deadline, or ends without an answer: its whole group ends."""
    monkeypatch.setattr(proving, "PROBE_GRACE", 1)
    source, note = site / "forks", site / "pid"
    source.mkdir()
    (source / "web.py").write_text(
        "import os, signal, time\nsignal.alarm(0)\nfor s in (14, 15, 1, 2): signal.signal(s, signal.SIG_IGN)\n"
        f"pid = os.fork()\nif not pid: time.sleep(60)\nopen({str(note)!r}, 'w').write(str(pid))\nos._exit(0)\n"
    )
    archive = site / "forks.tar"
    subprocess.run(["tar", "-C", source, "-cf", archive, "."], check=True)
    started = time.monotonic()
    with pytest.raises(BuildError):
        build(job(site, code={"archive": str(archive)}, boot=1))
    assert time.monotonic() - started < patience(10)
    state = Path("/proc", note.read_text(), "stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
    assert left(site) == []


def test_a_bad_release_that_is_built_again_stays_bad(site: Path) -> None:
    """Its folder is incomplete, and is replaced. Only the switch may prove it good."""
    (site / "releases/v1-00000000").mkdir(parents=True)
    marks.mark_bad(str(site), "v1-00000000", "rolled back")
    build(job(site))
    assert marks.why_bad(str(site), "v1-00000000") == "rolled back"


def test_the_bill_of_materials_names_what_is_installed(site: Path) -> None:
    packages = site / "venvs/done/lib/python3.11/site-packages"
    for folder, name, version in (
        ("b", "Zope.Interface", "7.2"),
        ("a", "my_flask", "1.0+local.1"),
        ("c", "abc", "1!2.0"),
    ):
        (packages / f"{folder}.dist-info").mkdir(parents=True)
        (packages / f"{folder}.dist-info/METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    texts = []
    for release_id in ("v1-00000000", "v1-00000000"):
        build(job(site))
        path = site / "releases" / release_id / "sbom.json"
        texts.append(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert texts[0] == texts[1]
    bill = json.loads(texts[0])
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert bill["metadata"]["component"]["name"] == "site"
    assert [(one["name"], one["version"], one["purl"]) for one in bill["components"]] == [
        ("abc", "1!2.0", "pkg:pypi/abc@1%212.0"),
        ("my-flask", "1.0+local.1", "pkg:pypi/my-flask@1.0%2Blocal.1"),
        ("zope-interface", "7.2", "pkg:pypi/zope-interface@7.2"),
    ]


def test_what_serves_an_app_is_in_its_virtualenv_once_its_interface_is_known(site: Path) -> None:
    """A virtualenv of a wrong guess is not touched: another release may run from it."""
    asgi = site / "venvs/asgi"
    subprocess.run(["cp", "-a", site / "venvs/done", asgi], check=True)
    fields = job(site, "good_asgi")
    fields["venvs"]["asgi"]["path"] = str(asgi)
    build(fields)
    assert os.readlink(site / "releases/v1-00000000/venv") == "../../venvs/asgi"


@pytest.mark.parametrize(
    ("lines", "guess"),
    [
        (["flask"], "wsgi"),
        (["fastapi==0.115.*"], "asgi"),
        (["flask", "Channels>4"], "asgi"),
        (["starlettes"], "wsgi"),
        (["gradio==6.31.0"], "asgi"),
        (["flask", "gradio-client"], "wsgi"),
        (["streamlit[snowflake]>1"], "asgi"),
    ],
)
def test_dependencies_tell_a_first_guess(site: Path, lines: list[str], guess: str) -> None:
    fields = job(site)
    fields["venv"]["lines"] = lines
    assert building._likely(ready(fields)) == guess
    fields["venv"] |= {"lines": [], "file": "uv.lock"}
    (Path(fields["path"]) / "code").mkdir(parents=True)
    (Path(fields["path"]) / "code/uv.lock").write_text(
        "".join(f'[[package]]\nname = "{line.split("=")[0].split(">")[0].lower()}"\n' for line in lines)
    )
    assert building._likely(ready(fields)) == guess


def test_commands_start_from_the_virtualenvs_real_path(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe, gunicorn's check and hooks then have one name for it in sys.path."""
    seen: list[list[str]] = []
    real = proving.confine.run

    def noted(command: list[str], *rest: Any) -> Any:
        seen.append(list(command))
        return real(command, *rest)

    monkeypatch.setattr(proving.confine, "run", noted)
    build(job(site))
    started = [argv for argv in seen if argv[0].endswith("/exec")]
    assert len(started) == 2
    for argv in started:
        assert argv[argv.index("--venv") + 1] == str(site / "venvs/done")
        assert argv[argv.index("--") + 1].startswith(f"{site}/venvs/done/bin/")


@pytest.mark.parametrize(
    ("workers", "worker_class", "installed", "message"),
    [
        (2, "gevent", {"flask-socketio": "5", "python-socketio": "5"}, "flask-socketio keeps a client's session"),
        (1, "gevent", {"flask-socketio": "5"}, ""),
        (1, "gthread", {"flask-socketio": "5"}, "takes one of the app's 8 threads"),
        (2, "gthread", {"flask": "3"}, ""),
        (2, "threads", {"gunicorn": "99.0"}, "`gthread` serves instead"),
        (2, "asgi", {"gunicorn": "27.0.1"}, "`worker_class: asgi` of gunicorn 27.0.1"),
        (2, "asgi", {"gunicorn": "25.2.0"}, "`worker_class: asgi` of gunicorn 25.2.0"),
        (2, "asgi", {"gunicorn": "25.1.0"}, ""),
        (2, "asgi", {"gunicorn": "27.1.0rc1"}, ""),
        (2, "uvicorn", {"gunicorn": "27.0.1"}, "no wheel of httptools and uvloop"),
        (2, "uvicorn", {"gunicorn": "27.0.1", "httptools": "0.9", "uvloop": "0.23"}, ""),
    ],
)
def test_warnings(workers: int, worker_class: str, installed: dict[str, str], message: str) -> None:
    warnings = contents.warnings(releases.manifest(workers=workers, worker_class=worker_class), installed)
    assert len(warnings) == bool(message)
    assert message in "".join(warnings)


def test_a_log_that_was_there_stays(site: Path) -> None:
    (site.parent / "log/v1.log").write_text("an earlier start\n")
    with pytest.raises(BuildError):
        build(job(site, "raises"))
    assert (site.parent / "log/v1.log").read_text() == "an earlier start\n"


def test_a_configuration_that_gunicorn_refuses(site: Path) -> None:
    fields = job(site)
    fields["variants"]["wsgi"]["gunicorn.conf.py"] += "workers = 'many'\n"
    with pytest.raises(BuildError, match="gunicorn refuses its configuration") as caught:
        build(fields)
    assert "workers" in caught.value.output
    assert left(site) == []


def test_an_interface_that_contradicts_the_inventory(site: Path) -> None:
    fields = job(site, "good_asgi")
    del fields["variants"]["asgi"]
    with pytest.raises(BuildError, match=r"wsgi|asgi"):
        build(fields)
    assert left(site) == []


def test_an_interrupted_build_is_built_anew(site: Path) -> None:
    half = site / "releases/v1-00000000/code"
    half.mkdir(parents=True)
    (half / "old.py").touch()
    build(job(site))
    assert not (half / "old.py").exists()


def test_the_current_release_is_never_built_under_its_clients(site: Path) -> None:
    (site / "releases/v1-00000000").mkdir(parents=True)
    (site / "current").symlink_to("releases/v1-00000000")
    with pytest.raises(BuildError, match="current but incomplete"):
        build(job(site))
    assert (site / "releases/v1-00000000").is_dir()


def test_the_same_code_is_linked(site: Path) -> None:
    build(job(site))
    first = site / "releases/v1-00000000/code"
    build(job(site, path=str(site / "releases/v1-11111111"), code={"from": str(first)}))
    assert (site / "releases/v1-11111111/code/web.py").samefile(first / "web.py")


@pytest.mark.parametrize("part", ["all", "one"])
def test_a_file_that_was_changed_on_the_host_comes_from_the_source_again(site: Path, part: str) -> None:
    """A link would carry the change into each later release, and no report would name it there."""
    build(job(site))
    first = site / "releases/v1-00000000"
    with (first / "code/web.py").open("a") as file:
        file.write("# changed at night\n")
    built = (first / "manifest.json").stat().st_mtime
    os.utime(first / "code/web.py", (built + 60, built + 60))
    wanted = job(site, path=str(site / "releases/v1-11111111"))
    code = str(first / "code")
    wanted["code"] = {"from": code} if part == "all" else {**wanted["code"], "like": code, "keep": ["web.py"]}
    with pytest.raises(errors.Lacking, match=r"web\.py was changed on the host"):
        build(wanted)
    assert not (site / "releases/v1-11111111").exists()


@pytest.mark.parametrize("fails", ["venv", "pip"])
def test_a_virtualenv_that_fails_halfway_is_removed(site: Path, fails: str) -> None:
    uv = site / "uv"
    uv.write_text(
        f"#!/bin/sh\nif [ $1 = venv ]; then for path; do :; done; mkdir -p $path/half; fi\n"
        f"[ $1 != {fails} ] || {{ echo 'error: the index does not answer' >&2; exit 2; }}\n"
    )
    uv.chmod(0o755)
    fields = job(site, uv=str(uv))
    fields["venv"] |= {"kind": "list", "lines": ["flask"]}
    fields["venvs"]["wsgi"]["path"] = str(site / "venvs/new")
    with pytest.raises(BuildError) as caught:
        build(fields)
    assert caught.value.output == "error: the index does not answer"
    assert not (site / "venvs/new").exists()
    assert left(site) == []
    # The next attempt does not treat the incomplete one as complete.
    uv.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(BuildError):
        build(fields)


@pytest.mark.parametrize(
    "output",
    [
        "", "{}", "[]", "null", "1e999", "9" * 5000, "[" * 100_000, '{"ok": 1}', '{"ok": true}', '{"ok": false}', "\\x00\\xff",
        '{"ok": true, "interface": []}', '{"ok": "true", "interface": "wsgi"}',
        '{"ok": false, "message": 1, "hint": "", "detail": ""}',
    ],
)  # fmt: skip
def test_whatever_an_app_prints_in_place_of_the_probes_answer_is_reported(site: Path, output: str) -> None:
    source = site / "liar"
    source.mkdir()
    (source / "web.py").write_text(
        f"import os\nfor number in range(3, 64):\n    try: os.write(number, {output!r}.encode() + b'\\n')\n"
        "    except OSError: pass\nprint('no more to say')\nos._exit(0)\n"
    )
    archive = site / "liar.tar"
    subprocess.run(["tar", "-C", source, "-cf", archive, "."], check=True)
    with pytest.raises(BuildError, match=r"web:app ended the import probe \(status 0\) before it could answer"):
        build(job(site, code={"archive": str(archive)}))
    assert left(site) == []


def test_an_answer_is_taken_as_far_as_it_is_one() -> None:
    good = {"ok": True, "interface": "wsgi", "add_host": {"host_name": "x"}}
    assert proving._answer(f"noise\n{json.dumps(good)}\n", Masking("", ())) == {"ok": True, "interface": "wsgi"}
    bad = {"ok": False, "kind": "k", "message": "m" * 100_000, "hint": "", "detail": "d"}
    answer = proving._answer(json.dumps(bad), Masking("", ()))
    assert answer == {**bad, "message": "m" * proving.SAID}


def test_a_fault_of_ours_is_reported_without_secrets(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise KeyError("hunter2hunter2")

    monkeypatch.setattr(building, "probe", broken)
    fields = job(site, environment=json.dumps({"PASSWORD": "hunter2hunter2"}), secrets=["PASSWORD"])
    with pytest.raises(BuildError, match="a fault of the kit") as caught:
        build(fields)
    assert "KeyError: '$PASSWORD'" in caught.value.output
    assert left(site) == []


def test_code_and_settings_are_the_groups_and_roots_alone(site: Path) -> None:
    build(job(site))
    path = site / "releases/v1-00000000"
    modes = {one.name: stat.S_IMODE(one.lstat().st_mode) for one in path.iterdir() if not one.is_symlink()}
    files = dict.fromkeys(("gunicorn.conf.py", "manifest.json", "sbom.json", "environment.json", "unit"), 0o640)
    modes.pop("__pycache__", None)  # gunicorn's: the user that runs the tests may write here
    assert modes == {"code": 0o750, "exec": 0o750, "inspect": 0o750, "serving": 0o750, **files}
    assert stat.S_IMODE(path.stat().st_mode) == 0o751, "others pass, and see nothing"


def test_the_disk_is_watched(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Disk:
        f_frsize, f_blocks, f_bavail = 4096, 25 * 1024**2, 10 * 1024**2  # of 100 GiB, 40 are free
        f_files, f_favail = 10**7, 10**6

    full = Disk()
    monkeypatch.setattr(disk.os, "statvfs", lambda path: full)
    look = disk.watch("/srv/shop/venvs")
    assert look() == ""
    full.f_bavail -= 3 * 1024**2
    assert look() == "it took more than 10 GiB of the disk with /srv/shop/venvs; see what its packages write"
    full.f_bavail = 1024
    assert look() == "the disk with /srv/shop/venvs is full except for 4 MiB; make room on it"
    full.f_blocks, full.f_bavail = 250_000, 8000  # a small one
    assert disk.watch("/srv/shop/venvs")() == ""
    full.f_favail = 19_999
    message = "the disk with /srv/shop/venvs has room for 19999 more files only (df -i); remove some from it"
    assert disk.watch("/srv/shop/venvs")() == message
    full.f_files = full.f_favail = 0  # as btrfs reports, which has no limit
    assert disk.watch("/srv/shop/venvs")() == ""


def built(site: Path, uv: str, **venv: Any) -> dict[str, Any]:
    """The fields of a job whose virtualenv a shell script builds in uv's place."""
    program = site / "uv"
    program.write_text(f"#!/bin/sh\n{uv}\n")
    program.chmod(0o755)
    fields = job(site, uv=str(program))
    python = os.path.realpath(sys.executable)
    fields["venv"] |= {
        "path": str(site / "venvs/new"),
        "packages": [],
        "python": python,
        "kind": "list",
        "lines": ["flask"],
        **venv,
    }
    return fields


MAKE = f'if [ $1 = venv ]; then for path; do :; done; exec {os.path.realpath(sys.executable)} -m venv --without-pip "$path"; fi'


def test_what_is_built_from_the_source_is_built_from_a_copy(site: Path) -> None:
    """Root's code is read-only for the build user, and no file that a tool writes next to it remains."""
    fields = built(site, f"{MAKE}; pwd > {site}/where; cat web.py > /dev/null; echo x > egg-info", local=True)
    (site / "venvs/new").mkdir()
    make_virtualenv(fields | {"path": str(_with_code(site))})
    where = Path((site / "where").read_text().strip())
    assert where == site / "venvs/.cache/v1-00000000"
    assert not where.exists()
    assert not (site / "releases/x/code/egg-info").exists()
    assert json.loads((site / "venvs/new/.complete").read_text())["packages"] == []


def _with_code(site: Path) -> Path:
    code = site / "releases/x/code"
    code.mkdir(parents=True)
    (code / "web.py").write_text("")
    return code.parent


def test_no_secret_and_no_credential_but_uvs_own_reaches_a_build(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_SECRET", "hunter2")
    fields = built(site, f"{MAKE}; env > {site}/env; tr '\\0' '\\n' < /proc/$PPID/cmdline > {site}/words")
    fields["index"] |= {"url": "https://me:word@example.com/simple"}
    make_virtualenv(fields | {"path": str(_with_code(site))})
    environment = dict(line.split("=", 1) for line in (site / "env").read_text().splitlines())
    assert set(environment) - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH", "HOME", "LANG", "UV_CACHE_DIR", "UV_NO_EDITABLE", "UV_PYTHON_DOWNLOADS", "UV_NO_PROGRESS",
        "UV_PROJECT_ENVIRONMENT", "UV_HTTP_TIMEOUT", "UV_DEFAULT_INDEX",
    }  # fmt: skip
    assert "word@" not in (site / "words").read_text()


def test_a_build_that_lasts_too_long_or_fills_the_disk_ends(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = built(site, f"{MAKE}; echo compiling >&2; sleep 61") | {"path": str(_with_code(site)), "build": 2}
    with pytest.raises(BuildError, match=r"was not built within 2 s; raise timeouts\.build") as caught:
        make_virtualenv(fields)
    assert caught.value.output == "compiling\n"
    monkeypatch.setattr(virtualenv, "watch", lambda path: lambda: "the disk is full")
    with pytest.raises(BuildError, match="was not built: the disk is full"):
        make_virtualenv(fields)
    assert not (site / "venvs/new").exists()


def test_each_build_has_a_cache_of_its_own(site: Path) -> None:
    """The build of a package may leave any file in a cache."""
    cache = site / "venvs/.cache"
    (cache / "uv").mkdir(parents=True)
    (cache / "uv/poison").touch()
    fields = built(site, f'{MAKE}; find {cache} > {site}/seen; mkdir "$UV_CACHE_DIR"; touch "$UV_CACHE_DIR/more"')
    fields["venvs"] = {key: {"path": str(site / "venvs/new"), "packages": []} for key in fields["venvs"]}
    with contextlib.suppress(BuildError):  # what it makes is no real virtualenv
        build(fields)
    assert (site / "seen").read_text().split() == [str(cache), f"{cache}/home"]
    assert not cache.exists()


def test_a_second_virtualenv_of_a_release_downloads_nothing_again(site: Path) -> None:
    fields = built(
        site, f'{MAKE}; ls "$UV_CACHE_DIR" >> {site}/seen; mkdir -p "$UV_CACHE_DIR"; touch "$UV_CACHE_DIR/more"'
    )
    fields |= {"path": str(_with_code(site))}
    for name in ("new", "newer"):
        fields["venv"] |= {"path": str(site / "venvs" / name)}
        make_virtualenv(fields)
    assert (site / "seen").read_text().split() == ["more"]


def test_modules_get_bytecode_and_share_it_with_those_of_the_virtualenv_before(site: Path) -> None:
    """The compiler runs as a build does, and only for what is not in the other virtualenv."""
    modules = [f'echo "{text}" > $(echo {site}/venvs/$name/lib/python*/site-packages)/{file}.py' for file, text in
               (("same", "x = 1"), ("other", "y = '$name'"))]  # fmt: skip
    made = []
    for name in ("new", "newer"):
        fields = built(site, "; ".join([MAKE, f"name={name}", *modules])) | {"path": str(_with_code(site))}
        fields["venv"] |= {"path": str(site / "venvs" / name)}
        make_virtualenv(fields)
        assert json.loads((site / f"venvs/{name}/.complete").read_text())["bytecode"] == sys.implementation.cache_tag
        made.append({path.name.partition(".")[0]: path.stat() for path in (site / "venvs" / name).rglob("*.pyc")})
        shutil.rmtree(site / "releases/x")
    assert [sorted(one) for one in made] == [["other", "same"]] * 2
    assert [made[0][name].st_ino == made[1][name].st_ino for name in ("same", "other")] == [True, False]


def test_what_a_killed_run_left_is_removed(site: Path) -> None:
    for name in (".taken/theirs/bin", ".taken/ours", "new/.complete"):
        (site / "venvs" / name).mkdir(parents=True)
    os.chown(site / "venvs/new", 5, 5) if os.getuid() == 0 else (site / "venvs/new/.complete").rmdir()
    fields = built(site, MAKE)
    assert make_virtualenv(fields | {"path": str(_with_code(site))})
    assert not make_virtualenv(fields)
    assert sorted(path.name for path in (site / "venvs").iterdir()) == [".cache", "done", "new"]


def test_the_virtualenv_appears_at_once_and_complete(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed while root takes over leaves none under the final name."""

    def killed(*_: Any) -> None:
        assert not (site / "venvs/new").exists()
        assert stat.S_IMODE((site / "venvs/.taken").stat().st_mode) == 0o700
        raise KeyboardInterrupt

    monkeypatch.setattr(virtualenv, "take_over", killed)
    with pytest.raises(KeyboardInterrupt):
        make_virtualenv(built(site, MAKE) | {"path": str(_with_code(site))})
    assert sorted(path.name for path in (site / "venvs").iterdir()) == [".cache", "done"]


def test_the_copy_of_a_virtualenv_may_lack_room(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([lambda: "", lambda: "the disk is full; make room on it"])
    monkeypatch.setattr(virtualenv, "watch", lambda path: next(looks))
    with pytest.raises(BuildError, match=r"^the virtualenv of site was not built: the disk"):
        make_virtualenv(built(site, MAKE) | {"path": str(_with_code(site))})


def test_what_is_no_virtualenv_of_ours_is_not_used(site: Path) -> None:
    fields = built(site, f"{MAKE}; ln -s /etc/shadow {site}/venvs/new/lib/x; echo '{{}}' > {site}/venvs/new/.complete")
    with pytest.raises(BuildError, match="the virtualenv of site is not used: the link lib/x leads out of it"):
        make_virtualenv(fields | {"path": str(_with_code(site))})
    assert not (site / "venvs/new").exists()


def test_without_a_build_user_nothing_is_built(site: Path) -> None:
    fields = built(site, "exit 1") | {"path": str(_with_code(site)), "builder": "no_such_build"}
    with pytest.raises(BuildError, match=r"no user no_such_build on this host to build with; run site\.yml"):
        make_virtualenv(fields)


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("Flask==3.1", "flask"),
        ("zope.interface>=5", "zope-interface"),
        ("a_b[c,d]~=1", "a-b"),
        ("x ; python_version>'3'", "x"),
    ],
)
def test_names_of_requirements(requirement: str, name: str) -> None:
    assert installing.name(requirement) == name


def test_what_is_installed() -> None:
    assert contents.packages(str(BIN.parent))["gunicorn"].split(".")[0] == "27"
