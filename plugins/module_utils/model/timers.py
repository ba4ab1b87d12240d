"""The timers of an app: commands that its release runs at set times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..contract import manifest, names
from . import checks, commands, layout, schedules, schema
from .spelling import as_yaml
from .types import App, Paths, Timer


def parse(entry: Mapping[str, Any]) -> tuple[Timer, ...]:
    """The timers of a checked entry."""

    def one(name: str, given: Mapping[str, Any]) -> Timer:
        schedule = str(given["schedule"])
        moments = schedules.parse(schedule)
        return Timer(
            name=name,
            command=commands.parse(given["command"])[0],
            schedule=schedule,
            calendar=schedules.calendar(moments) if moments else (schedule,),
            moments=moments,
            timeout=timeout(given),
        )

    return tuple(one(str(name), given) for name, given in entry.get("timers", {}).items())


def timeout(given: Mapping[str, Any]) -> int:
    """The seconds that a run may take: an hour by default, but not longer than it is to the next one."""
    default = checks.parse_duration(schema.table(schema.TIMER)["timeout"].default)
    if "timeout" in given:
        return checks.parse_duration(given["timeout"])
    gap = _gap(given)
    return default if gap is None else min(default, gap)


def fault(given: Mapping[str, Any]) -> str | None:
    """What is wrong with a checked timer as a whole."""
    gap = _gap(given)
    if gap is not None and timeout(given) > gap:
        return (
            f"is {timeout(given)} s, but its schedule {as_yaml(given['schedule'])} has a run every {gap} s at times. "
            "Lower it, or leave it out"
        )
    return None


def _gap(given: Mapping[str, Any]) -> int | None:
    moments = schedules.parse(str(given["schedule"]))
    return schedules.shortest(moments) if moments else None


def described(app: App, paths: Paths, release_id: str) -> tuple[manifest.Timer, ...]:
    """The timers as the host takes them."""
    limits = [f"nofile={app.limits.files}", *([f"nproc={app.limits.tasks}"] if app.limits.tasks is not None else [])]
    launch = [paths.launcher, "--chdir", paths.code, "--venv", paths.venv, "--umask", "0027"]
    launch += [word for limit in limits for word in ("--limit", limit)]
    return tuple(
        manifest.Timer(
            name=one.name,
            unit=names.timer_unit(app.name, one.name),
            log=layout.log(app.name, f"timer.{one.name}"),
            schedule=one.schedule,
            moments=one.moments,
            timeout=one.timeout,
            command=(*launch, "--user", app.user, paths.environment, "--", *words(one, release_id)),
        )
        for one in app.timers
    )


def words(timer: Timer, release_id: str) -> tuple[str, ...]:
    """The command of a run."""
    return tuple(word.replace("{release}", release_id) for word in timer.command)


def view(app_view: Mapping[str, Any], app: App, timer: Timer, release_id: str) -> dict[str, Any]:
    """A timer as templates see it: `app.timer`. The log of `app.release` is the timer's; `app_view` is any program's."""
    folder = f"{app.name}/timers/{timer.name}"
    replaced = {
        "unit": names.timer_unit(app.name, timer.name),
        "log": layout.log(app.name, f"timer.{timer.name}"),
        "log_pipe": f"/run/{folder}/log",
    }
    seen = {
        **vars(timer),
        "folder": folder,
        "state": f"{names.TIMERS}/{app.name}/{timer.name}.json",
        "words": words(timer, release_id),
    }
    return {**app_view, "process": None, "timer": seen, "release": {**app_view["release"], **replaced}}
