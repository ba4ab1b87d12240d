"""Process managers and init systems: what differs between them, one object each, registered once.

A host has one init system, which starts what the distribution brings (nginx) and what the kit adds to it. A process
manager keeps the instances running. systemd is both, supervisor is started by either. The host side has a separate registry
(host/process/managers.py) with the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..contract import names
from ..contract.manifest import WEB, Program
from . import schedules, tools
from .spelling import plain

Entry = dict[str, Any]
"""One entry of the `files` action."""


@dataclass(frozen=True)
class Init:
    """An init system."""

    name: str
    services: str
    """The module of Ansible that starts services. Ansible's own choice costs a call, and is systemd wherever that is
    installed, also where it does not run."""
    reload_nginx: tuple[str, ...]
    """Has a running nginx read its files. What starts it later has it read them anyway."""
    reload_services: tuple[tuple[str, ...], ...]
    """Has it read changed files of services; none where it reads them at each start."""
    nginx: tuple[Entry, ...]
    """What it adds to the distribution's nginx."""
    supervisor: Entry
    """What starts supervisord at boot."""
    packages: Mapping[str, str]
    """What the kit needs of it: a name that a package has or provides, to the distribution's package."""
    has_timers: bool
    """Whether it starts the host's own programs at set times. If not, cron does."""
    can_harden: bool
    """Whether it loads the kit's firewall at boot, and installs updates."""
    process_manager: str
    """The one that `process_manager: auto` means."""


_NGINX_DROP_INS = "/etc/systemd/system/nginx.service.d"

SYSTEMD_INIT = Init(
    name="systemd",
    services="systemd",
    reload_nginx=("systemctl", "try-reload-or-restart", "nginx"),
    reload_services=(("systemctl", "daemon-reload"),),
    nginx=(
        {"dest": _NGINX_DROP_INS, "state": "directory"},
        {"src": "systemd/nginx.conf.j2", "dest": f"{_NGINX_DROP_INS}/slipway.conf"},
    ),
    supervisor={
        "src": "supervisor/supervisor.service.j2",
        "dest": "/etc/systemd/system/slipway-supervisor.service",
    },
    # By which systemd is asked to run a command. A host of an older kit may lack it.
    packages={"dbus-system-bus": "dbus"},
    has_timers=True,
    can_harden=True,
    process_manager="systemd",
)
SYSVINIT = Init(
    name="sysvinit",
    services="sysvinit",
    reload_nginx=("/etc/init.d/nginx", "reload"),
    reload_services=(),
    nginx=(),
    supervisor={"src": "supervisor/supervisor.init.j2", "dest": "/etc/init.d/slipway-supervisor", "mode": "0755"},
    packages={},
    has_timers=False,
    can_harden=False,
    process_manager="supervisor",
)


def init_of(has_systemd: bool) -> Init:
    """The init system of a host that reports only whether it is systemd."""
    return SYSTEMD_INIT if has_systemd else SYSVINIT


@dataclass(frozen=True)
class Feature:
    """Something that an app may ask of its process manager, and that not every process manager can do."""

    key: tuple[str, ...]
    """The key of the app that asks for it, from the entry down."""
    asked: Callable[[Any], bool] = lambda _value: True
    """Whether a value of that key asks for it."""
    what: str = ""
    """What such a value does, where it is too long to be shown."""


CLOSED_NETWORK = Feature(("network",), asked=lambda value: value == "local")
CPU_LIMIT = Feature(("limits", "cpu"))
CALENDAR = Feature(
    ("timers",),
    asked=schedules.for_systemd,
    what="has a schedule in systemd's calendar form, not HH:MM or cron's five fields",
)
FEATURES = (CLOSED_NETWORK, CPU_LIMIT, CALENDAR)


@dataclass(frozen=True)
class ProcessManager:
    """A process manager: what it can do, and which files an instance has for it."""

    name: str
    inits: tuple[Init, ...]
    """The init systems beside which it runs, the usual one first."""
    features: frozenset[Feature]
    """What it can do of `FEATURES`."""
    limits_memory: bool
    """Whether it limits the memory of an instance. If not, `limits.memory` does nothing, and a deploy warns."""
    pipes_log: bool
    """Whether an instance writes into a pipe, which a reader that runs as root copies to the log."""
    pauses: bool
    """Whether the kit makes the pauses after crashes, since the manager always waits as long."""
    has_directives: bool
    """Whether `unit_extra` consists of directives that the host's own version may not know, so that the host checks them."""
    tools: tuple[str, ...]
    """What of it the kit installs."""
    files: Callable[[Init], list[Entry]]
    """Its own files on a host, beside that init system."""
    suffix: str
    """Of its unit files."""
    template: str
    """Of an instance's unit file."""
    more: Mapping[str, str]
    """What else an instance has for it: suffix of the unit's name to template."""
    process: str
    """Template of the unit file of one of the user's own processes."""
    process_more: Mapping[str, str]
    """What else such a process has for it."""
    timer: Mapping[str, str]
    """The files of a timer: suffix of the unit's name to template. Without any, the host's cron runs it."""

    def program(self, name: str, unit: str, log: str, run: str, stop: float) -> Program:
        """A program of a release's."""
        pipe = f"{run}/log" if self.pipes_log else ""
        return Program(name=name, unit=unit, unit_file=f"{unit}{self.suffix}", log=log, log_pipe=pipe, stop=stop)

    def templates(self, program: Program) -> dict[str, str]:
        """The files of a program that are rendered: name in the release's folder to template."""
        serves = program.name == WEB
        more = self.more if serves else self.process_more
        brought = {f"{program.unit}{suffix}": template for suffix, template in more.items()}
        return {program.unit_file: self.template if serves else self.process, **brought}


def _supervisor_files(init: Init) -> list[Entry]:
    """supervisord's own configuration, and what starts it at boot."""
    conf = f"{names.ETC}/supervisord.conf"
    variables = {
        "supervisor": {
            "venv": tools.SUPERVISOR_VENV,
            "conf": conf,
            "socket": names.SUPERVISOR_SOCKET,
            "pid": names.SUPERVISOR_PID,
            "log": names.SUPERVISOR_LOG,
            "run": names.RUN,
            "programs": names.SUPERVISOR_PROGRAMS,
        }
    }
    return [
        {"dest": names.SUPERVISOR_PROGRAMS, "state": "directory"},
        {"src": "supervisor/supervisord.conf.j2", "dest": conf, "vars": variables},
        {**init.supervisor, "vars": variables},
    ]


SYSTEMD = ProcessManager(
    name="systemd",
    inits=(SYSTEMD_INIT,),
    features=frozenset(FEATURES),
    limits_memory=True,
    pipes_log=True,
    pauses=True,
    has_directives=True,
    tools=(),
    files=lambda _init: [],
    suffix=".service",
    template="systemd/app.service.j2",
    more={".socket": "systemd/app.socket.j2", "-log.service": "systemd/log.service.j2"},
    process="systemd/process.service.j2",
    process_more={"-log.service": "systemd/log.service.j2"},
    timer={
        ".timer": "systemd/timer.timer.j2",
        ".service": "systemd/timer.service.j2",
        ".log.service": "systemd/log.service.j2",
    },
)
SUPERVISOR = ProcessManager(
    name="supervisor",
    inits=(SYSVINIT, SYSTEMD_INIT),
    features=frozenset(),
    limits_memory=False,
    pipes_log=False,
    pauses=False,
    has_directives=False,
    tools=("supervisor",),
    files=_supervisor_files,
    suffix=".conf",
    template="supervisor/program.conf.j2",
    more={},
    process="supervisor/process.conf.j2",
    process_more={},
    timer={},
)

AUTO = "auto"
"""The process manager that the host's init system names."""
INITS: Mapping[str, Init] = {init.name: init for init in (SYSTEMD_INIT, SYSVINIT)}
PROCESS_MANAGERS: Mapping[str, ProcessManager] = {manager.name: manager for manager in (SYSTEMD, SUPERVISOR)}


def lacking(manager: ProcessManager, entry: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What an app asks of a process manager that cannot do it: the key, and what is wrong.

    Args:
        manager: The process manager.
        entry: What the user wrote about the app, which may have other faults.
    """
    for feature in FEATURES:
        value: Any = entry
        for part in feature.key:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None or feature in manager.features or not feature.asked(value):
            continue
        able = " or ".join(other.name for other in PROCESS_MANAGERS.values() if feature in other.features)
        yield (
            feature.key,
            f"{feature.what or f'is {plain(value)}'}, which only {able} can enforce; leave it out, or use process_manager {able}",
        )
