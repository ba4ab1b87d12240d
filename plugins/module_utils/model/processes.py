"""The processes of an app that are not its web server: workers, schedulers, bots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..contract import names
from . import checks, commands, schema
from .types import App, Process

NUMBER, RELEASE = "{number}", "{release}"
"""What a command may hold: the number of the process, and the id of its release."""
SCHEDULERS = (
    ("celery", "beat"),
    ("rqscheduler",),
    ("rq", "cron"),
    ("rq-scheduler",),
    ("huey_consumer",),
    ("huey_consumer.py",),
    ("run_huey",),
    ("apscheduler",),
    ("qcluster",),
    ("periodiq",),
    ("celerybeat",),
)
"""Words of commands that start jobs by the clock. Two of them would start each job twice."""


def parse(entry: Mapping[str, Any]) -> tuple[Process, ...]:
    """The processes of a checked entry."""
    known = schema.table(schema.PROCESS)

    def one(name: str, given: Any) -> Process:
        given = given if isinstance(given, Mapping) else {"command": given}
        value = {key.name: given.get(key.name, key.default) for key in known.values()}
        overlap = schema.table(schema.APP)["overlap"].default
        return Process(
            name=name,
            command=commands.parse(value["command"])[0],
            count=value["count"],
            overlap=given.get("overlap", entry.get("overlap", overlap)),
            stop_signal=str(value["stop_signal"]).removeprefix("SIG"),
            stop_timeout=checks.parse_duration(value["stop_timeout"]),
            soak=float(value["soak"]),
        )

    return tuple(one(str(name), given) for name, given in entry.get("processes", {}).items())


def numbered(app: App) -> Iterator[tuple[Process, int]]:
    """Each process as often as it runs, with its number."""
    for process in app.processes:
        yield from ((process, number) for number in range(1, process.count + 1))


def title(process: Process, number: int) -> str:
    """The name of one running process, such as `worker.1`."""
    return f"{process.name}.{number}"


def run(app: App, release_id: str, name: str) -> str:
    """The folder of a process below /run. It ends with the process, and so later than that of `web`."""
    return f"{names.app_run(app.name)}/{release_id}.{name}"


def words(process: Process, number: int, release_id: str) -> tuple[str, ...]:
    """The command of one running process."""
    return tuple(word.replace(NUMBER, str(number)).replace(RELEASE, release_id) for word in process.command)


def suggestions(app: App) -> Iterator[str]:
    """What the user should know about the processes of an app."""
    for process in app.processes:
        if process.overlap and (word := _schedules(process.command)):
            yield (
                f"processes.{process.name} runs {word}, which starts jobs by the clock. During a deploy two of them run, and may start "
                "a job twice: set overlap: false for it"
            )
        if process.count > 1 and (word := _schedules(process.command)):
            yield (
                f"processes.{process.name} runs {word}, which starts jobs by the clock, {process.count} times: each may start every "
                "job; set count: 1"
            )


def _schedules(command: commands.Command) -> str:
    """The words by which a command is known as a scheduler; empty where it is none."""
    parts = [word.rpartition("/")[2] for word in command]
    for known in SCHEDULERS:
        at = [parts.index(word) for word in known if word in parts]
        if len(at) == len(known) and at == sorted(at):
            return " ".join(known)
    if "celery" in parts and {"-B", "--beat"} & set(parts):
        return "celery with its beat"
    return ""
