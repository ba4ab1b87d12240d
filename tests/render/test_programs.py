"""Every program that reads a rendered file on a host reads it here: nginx, systemd, gunicorn, supervisor, logrotate, sh."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils.model.managers import SUPERVISOR, SYSTEMD_INIT
from supervisor.datatypes import RestartUnconditionally
from supervisor.options import ServerOptions

from tests.render.conftest import BIN, program, template

OPTIONS_OF_THE_LAUNCHER = {
    "--user",
    "--chdir",
    "--venv",
    "--umask",
    "--socket",
    "--socket-group",
    "--socket-mode",
    "--limit",
}


def run(*argv: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, **more)  # type: ignore[call-overload]


def test_nginx(rooted: Path) -> None:
    """With the distribution's mime types, and the folders that its package makes."""
    for folder in ("etc/nginx/modules-enabled", "etc/nginx/sites-enabled", "var/log/nginx", "run"):
        (rooted / folder).mkdir(parents=True, exist_ok=True)
    (rooted / "etc/nginx/mime.types").write_text("types {\n    text/html html;\n}\n")
    conf = rooted / "etc/nginx/nginx.conf"
    if os.geteuid():
        conf.write_text(re.sub(r"(?m)^user .*\n", "", conf.read_text()))
    for path in rooted.glob("etc/nginx/**/*.conf"):  # `nginx -t` binds nothing below 1024 for a common user
        path.write_text(re.sub(r"(listen (?:\[::\]:)?)(80|443)\b", r"\g<1>18\2", path.read_text()))
    result = run(program("nginx"), "-t", "-p", rooted, "-c", conf, "-e", rooted / "var/log/nginx/start.log")
    assert result.returncode == 0, result.stderr
    assert "[warn]" not in result.stderr, result.stderr


FINDINGS = {
    "try_files_is_evil_too": "it wants open_file_cache, which files of earlier releases and error pages do without: few clients ask "
    "for them, and each cache keeps files open",
    "hsts_header": "it looks for the header in the server; here each location has it, and the key `hsts` says for how long",
}
"""The findings of gixy that stay, by its plugin's name, each with the reason."""
OF_THE_VISIT = {
    "if_is_evil": "the blocks hold nothing but a header and variables, and nginx takes the rest of the location into them",
    "add_header_redefinition": "the header is for the kit alone, which looks at no other",
}
"""Its findings about the blocks that choose the upstream and answer the kit's own request after a switch."""


def _prepare(rooted: Path) -> None:
    """Make nginx's files what gixy can read: it knows no `*+`, which takes nothing back, and no `(?-i:`."""
    (rooted / "etc/nginx/mime.types").write_text("types {\n    text/html html;\n}\n")
    base = rooted / "etc/nginx/conf.d/slipway-00-base.conf"
    base.write_text(base.read_text(encoding="utf-8").replace("*+", "*").replace("(?-i:", "(?:"), encoding="utf-8")


def test_gixy(rooted: Path) -> None:
    """An independent linter of nginx's configuration finds only what is explained above."""
    _prepare(rooted)
    result = run(BIN / "gixy", "-f", "json", rooted / "etc/nginx/nginx.conf")
    assert result.stderr == ""
    issues = [
        (issue["plugin"], issue["config"])
        for issue in json.loads(result.stdout)
        if not (issue["plugin"] in OF_THE_VISIT and "if ($slipway_visit = " in issue["config"])
    ]
    assert [issue for issue in issues if issue[0] not in FINDINGS] == []


def test_gixy_reads_the_apps_sites(rooted: Path) -> None:
    """It finds a fault in an app's locations; without this test its silence would prove nothing."""
    _prepare(rooted)
    for path in rooted.glob("etc/nginx/slipway/*.conf"):
        path.write_text(
            path.read_text(encoding="utf-8").replace(
                "proxy_set_header Host $slipway_host", "proxy_set_header Host $http_host"
            )
        )
    result = run(BIN / "gixy", "-f", "json", rooted / "etc/nginx/nginx.conf")
    assert "host_spoofing" in {issue["plugin"] for issue in json.loads(result.stdout)}, result.stdout


def test_systemd(tree: Path, tmp_path: Path) -> None:
    """Nothing is ignored, misspelt or unknown; the programs that a unit starts are stand-ins."""
    units = [path for kind in ("service", "socket") for path in tree.glob(f"srv/*/releases/*/*.{kind}")]
    units += tree.glob("etc/systemd/system/*.service")
    drop_ins = [*tree.glob("etc/systemd/system/*.d/*.conf")]
    if not units and not drop_ins:
        assert list(tree.glob("srv/*/releases/*/slipway-*.conf")), "neither systemd's units nor supervisor's programs"
        return
    assert drop_ins
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in units:
        text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program('true')}", unit.read_text(encoding="utf-8"))
        (folder / unit.name).write_text(text, encoding="utf-8")
    for drop_in in drop_ins:
        name = drop_in.parent.name.removesuffix(".d")
        (folder / name).write_text(f"[Service]\nExecStart={program('true')}\n")
        (folder / drop_in.parent.name).mkdir()
        (folder / drop_in.parent.name / drop_in.name).write_text(drop_in.read_text(encoding="utf-8"))
    result = run(
        program("systemd-analyze"), "verify", "--man=no", *sorted(path for path in folder.iterdir() if path.is_file()),
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )  # fmt: skip
    messages = [line for line in result.stderr.splitlines() if str(folder) in line or "slipway" in line]
    assert messages == [], result.stderr
    assert result.returncode == 0, result.stderr


def test_gunicorn(rooted: Path) -> None:
    """Its own check of every configuration, with a stand-in app of the right name."""
    confs = list(rooted.glob("srv/*/releases/*/gunicorn.conf.py"))
    assert confs
    for conf in confs:
        code = Path(re.search(r"chdir = \"(.+)\"", conf.read_text(encoding="utf-8")).group(1))  # type: ignore[union-attr]
        (module, target) = re.search(r"wsgi_app = \"([\w.]+):(\w+)", conf.read_text(encoding="utf-8")).groups()  # type: ignore[union-attr]
        file = code / f"{module.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        factory = f"def {target}(*_given):\n    def app(*_call): ...\n    return app\n"
        stand_in = factory if "create_app(" in conf.read_text() else f"def {target}(*_call): ...\n"
        file.write_text(stand_in)
        result = run(BIN / "gunicorn", "-c", conf, "--check-config", cwd=conf.parent)
        assert result.returncode == 0, result.stderr


def test_gunicorn_s_settings_are_what_the_model_says(trees: dict[str, Path], tmp_path: Path) -> None:
    (rendered,) = trees["systemd"].glob("srv/shop/releases/*/gunicorn.conf.py")
    conf = tmp_path / "gunicorn.conf.py"
    conf.write_text(rendered.read_text().replace('"/srv/', f'"{trees["systemd"]}/srv/'))
    result = run(
        sys.executable, "-c",
        "import runpy, json, sys; got = runpy.run_path(sys.argv[1]); "
        "print(json.dumps({k: v for k, v in got.items() if isinstance(v, (int, str, bool)) and k[0] != '_'}))",
        conf,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for words in (
        '"workers": 4',
        '"threads": 8',
        '"timeout": 305',
        '"graceful_timeout": 305',
        '"max_requests": 10000',
        '"statsd_host": "127.0.0.1:8125"',
    ):
        assert words in result.stdout


def test_supervisor(rooted: Path) -> None:
    """Its own parser reads supervisord's configuration and every program; the launcher gets whole arguments."""
    programs = list(rooted.glob("srv/*/releases/*/slipway-*.conf"))
    main_file = rooted / "etc/slipway/supervisord.conf"
    if not programs:
        assert not main_file.exists()
        return
    (rooted / "etc/slipway/supervisor.d").mkdir(parents=True)
    for folder in ("run/slipway", "var/log/slipway"):
        (rooted / folder).mkdir(parents=True, exist_ok=True)
    for path in programs:
        log = re.search(r"(?m)^stdout_logfile=(.*)", path.read_text())[1]  # type: ignore[index]
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        (rooted / "etc/slipway/supervisor.d" / path.name).write_text(path.read_text())
    options = ServerOptions()
    options.realize(["-c", str(main_file)], doc="")
    options.process_config()
    names = {group.name for group in options.process_group_configs}
    assert names == {path.stem for path in programs}
    for group in options.process_group_configs:
        (process,) = group.process_configs
        words = shlex.split(process.command)
        given = {word for word in words[1 : words.index("--")] if word.startswith("--")}
        assert given <= OPTIONS_OF_THE_LAUNCHER
        command = words[words.index("--") + 1 :]
        if "." in group.name.rpartition("-")[2]:  # one of the user's own processes
            assert command[0] in ("celery", "python")
            assert process.stopwaitsecs in (60, 600)
        else:
            assert re.fullmatch(r".*/srv/[a-z-]+/venvs/[0-9a-f]{16}/bin/gunicorn", command[0])
            assert process.stopwaitsecs == (315 if process.name.startswith("slipway-shop-v") else 45)
        assert process.autorestart is RestartUnconditionally
        assert process.stdout_logfile.startswith(f"{rooted}/var/log/slipway/")


def test_the_init_script(tree: Path) -> None:
    scripts = list(tree.glob("etc/init.d/*"))
    assert bool(scripts) == (tree.parent.name == "supervisor")
    for script in scripts:
        assert run("sh", "-n", script).stderr == ""
        assert run("sh", script, "nonsense").returncode == 2


def test_logrotate(rooted: Path) -> None:
    conf = rooted / "etc/logrotate.d/slipway"
    logs = rooted / "var/log/slipway/shop"
    logs.mkdir(parents=True)
    (logs / "v1-00000000.log").write_text("a line\n" * 10)
    os.chmod(conf, 0o644)
    result = run(program("logrotate"), "-d", "-f", "-s", rooted / "state", conf)
    assert result.returncode == 0, result.stderr
    assert "error" not in result.stderr.lower(), result.stderr
    assert f"considering log {logs}/v1-00000000.log" in result.stderr


def test_the_unit_of_supervisord(tmp_path: Path) -> None:
    """Only the hosts' facts decide which of them run supervisor under systemd: so no inventory renders it offline."""
    (entry,) = (entry for entry in SUPERVISOR.files(SYSTEMD_INIT) if entry["dest"].endswith(".service"))
    file = tmp_path / Path(entry["dest"]).name
    text = template(entry["src"], entry["dest"], entry["vars"])
    file.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program('true')}", text))
    result = run(program("systemd-analyze"), "verify", "--man=no", file)
    assert result.returncode == 0 and str(file) not in result.stderr, result.stderr
