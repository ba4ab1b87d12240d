"""The host of the benchmark: the kit sets it up and deploys the apps, then rivals and variants are put beside them."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts import containers, images, machine

from .figures import BARE as BARE_NAME
from .figures import SERVING, TUNED_KEPT, TUNED_SYNC
from .figures import TUTORIAL as TUTORIAL_NAME
from .load import Target, wait
from .variants import Variant

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SCENARIO, HOST, IMAGE = "bench-serving", "server", "localhost/slipway-bookworm-ready"
BARE, TUTORIAL, TUNED, GUNICORN, VARIANT = 9001, 9101, 9201, 8001, 9301
"""The first port of each kind."""
NEVER = 'map "" $slipway_never { default 0; }\n'
"""What nginx needs beside the variants' sites."""


@dataclass(frozen=True)
class App:
    """One of the apps: where its callable is, and how rivals serve it."""

    name: str
    module: str
    bare: str = "-k gthread -w 2 --threads 8"
    """gunicorn with the workers and threads of the kit, and the class that comes nearest to the kit's."""
    tutorial: str = ""
    """What tutorials write for it behind `gunicorn -w 4`."""
    tuned: Mapping[str, str] = field(default_factory=lambda: {TUNED_SYNC: "tuned_sync", TUNED_KEPT: "tuned_threads"})
    """The hand-tuned rivals, and their files in `rivals/`."""
    tests: tuple[str, ...] = SERVING
    """The loads."""

    @property
    def domain(self) -> str:
        """The domain under which the kit serves it."""
        return f"{self.name}.test"


_UVICORN = "-k uvicorn_worker.UvicornWorker"
APPS = (
    App("plain", "plain:app", tests=("json",)),
    App("flask", "flask_web:app"),
    App("django", "django_web:application"),
    App("fastapi", "fastapi_web:app", f"{_UVICORN} -w 2", _UVICORN, {TUNED_KEPT: "tuned_asgi"}),
)


class Server:
    """The running host."""

    def __init__(self) -> None:
        self._env = machine.environment(machine.read(), ROOT / ".cache/hosts")
        self.address = ""
        self._init = 0

    def create(self) -> None:
        """Create a fresh host and deploy the apps with the kit, all with its defaults."""
        images.ensure([IMAGE], self._env)
        containers.create(SCENARIO, {HOST: IMAGE}, self._env)
        form = "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        inspect = ["podman", "inspect", containers.container(SCENARIO, HOST), "--format", form]
        init, self.address = machine.run(inspect, self._env).split()
        self._init = int(init)
        playbook = [str(ROOT / ".venv/bin/ansible-playbook"), f"--inventory={HERE / 'inventory'}", "site.yml"]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        subprocess.run(playbook, cwd=ROOT, env=env, check=True, stdin=subprocess.DEVNULL)

    def cpu(self) -> dict[int, int]:
        """The processor time of every thread on the host so far, in nanoseconds."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])

        def inside(pid: int) -> bool:
            while pid not in (0, self._init):
                pid = parents.get(pid, 0)
            return pid != 0

        used = {}
        for pid in filter(inside, parents):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    used[int(thread.name)] = int((thread / "schedstat").read_text().split()[0])
        return used

    def spent(self, before: Mapping[int, int]) -> float:
        """The seconds of processor time that the host has used since `before`, except by threads that have ended."""
        return sum(used - before.get(thread, 0) for thread, used in self.cpu().items()) / 1e9

    def destroy(self) -> None:
        """Remove it."""
        containers.destroy(SCENARIO, self._env)

    def sh(self, script: str, text: str | None = None) -> str:
        """The output of a shell script on the host that has to succeed."""
        argv = ["podman", "exec", *(["-i"] if text is not None else []), containers.container(SCENARIO, HOST)]
        return machine.run([*argv, "sh", "-euc", script], self._env, text)

    def write(self, files: dict[str, str]) -> None:
        """Write files on the host, all in one call."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, text in files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(text.encode()), 0o644
                archive.addfile(entry, io.BytesIO(text.encode()))
        self.sh("base64 -d | tar -x -C /", base64.b64encode(packed.getvalue()).decode())

    def read(self, *paths: str) -> list[str]:
        """The texts of files on the host, all in one call."""
        return self.sh(f"for path in {' '.join(paths)}; do cat $path; printf '\\0'; done").split("\0")[:-1]

    def kit(self, app: App) -> Target:
        """Where the kit serves an app."""
        return Target(self.address, 80, app.domain)

    def rivals(self) -> dict[str, dict[str, Target]]:
        """Start the rivals of every app; return where they are, by app and rival."""
        # nginx serves the tuned rivals' files compressed beforehand.
        self.sh(
            "mkdir -p /srv/bench; cp -r /srv/flask/current/code/static /srv/bench/static; cp -r /srv/bench/static /srv/bench/tuned; "
            "gzip -9 --keep --recursive /srv/bench/tuned; chmod -R a+rX /srv/bench; install -d -m 0777 /run/tuned"
        )
        sites = {
            name: (HERE / f"rivals/{name}.conf").read_text(encoding="utf-8") for name in ("tutorial", "tuned.site")
        }
        files = {
            "/etc/nginx/tutorial.conf": self._stock(),
            "/etc/nginx/tuned.conf": (HERE / "rivals/tuned.conf").read_text(encoding="utf-8"),
        }
        starts = []
        rivals: dict[str, dict[str, Target]] = {}
        for number, app in enumerate(APPS):
            of_app = {BARE_NAME: Target(self.address, BARE + number, app.domain)}
            starts.append(_start(f"bare-{app.name}", app.name, f"{app.bare} -b 0.0.0.0:{BARE + number} {app.module}"))
            for place, (rival, settings) in enumerate(app.tuned.items()):
                port, name = TUNED + len(APPS) * place + number, f"{app.name}_{place}"
                files[f"/etc/nginx/tuned/{name}"] = _filled(sites["tuned.site"], PORT=port, NAME=name)
                files[f"/etc/bench/{name}.py"] = (HERE / f"rivals/{settings}.py").read_text(encoding="utf-8")
                command = f"-c /etc/bench/{name}.py -b unix:/run/tuned/{name}.sock {app.module}"
                starts.append(_start(f"tuned-{name}", app.name, command))
                of_app[rival] = Target(self.address, port, app.domain)
            tutorial = f"-w 4 {app.tutorial} {app.module} -b 127.0.0.1:{GUNICORN + number}"
            starts.append(_start(f"tutorial-{app.name}", app.name, tutorial))
            site = _filled(sites["tutorial"], PORT=TUTORIAL + number, GUNICORN=GUNICORN + number)
            files[f"/etc/nginx/tutorial/{app.name}"] = site
            of_app[TUTORIAL_NAME] = Target(self.address, TUTORIAL + number, app.domain)
            rivals[app.name] = of_app
        self.write(files)
        for kind in ("tutorial", "tuned"):
            command = f"nginx -c /etc/nginx/{kind}.conf -g 'daemon off;'"
            starts.append(f"systemd-run --quiet --unit=bench-nginx-{kind} --property=LimitNOFILE=65535 {command}")
        self.sh("\n".join(starts))
        for targets in rivals.values():
            for target in targets.values():
                wait(target)
        return rivals

    def _stock(self) -> str:
        """The distribution's nginx.conf for a separate process, with only the tutorials' sites."""
        (text,) = self.read("/etc/nginx/nginx.conf.slipway-orig")
        for old, new in (
            ("pid /run/nginx.pid;", "pid /run/nginx-tutorial.pid;"),
            ("include /etc/nginx/conf.d/*.conf;", ""),
            ("include /etc/nginx/sites-enabled/*;", "include /etc/nginx/tutorial/*;"),
        ):
            text = _replaced(text, old, new)
        return text

    def variants(self, variants: Sequence[Variant]) -> list[Target]:
        """Start every variant beside the kit's own instances; return where they are, in the same order."""
        originals = {
            app.name: self.read(
                f"/srv/{app.name}/current/gunicorn.conf.py",
                f"/etc/nginx/conf.d/slipway-app-{app.name}.conf",
                f"/etc/nginx/conf.d/slipway-site-{app.domain}.conf",
                f"/etc/nginx/slipway/{app.name}.conf",
            )
            for app in APPS
        }
        files = {"/etc/nginx/conf.d/zz-bench.conf": NEVER}
        starts = ["install -d /run/bench"]
        shared: dict[str, str] = {}  # what differs in nginx alone asks one instance with the kit's own settings
        targets = []
        for number, variant in enumerate(variants):
            app, port, name = variant.app, VARIANT + number, f"bench_{number}"
            conf, upstream, site, locations = originals[app]
            if variant.own_process or app not in shared:
                run = f"/run/bench/{number}"
                bind = f"127.0.0.1:{port + 1000}" if variant.tcp else f"unix:{run}/app.sock"
                files[f"/etc/bench/{number}.py"] = f"{conf}\nbind = {bind!r}\n{variant.gunicorn}\n"
                starts.append(f"install -d -o {app} -g www-data -m 0750 {run}")
                starts.append(_start(f"variant-{number}", app, f"-c /etc/bench/{number}.py"))
            else:
                bind = shared[app]
            if not variant.own_process:
                shared[app] = bind

            upstream = _replaced(upstream, f"unix:/srv/{app}/current/run/app.sock", bind)
            upstream = _replaced(upstream, "fail_timeout=0;\n}", f"fail_timeout=0;\n{variant.upstream}}}")
            site = _replaced(site, "listen 80;", f"listen {port};").replace("listen [::]:80;", f"listen [::]:{port};")
            text = upstream + _replaced(site, f"include /etc/nginx/slipway/{app}.conf;", locations)
            text = text.replace(f"slipway_{app}", name).replace(f"slipway-{app}.test", name)
            for old, new in variant.nginx:
                text = _replaced(text, old, new)
            # After the kit's own files, whose names it uses.
            files[f"/etc/nginx/conf.d/zz-{name}.conf"] = text
            targets.append(Target(self.address, port, f"{app}.test"))
        self.write(files)
        self.sh("\n".join([*starts, "nginx -t 2>&1", "systemctl reload nginx"]))
        for target in targets:
            wait(target)
        return targets


def _start(unit: str, app: str, command: str) -> str:
    """The command that starts a gunicorn of an app's current release and virtualenv, as its user, without the kit's unit."""
    return (
        f"systemd-run --quiet --unit=bench-{unit} --uid={app} --gid={app} --property=LimitNOFILE=16384 "
        f"--working-directory=$(readlink -f /srv/{app}/current/code) /srv/{app}/current/venv/bin/gunicorn {command}"
    )


def _replaced(text: str, old: str, new: str) -> str:
    """`text` with another setting in it; the kit's templates have changed when the old one is not there."""
    if old not in text:
        raise ValueError(f"the file has no {old!r} any more: correct benchmarks/serving")
    return text.replace(old, new)


def _filled(text: str, **values: object) -> str:
    """A rival's file with its values."""
    for name, value in values.items():
        text = _replaced(text, f"@{name}@", str(value))
    return text
