"""What is given for one run, with `-e` or in the environment, beside a host's settings: the source of the reference's tables.

A test finds every variable that the code reads and holds these tables complete.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import checks, commands, schema
from .spelling import did_you_mean, is_slip, plain

AUDIT_SERVICE = "https://api.osv.dev/"
"""The vulnerability service that is asked by default: it has the data of the Python Packaging Advisory Database and of GitHub."""
REPORT_FILE = "status.html"
"""The page of `status.yml`, in the current folder."""
CUTOFF, SHORT = 0.8, 0.6
"""From this likeness on, an unknown name is a slip, and so is one that differs by one slip of the hand. The second is for `app`,
whose slips are less alike, and for the names of apps. Anything less alike is the user's own variable."""
LONG_ENOUGH = 6
"""Letters of a name from which on likeness tells a slip. A shorter one, such as `port`, is too often like a name of Slipway."""
EVERY = "every playbook"
"""The reader of a variable that each playbook reads."""
APP, PROGRAM = "app", "program"
WEB, NGINX = "web", "nginx"
"""Programs that each app with a `module` has."""
WITHOUT_NAME = "_raw_params"
"""Where Ansible keeps the words of `-e` that set no variable."""


@dataclass(frozen=True)
class Variable:
    """One variable of a run."""

    name: str
    reader: str
    """Who reads it: playbooks, or a program."""
    reason: str
    default: str = "none"
    """As the reference shows it."""
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str | None] | None = None
    """What is wrong with a value, as the end of a sentence; None when it can be used."""
    example: str = ""
    """How to give it, where a playbook needs it."""


def seconds(value: Any) -> int | None:
    """A duration such as `90`, `90s`, `10m`, `2h` or `1d` in seconds; None for anything else."""
    try:
        return int(checks.parse_duration(str(value)))
    except ValueError:
        return None


def duration(longest: str, shortest: int = 1) -> Callable[[Any], str | None]:
    """The check of a duration of at least `shortest` seconds."""

    def check(value: Any) -> str | None:
        given, limit = seconds(value), seconds(longest)
        if given is not None and limit is not None and shortest <= given <= limit:
            return None
        return f"must be a duration up to {longest}, such as 90s, 10m or 2h"

    return check


TRUTHS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0"})
"""How Ansible takes a truth value."""


def _truth(value: Any) -> str | None:
    return None if str(value).lower() in TRUTHS else "must be true or false"


def _apps(value: Any) -> str | None:
    return None if str(value).strip(" ,") else "names no app; leave it out for all apps"


def _command(value: Any) -> str | None:
    problem = (
        commands.fault(value, single=True, variable="command")
        if isinstance(value, str | list)
        else "must be a command and its arguments"
    )
    if problem is None and isinstance(value, list) and commands.several(value):
        return "must be one command"
    return problem


def _program(value: Any) -> str | None:
    fits = re.fullmatch(r"[a-z][a-z0-9.-]{0,63}", str(value))
    return None if fits else "must be one name: web, nginx, or that of a process or a timer"


def _pattern(value: Any) -> str | None:
    try:
        re.compile(str(value))
    except re.error as exc:
        return f"is no regular expression: {exc}"
    return None


VARIABLES = (
    Variable("app", EVERY, "The apps that the run is about: one name, or several with commas.", "all apps; `remove.yml`, `run.yml` and `logs.yml` need a name", check=_apps, example="-e app=shop"),
    Variable("redeploy", "`site.yml`, `deploy.yml`", "`true` deploys a release again that is marked bad on the host.", "`false`", check=_truth),
    Variable("take_over", "`site.yml`, `deploy.yml`, `rollback.yml`, `remove.yml`, `run.yml`, `harden.yml`", "`true` takes over an app of another inventory on the same host, and applies this inventory's settings of the host.", "`false`", check=_truth),
    Variable("lock_wait", "`site.yml`, `deploy.yml`, `rollback.yml`, `remove.yml`", "How long to wait for another run on the same host: `90s`, `10m`, `2h`.", "`0`", check=duration("1d", shortest=0)),
    Variable("release", "`rollback.yml`", "The release to go back to.", "the last good one"),
    Variable("format", "`releases.yml`, `certificates.yml`, `audit.yml`, `run.yml`, `status.yml`, `drift.yml`, `logs.yml`", "How the result is shown; `json` is for programs.", "`table`", ("table", "json")),
    Variable("command", "`run.yml`", "The command to run in the app's current release. No shell reads it.", "needed", check=_command, example="-e command='flask db current'"),
    Variable("on_hosts", "`run.yml`", "Where to run the command: `once` is on the first host that has the app.", "`once`", ("once", "all")),
    Variable("time_limit", "`run.yml`, `logs.yml`", "How long the command may run: `90s`, `10m`, `2h`. Then it is killed. How long `logs.yml` follows.", "`1h`; `logs.yml` follows without end", check=duration("1d")),
    Variable("since", "`logs.yml`", "The age of the oldest lines: `90s`, `10m`, `2h`, `3d`.", "`1h`", check=duration("365d")),
    Variable("program", "`logs.yml`", "One program of the app: `web`, `nginx`, a process or a timer. `worker` is all of its processes, `worker.2` the second.", "all", check=_program),
    Variable("grep", "`logs.yml`", "A regular expression. Only entries in which it is found are shown; the id of a request finds it in all logs.", check=_pattern),
    Variable("follow", "`logs.yml`", "`true` shows new lines as they come, until it is interrupted.", "`false`", check=_truth),
    Variable("renew", "`certificates.yml`", "Whether to renew the certificates of the authority now, due or not.", "`false`", check=_truth),
    Variable("audit_service", "`audit.yml`", "The vulnerability service. It must speak as OSV does.", f"`{AUDIT_SERVICE}`"),
    Variable("report", "`status.yml`", "`html` also writes the status as a page that needs no other file.", choices=("html",)),
    Variable("report_file", "`status.yml`", "The file of that page.", f"`{REPORT_FILE}` in the current folder"),
    Variable("purge", "`remove.yml`", "`true` removes shared data, logs and the users, too.", "`false`", check=_truth),
    Variable("build", "`render.yml`", "The folder to write to. The files of a host lie below it, in `<inventory>/<host>/`.", "`build` in the current folder"),
    Variable("show_secrets", "`render.yml`", "`true` writes secrets as they are, not as asterisks.", "`false`", check=_truth),
    Variable("app_path", "the inventory `local`", "The folder of your own app, to deploy it instead of the bundled one.", "`examples/flask-shop`"),
    Variable("module", "the inventory `local`", "The `module` of that app.", "`myapp:app`"),
)  # fmt: skip
"""Variables for one run."""
KEYS = tuple(key.name for key in schema.APP)
"""The keys of an app."""
SOURCE_KEYS = tuple(key.name for key in schema.SOURCE)
"""The keys of an app's source."""
BY_NAME = {variable.name: variable for variable in VARIABLES}

ENVIRONMENT = (
    Variable("SLIPWAY_CACHE", "the controller", "The folder for what can be made again: fetched sources, builds, compiled templates.", "`~/.cache/slipway`"),
    Variable("SLIPWAY_APP", "the app", "Set by the kit: the app's name."),
    Variable("SLIPWAY_RELEASE", "the app", "Set by the kit: the id of its release."),
    Variable("SLIPWAY_SHARED", "the app", "Set by the kit: the folder that it may write and that outlives releases."),
    Variable("SLIPWAY_SCENARIO", "the kit's tests", "The scenario whose hosts a test talks to.", "the test's own"),
    Variable("SLIPWAY_INVENTORY", "the kit's tests", "The inventory of such a test.", "the test's own"),
    Variable("SLIPWAY_SEED", "the kit's tests", "The number from which random values are made, to repeat a test.", "the time"),
    Variable("SLIPWAY_SLOWNESS", "the kit's tests", "By how much their limits of time are longer on a slow or busy machine.", "measured"),
    Variable("SLIPWAY_WRITE_FIGURES", "the kit's tests", "`1` writes measured figures into the documentation.", "`0`"),
)  # fmt: skip
"""Variables of the environment."""


def programs(entry: Any) -> list[str]:
    """The names that `program` can have for an app: its web server, nginx, processes and timers.

    Args:
        entry: the app's, sound or not.
    """
    if not isinstance(entry, Mapping):
        return []
    listed = [WEB, NGINX] if "module" in entry else []
    processes, timers = (
        section if isinstance(section := entry.get(key), Mapping) else {} for key in ("processes", "timers")
    )
    for name, process in processes.items():
        count = process.get("count", 1) if isinstance(process, Mapping) else 1
        numbers = range(1, count + 1) if isinstance(count, int) else ()
        listed += [str(name), *(f"{name}.{number}" for number in numbers)]
    for name in timers:
        listed += [str(name), f"timer.{name}"]
    return listed


def faults(
    given: Mapping[str, Any],
    needed: Sequence[str] = (),
    apps: Collection[str] = (),
    known_programs: Collection[str] = (),
) -> Iterator[tuple[str, str]]:
    """What is wrong with the variables of `-e`, as name and message: a slip in a name, or a value that cannot be used.

    Settings of a host, which can be given so, too, are the validation's.

    Args:
        given: the variables.
        needed: the names of those that the playbook needs.
        apps: the names of all apps. A value that names some tells that a short name is a slip of `app`.
        known_programs: the programs of the chosen apps; empty where they are unknown.
    """
    slips = {name: near for name in given if (near := _intended(name, given[name], apps))}
    for name in needed:
        if name not in given and name not in slips.values():
            yield name, f"is missing: {BY_NAME[name].example}"
    for name, value in given.items():
        if name == WITHOUT_NAME:
            yield str(value), "sets no variable; write name=value, such as app=shop"
        elif variable := BY_NAME.get(name):
            if variable.choices and value not in variable.choices:
                yield name, f"is {plain(value)}; it can be {' or '.join(variable.choices)}"
            elif variable.check and (problem := variable.check(value)):
                yield name, problem
            elif name == PROGRAM and known_programs and value not in known_programs:
                yield name, f"is {value}, which the app does not have{did_you_mean(str(value), list(known_programs))}"
        elif name in slips:
            yield name, f"is not a variable of Slipway; did you mean {slips[name]}?"


def _intended(name: str, value: Any, apps: Collection[str]) -> str:
    """The variable of which an unknown name is a slip; empty for the user's own variable."""
    known = [*BY_NAME, *schema.VARIABLES]
    if name in known or name == WITHOUT_NAME:
        return ""
    alike = difflib.get_close_matches(name, known, 1, CUTOFF) if len(name) >= LONG_ENOUGH else []
    if near := [one for one in known if is_slip(name, one)] or alike:
        return near[0]
    words = str(value).replace(" ", "").split(",")
    is_like_app = difflib.get_close_matches(name.lower(), [APP], cutoff=SHORT)
    return APP if is_like_app and all(difflib.get_close_matches(word, apps, cutoff=SHORT) for word in words) else ""


def without_effect(
    given: Collection[str], inventory: Any, playbooks: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """The variables that no step of the run reads and no template of the inventory uses, as name and message.

    These are keys of an app, what looks like one, and variables of other playbooks. Such a variable may be the user's own, for a
    playbook or a hook: it is no fault.

    Args:
        given: the names of the variables.
        inventory: the variables of the hosts.
        playbooks: the kit's playbooks that run, such as `site.yml`; empty where they are unknown.
    """
    reasons = {name: reason for name in given if (reason := _unread(name, playbooks))}
    used = {word for text in _templates(inventory) for word in re.findall(r"\w+", text)} if reasons else set()
    for name, reason in reasons.items():
        if name not in used:
            yield name, f"has no effect: {reason}"


def _unread(name: str, playbooks: Collection[str]) -> str:
    """Why only a template of the inventory can read a variable; empty where a step of the run may."""
    if name in schema.VARIABLES:
        return ""
    variable = BY_NAME.get(name)
    readers = re.findall(r"\w+[.]yml", variable.reader) if variable else []
    if variable and (variable.reader == EVERY or (readers and (not playbooks or {*readers} & {*playbooks}))):
        return ""
    if variable and name not in KEYS:
        readers = readers or [variable.reader]
        names = " and ".join(filter(None, [", ".join(readers[:-1]), readers[-1]]))
        return f"only {names} {'reads' if len(readers) == 1 else 'read'} it"
    if name in SOURCE_KEYS and name not in KEYS:
        return f"{name} is a key of an app's `source`; write it there, in the app's entry in `apps`"
    near = difflib.get_close_matches(name, KEYS, n=1, cutoff=CUTOFF if len(name) >= LONG_ENOUGH else 1)
    return f"{near[0]} is a key of an app; write it into the app's entry in `apps`" if near else ""


def misplaced(inventory: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The variables of a host that are keys of an app, and have no effect, as name and message."""
    return without_effect([name for name in inventory if name in KEYS], inventory)


def _templates(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, Mapping | Sequence):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _templates(part)
