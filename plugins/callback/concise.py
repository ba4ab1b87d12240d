"""Shows a run: one line for each change, whole sentences for failures, one table at the end.

One module, though a long one: half of it are Ansible's own hooks, which share the state of the run.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: concise
type: stdout
short_description: Show a run with one live line per host, one line per change and one table at the end
version_added: 0.1.0
author: The Slipway maintainers (@slipway)
description:
  - On a terminal, each host has a live line with its current task. One line for each change and failure stays, and the messages of
    C(ansible.builtin.debug) as plain text.
  - The output of hosts and modules is shown as text. A control character could change other lines of the terminal, so it appears
    as an escape sequence such as C(\\x1b).
  - Without a terminal (a pipe, a log, a CI job) only the lines that stay are printed. Tasks without a change print nothing.
  - C(-v) shows every task with its result.
  - An action of the kit sets how its result is shown in the mapping C(slipway_display). The field of any other action is ignored,
    since a host could have set it.
  - C(slipway_display.show) is for the result's C(msg). C(text) prints it as plain text, as C(ansible.builtin.debug) does. C(only)
    prints nothing else in the whole run, for a refusal or for JSON in a pipe. C(nothing) prints nothing, since the reason was
    already printed. With C(-v) everything is printed.
  - C(slipway_display.held_back) is a list of texts. They are printed as errors below the line of a task that failed only for some
    apps.
extends_documentation_fragment:
  - result_format_callback
requirements:
  - set as stdout callback in the configuration
"""

import atexit
import contextlib
import gc
import os
import re
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase
from ansible.utils.color import stringc
from ansible_collections.slipway.kit.plugins.module_utils import display, whole_runs
from ansible_collections.slipway.kit.plugins.module_utils.contract.words import counted
from ansible_collections.slipway.kit.plugins.module_utils.terminal import deeply, visible

TAIL = 20
"""Lines of a failed command's output to show without -v."""

WIDE = 1000
"""Most characters of such a line."""

SLOW = 1.0
"""Seconds from which a line shows how long the task took."""

COLLECT_AFTER = 100_000
"""New objects after which Python looks for unused ones. Its own 700 suits programs that run for long."""

LOST = "The run ends here without an undo, and the next deploy takes over the lock. With ignore_unreachable the tasks would continue."
"""Said about a delegated task whose host cannot be reached: only a hook has such tasks."""

NOISE = re.compile(r"^(?:Task failed|Action failed|Module failed)(?:: |\.\s+)")
"""The words that ansible-core puts before the message."""

OUR_LOOKUP = "The lookup plugin 'slipway.kit."
"""How ansible-core introduces what such a lookup says."""


class CallbackModule(CallbackBase):
    """Prints a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "slipway.kit.concise"

    def __init__(self) -> None:
        super().__init__()
        # What is loaded by now stays until the run ends. Looking through it again and again costs 5 % of a run's processor time, and
        # in every worker, a copy of its memory.
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, 50, 50)
        self.started = time.monotonic()
        self.doing: dict[str, str] = {}  # host -> its current task, in the order of their start
        self.since: dict[str, float] = {}
        self.spent: dict[str, float] = {}
        self.at_fault: dict[str, None] = {}  # the hosts whose failure was printed
        self.ended_by: dict[str, None] = {}  # those of them whose failure ended the run on all hosts
        self.hosts: set[str] = set()
        self.width = 0
        self.play = ""  # the play's name
        self.heading = ""  # the same, until something is printed under it
        self.gap = ""  # an empty line above every play's name but the first
        self.alone = False  # the run prints only one message
        self.idle = False  # a play had no host
        self.drawn = False
        self.pid = os.getpid()
        # FORCE_COLOR does not count: a CI log may have colours, but no cursor to move
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not self._display.verbosity
        if self.live:
            atexit.register(self._erase)  # also after ^C
        # Ansible itself prints warnings and errors, which may quote a module's output.
        self._buffered = self._display.display
        self._display.display = self._show

    # ------------------------------------------------------------------------------------------------------ live lines
    # The cursor rests on an empty line above the live ones. So any other output (a warning, a prompt for a passphrase)
    # starts on a clean line. Erasing always means from the cursor to the end.
    def _erase(self) -> None:
        if self.drawn and os.getpid() == self.pid:
            sys.stdout.write("\r\x1b[J")
            sys.stdout.flush()
            self.drawn = False

    def _draw(self) -> None:
        if not self.live or os.getpid() != self.pid:
            return
        self._erase()
        columns, lines = shutil.get_terminal_size()
        rows = list(self.doing.items())
        room = max(1, lines - 3)
        if len(rows) > room:
            rows = [*rows[: room - 1], (f"{len(rows) - room + 1} more", "")]
        if not rows:
            return
        text = [stringc(f"{host:{self.width}}  {task}"[: columns - 1], C.COLOR_VERBOSE) for host, task in rows]
        sys.stdout.write("\n" + "\n".join(text) + f"\x1b[{len(rows)}A\r")
        sys.stdout.flush()
        self.drawn = True

    # ----------------------------------------------------------------------------------------------------------- lines
    def _write(self, text: str, *arguments: Any, **options: Any) -> None:
        """Print through Ansible's display, which leaves lines for a pipe in a buffer of some KiB, and pass them on at once."""
        self._buffered(text, *arguments, **options)
        if os.getpid() == self.pid:  # what the process of a task has in its buffer is a copy
            with contextlib.suppress(BrokenPipeError):  # `| head -1`
                sys.stdout.flush()

    def _show(self, text: str, *arguments: Any, **options: Any) -> None:
        """Print as Ansible's display does, without control characters for the terminal.

        Tasks print through it while they run: their processes hand their lines to this one.
        """
        self._erase()
        self._write(visible(text), *arguments, **options)
        self._draw()

    def _say(self, text: str, color: str | None = None) -> None:
        """Print lines that stay."""
        self._put(visible(text), color)

    def _put(self, text: str, color: str | None = None) -> None:
        """Print lines that stay, with the colours in them. Never pass a host's raw output."""
        self._erase()
        if self.heading:
            self._show(f"{self.gap}{self.heading}", color="bright gray")
            self.heading, self.gap = "", "\n"
        self._write(text, color=color)
        self._draw()

    def _line(self, result: Any, word: str, color: str, note: str = "") -> None:
        """Print the one line of a task on a host."""
        host = _label(result)
        took = time.monotonic() - self.since.get(result.host.get_name(), time.monotonic())
        note = note or (f"  {took:.1f} s" if took >= SLOW else "")  # items of a loop share one clock: no time for them
        self._say(f"{host:{self.width}}  {word:12}  {_name(result.task)}{note}", color)

    def _blame(self, result: Any) -> None:
        """Remember a host whose failure was printed, and whether that ended the run on all hosts."""
        host = result.host.get_name()
        self.at_fault[host] = None
        if result.task.any_errors_fatal:
            self.ended_by[host] = None

    def _start(self, host: str, task: Any) -> None:
        self.hosts.add(host)
        self.width = max(self.width, len(host))
        self.since[host] = time.monotonic()
        self.doing[host] = _name(task)
        if task.action in ("pause", "ansible.builtin.pause", "ansible.legacy.pause"):
            self._erase()  # it prompts, and has the terminal to itself until it ends
        else:
            self._draw()

    def _finish(self, result: Any) -> None:
        host = result.host.get_name()
        self.doing.pop(host, None)
        if host in self.since:
            self.spent[host] = self.spent.get(host, 0.0) + time.monotonic() - self.since.pop(host)
        self._draw()

    def _notices(self, result: Any) -> None:
        """Print warnings and deprecations; tracebacks only with -v, since the message is printed anyway."""
        if result.result.get("warnings") or result.result.get("deprecations"):
            self._erase()
        self._handle_warnings(result.result)
        if self._display.verbosity:
            self._handle_exception(result.result)

    def _details(self, result: Any, level: int = 1) -> None:
        """Print the whole result when asked for with -v."""
        if self._display.verbosity >= level:
            self._say(self._dump_results(result.result).strip("\n"), C.COLOR_VERBOSE)

    def _failure(self, result: Any, color: str) -> None:
        """Print why a task failed: the message, then the command's output."""
        data = result.result
        message = str(data.get("msg") or data.get("message") or data.get("reason") or "no reason was given").strip()
        while NOISE.match(message):
            message = NOISE.sub("", message, count=1)
        cause = _cause(result)
        if cause and OUR_LOOKUP in message:
            message = cause  # it is a whole message; the rest is about the task's arguments
        if cause not in message and "module_stderr" not in data and not data.get("unreachable"):
            message += f": {cause}" if message[-1:].isalnum() else f" {cause}"
        reason = message
        if isinstance(data.get("cmd"), str | list) and data.get("rc") is not None:
            command = data["cmd"] if isinstance(data["cmd"], str) else shlex.join(map(str, data["cmd"]))
            message += f" (status {data['rc']})\n$ {command}"
        for key in ("stdout", "stderr", "module_stdout", "module_stderr"):
            text = str(data.get(key) or "").strip("\n")
            if text and text not in reason:
                lines = [line[:WIDE] for line in text.splitlines()]
                cut = len(lines) > TAIL and not self._display.verbosity
                message += "\n" + "\n".join(
                    [f"[the last {TAIL} lines; all of them with -v]", *lines[-TAIL:]] if cut else lines
                )
        path = result.task.get_path()
        # A module of the kit names the fault of the app or the host. The place of the task would not help the reader.
        if path and (self._display.verbosity or not result.task.action.startswith("slipway.kit.")):
            message += f"\n(task at {os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path})"
        self._say(textwrap.indent(message, "    ", lambda _line: True), color)

    # ---------------------------------------------------------------------------------------------------------- events
    def v2_playbook_on_start(self, playbook: Any) -> None:
        """End a run that would leave out steps of a playbook of Slipway. A task cannot, since it may be left out itself."""
        why = whole_runs.refusal(context.CLIARGS)
        if why and any(whole_runs.is_ours(play.get_path()) for play in playbook.get_plays()):
            self._say(why, C.COLOR_ERROR)
            sys.exit(2)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Remember the play's name, which is printed only above other output."""
        name = play.get_name().strip()
        if name != self.play:  # two plays of one name are parts of one step
            self.play = self.heading = name
        self.doing.clear()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Show that a host has begun a task."""
        self._start(host.get_name(), task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Print a change, or the message of a debug task."""
        data = result.result
        self._notices(result)
        if reasons := _field(result).get("held_back"):
            self._line(result, "held back", C.COLOR_ERROR)
            self._say(textwrap.indent("\n\n".join(reasons), "    ", lambda _line: True), C.COLOR_ERROR)
        looped = bool(result.task.loop) and "results" in data  # its items have printed their own lines
        if self._is_message(result) and not looped:
            self._speak(result)
        elif data.get("changed") and not looped:
            self._line(result, _changed(result), C.COLOR_CHANGED)
            self._details(result)
        elif self._display.verbosity:
            self._line(result, "ok", C.COLOR_OK)
            self._details(result)
        self._finish(result)

    def _is_message(self, result: Any) -> bool:
        """Whether a result is a message to print as text, from `debug` or an action of Slipway."""
        return result.task.action in C._ACTION_DEBUG or _field(result).get("show") in ("text", "only")

    def _speak(self, result: Any) -> None:
        """Print a message as plain text."""
        data = result.result
        if "censored" in data:  # no_log
            return
        if _field(result).get("show") == "only" and not self._display.verbosity:
            self.alone, self.heading = True, ""
        if "msg" in data:
            message = data["msg"]
            plain = isinstance(message, list) and all(isinstance(line, str | int | float) for line in message)
            if isinstance(message, Mapping) or (isinstance(message, list) and not plain):
                text = self._dump_results({"msg": message}).strip("\n")
            else:
                text = "\n".join(map(str, message)) if plain else str(message)
        else:
            self._clean_results(data, result.task.action)
            text = textwrap.dedent(self._dump_results(data).strip("\n"))
        if not text.strip():
            return
        if len(self.hosts) > 1 and not result.task.run_once:
            text = f"{_label(result)}:\n{text}"
        self._say(text.rstrip("\n"))

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Print a skipped task only with -v."""
        self._notices(result)
        if self._display.verbosity:
            self._line(result, "skipped", C.COLOR_SKIP)
        self._finish(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Print a failure, also one that the playbook ignores."""
        word, color = ("ignored", C.COLOR_WARN) if ignore_errors else ("FAILED", C.COLOR_ERROR)
        show = _field(result).get("show")
        if show == "nothing" and not self._display.verbosity:
            self._finish(result)
            return
        if not ignore_errors:
            self._blame(result)
        if show == "text" and not self._display.verbosity:
            self._speak(result)
            self._finish(result)
            return
        if show == "only" and not ignore_errors:
            self.alone, self.heading = True, ""
            self._notices(result)
            if text := str(result.result["msg"]):
                self._say(text, color)
            return
        self._line(result, word, color)
        if not (result.task.loop and "results" in result.result):
            self._failure(result, color)
            self._notices(result)
            self._details(result)
        self._finish(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Print that a host does not answer."""
        self._blame(result)
        self._line(result, "UNREACHABLE", C.COLOR_UNREACHABLE)
        self._failure(result, C.COLOR_UNREACHABLE)
        if result.task.delegate_to and not result.task.ignore_unreachable:
            self._say(f"    {LOST}", C.COLOR_UNREACHABLE)
        self._notices(result)
        self._finish(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Print one changed item of a loop."""
        self._notices(result)
        if result.task.action in C._ACTION_DEBUG:
            self._speak(result)
        elif result.result.get("changed"):
            self._line(result, _changed(result), C.COLOR_CHANGED, f" ({self._get_item_label(result.result)})")
            self._details(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Print one failed item of a loop."""
        self._line(result, "FAILED", C.COLOR_ERROR, f" ({self._get_item_label(result.result)})")
        self._failure(result, C.COLOR_ERROR)
        self._notices(result)
        self._details(result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """Print only the warnings of a skipped item."""
        self._notices(result)

    def v2_runner_retry(self, result: Any) -> None:
        """Show in the live line which attempt this is."""
        host, data = result.host.get_name(), result.result
        self.doing[host] = f"{_name(result.task)} (attempt {data['attempts'] + 1} of {data['retries']})"
        self._draw()
        self._details(result, level=2)

    def v2_on_file_diff(self, result: Any) -> None:
        """Print the result of --diff, also for each item of a loop."""
        data = result.result
        parts = data["results"] if result.task.loop and "results" in data else [data]
        for part in parts:
            text = self._get_diff(deeply(part["diff"])) if part.get("diff") and part.get("changed") else ""
            if text.strip():
                self._put(text.rstrip("\n"))

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """Report once that the plays have no host."""
        if not self.hosts and not self.idle:
            self.idle = True
            self._say("no host of the inventory matches this playbook", C.COLOR_WARN)

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        """Report why the run ends here."""
        self._say("Stopped: no host is left to continue with.", C.COLOR_ERROR)

    def v2_playbook_on_vars_prompt(self, *_args: Any, **_kwargs: Any) -> None:
        """Leave the terminal to the prompt."""
        self._erase()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the table; every row has ``changed=N``, which Molecule's idempotence check reads."""
        self._erase()
        self.live, self.heading = False, ""
        if self.alone and not self._display.verbosity:
            return
        sums = {host: stats.summarize(host) for host in sorted(stats.processed)}
        rest = ("skipped", "unreachable", "rescued", "ignored")
        columns = ["ok", "changed", "failures", *[key for key in rest if any(one[key] for one in sums.values())]]
        cells = {
            host: [f"{'failed' if key == 'failures' else key}={one[key]}" for key in columns]
            for host, one in sums.items()
        }
        widths = [max(len(row[number]) for row in cells.values()) for number in range(len(columns))] if cells else []
        first = max(map(len, sums), default=0)
        self._say_who_ended(sums)
        self._say("")
        for host, one in sums.items():
            bad = one["failures"] + one["unreachable"]
            word, color = ("failed", C.COLOR_ERROR) if bad else ("changed", C.COLOR_CHANGED)
            if not bad and not one["changed"]:
                word, color = "ok", C.COLOR_OK
            row = "  ".join(cell.ljust(width) for cell, width in zip(cells[host], widths, strict=True))
            self._say(f"{host:{first}}  {word:7}  {row}  {self.spent.get(host, 0.0):.1f} s", color)
        note = " (check mode: nothing was changed)" if context.CLIARGS.get("check") else ""
        hosts = counted(len(sums), "host")
        self._say(f"{hosts}, {time.monotonic() - self.started:.1f} s{note}")

    def _say_who_ended(self, sums: Mapping[str, Mapping[str, int]]) -> None:
        """Name the hosts where the run ended only because it failed on others: nothing else says so."""
        failed = [host for host in self.ended_by if host in sums and sums[host]["failures"] + sums[host]["unreachable"]]
        others = [host for host in sums if host not in self.at_fault]
        if failed and others:
            text = f"{' and '.join(others)}: the run ended, since it failed on {' and '.join(failed)}"
            silent = [host for host in failed if sums[host]["unreachable"]]
            self._say(text + (_way_on(silent) if silent == failed else ""), C.COLOR_ERROR)


def _way_on(silent: Sequence[str]) -> str:
    """Return how to continue without the hosts that cannot be reached."""
    limit = ":".join([context.CLIARGS.get("subset") or "all", *(f"!{host}" for host in silent)])
    return f". To continue without {'it' if len(silent) == 1 else 'them'}: --limit {shlex.quote(limit)}"


def _label(result: Any) -> str:
    """Return the inventory's name of a host, and of the one that a task was delegated to.

    Ansible's own label also has the delegate's address, whose template it does not render.
    """
    host, delegate = str(result.host.get_name()), result.task.delegate_to
    return f"{host} -> {delegate}" if delegate and delegate != host else host


def _name(task: Any) -> str:
    """Return the name of a task, after its role's short name."""
    role, _, name = visible(task.get_name()).rpartition(" : ")
    return f"{role.rsplit('.', 1)[-1]}: {name}" if role else name


def _field(result: Any) -> Mapping[str, Any]:
    """Return how an action of the kit wants its result shown; empty for other results, which a host may have set."""
    value = result.result.get(display.FIELD) if str(result.task.action).startswith("slipway.kit.") else None
    return value if isinstance(value, Mapping) else {}


def _cause(result: Any) -> str:
    """Return ansible-core's message about the innermost cause, such as why a command could not run."""
    event = getattr(getattr(result, "exception", None), "event", None)
    text = ""
    while event is not None:
        text = str(event.msg or text)
        event = getattr(event.chain, "event", None)
    return text


def _changed(result: Any) -> str:
    """Return the word for a change; check mode changes nothing yet."""
    return "would change" if result.task.check_mode else "changed"
