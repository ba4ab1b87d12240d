"""Run a module of the kit that its host keeps; have the host keep it first, where it does not yet.

The actions of the modules that need no more than this are symbolic links to it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import shlex
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader, lookup_loader, test_loader
from ansible_collections.slipway.kit.plugins.module_utils import answers, indexes, next_commands, resident
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import prepare
from ansible_collections.slipway.kit.plugins.module_utils.model import patience
from ansible_collections.slipway.kit.plugins.module_utils.sources.cache import current_run

PREFIX = "slipway.kit."
MODULES = "ansible_collections.slipway.kit.plugins.modules."
RESOLVED = f"{PREFIX}resolved"
"""The lookup of most tasks."""
PYTHON = "/usr/bin/python3"
"""The host's Python where the inventory names none. The kit's modules need only the standard library, so there is no need to
look for a better one."""
CHECKED, LOCKED = "slipway_checked", "slipway_locked_by"
"""Facts of a host: the run that has checked its inventory, and the one that has locked it."""
AFTER_CHECK = frozenset({"accounts", "command", "lock", "packages", "tool"})
AFTER_LOCK = frozenset({"activate", "hook", "instance", "release", "remove", "retire"})
"""Modules that change a host, by what must have come before in the same run."""
LONG = frozenset({"activate", "certificates", "hook", "instance", "packages", "release", "remove", "retire", "tool"})
"""Modules that build, wait for instances, or fetch packages; and whatever is not the kit's."""
HOUR, WHILE = 3600, 1200
"""Seconds that one call of such a module may take, and one of any other, which may wait 15 minutes for the host's lock."""
CHECKS = ("mutually_exclusive", "required_one_of", "required_by", "required_if")
"""The parts of a module's SPEC that are rules between its options."""
LOST = 120.0
"""Seconds for which an action that asks again and again tries a connection that was lost. Its work continues on the host."""
TROUBLE = "trouble"
"""The key of the result for why a host did not answer a module that only looks."""
ROOM = 256 << 20
"""Bytes that a host's output may take here while it is read: some connections, ssh among them, keep all of it."""
ANSIBLES = ("_ansible_parsed", "deprecations", "exception", "warnings")
"""What Ansible itself puts into the result of a module that it sent, in Ansible's types."""


def spec(name: str) -> Mapping[str, Any]:
    """What the module of that name takes. It imports what it works with in its main(): nothing of that is needed here."""
    options: Mapping[str, Any] = importlib.import_module(MODULES + name).SPEC
    return options


def contract(name: str) -> Mapping[str, Any]:
    """What the module of that name answers."""
    keys: Mapping[str, Any] = importlib.import_module(MODULES + name).RESULT
    return keys


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Let this process take no more than ROOM: it is one that Ansible forked for one task on one host.

    Without /proc nothing is limited. What is started meanwhile (ssh) inherits the limit, and is content with it.
    """
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()  # data and stack
    except (OSError, ValueError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = taken + ROOM
    if resource.RLIM_INFINITY not in (soft, hard):
        limit = min(limit, soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


class Late(BaseException):
    """A call takes longer than anything that it may wait for. No caller on its way up mistakes it for an own fault."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise Late here when what is done takes longer, and end what was started for it (ssh, nsenter, podman).

    A host that sends a byte now and then would hold a run without end. An earlier deadline of Ansible's own, a task's
    `timeout`, stays as it is. Only a process's main thread can have one, which is where Ansible runs actions.
    """
    begun, (due, _) = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)
    if 0 < due <= seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise Late

    others = _children()
    handler = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Late:
        for child in _children() - others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if due:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, due - (time.monotonic() - begun)))


def _children() -> set[int]:
    """The processes that this one has started; none where the kernel does not list them."""
    try:
        return set(map(int, Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()))
    except OSError:
        return set()


# Ansible loads an action before it forks a process for each of its tasks and hosts. All of them share what is imported now.
# A later import would be compiled in each, since Ansible's importer keeps no bytecode of collections.
OWN = __name__.rpartition(".")[2]
if OWN != "resident":
    spec(OWN)


def share() -> None:
    """Load what the process of each task would load again. The first action of every playbook calls this before Ansible forks."""
    filter_loader.get("bool")  # Ansible loads all of its filters and tests for the first one
    test_loader.get("truthy")
    lookup_loader.get(RESOLVED)  # with its options, which Ansible takes from its documentation
    prepare()
    indexes.pip_settings()
    resident.files()
    gc.freeze()  # no process needs to look through what all of them share


class ActionModule(ActionBase):
    """Calls the module that the host keeps.

    Where that is impossible, Ansible sends the module with its imports as usual:

    - without pipelining;
    - in check mode, on a host that does not keep the module;
    - without permission to keep it;
    - with wrong options, whose message is then Ansible's own.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module of the task's name."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        return result

    def _execute_module(
        self,
        module_name: str | None = None,
        module_args: Mapping[str, Any] | None = None,
        tmp: str | None = None,
        task_vars: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> dict[str, Any]:
        """The result of a module of the kit, as the base class returns it."""
        name = module_name or self._task.action
        self._in_turn(name.removeprefix(PREFIX), (task_vars or {}).get("ansible_facts") or {})
        arguments = self._task.args if module_args is None else module_args
        seconds = self._allowed(name, arguments, task_vars or {})
        try:
            with within(seconds):
                return self._executed(name, arguments, tmp, task_vars, others)
        except Late:
            raise AnsibleActionFail(
                f"this host has not answered {name} within {seconds / 60:.0f} minutes, longer than all that it may wait for. Its "
                "work may still run there; see what holds it up before you run this again"
            ) from None

    def _looked(
        self, name: str, arguments: Mapping[str, Any] | None, task_vars: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The answer of a module of the kit that only looks; with `trouble` alone where the host gives none.

        So such a host is part of a report, and no end of the run for all hosts.
        """
        try:
            answer = self._execute_module(module_name=name, module_args=arguments, task_vars=task_vars)
        except (AnsibleConnectionFailure, AnsibleActionFail) as exc:
            answer = {"failed": True, "msg": exc.message}
        if answer.pop("failed", False) or answer.pop("unreachable", False):
            reason = str(answer.get("msg") or "").rstrip(":. \n")  # ssh's own words come last, and may be none
            answer = {"changed": False, TROUBLE: reason or "the host gives no reason"}
        return {**answer, "by": self._by()}

    def _by(self) -> str | None:
        """How a command of the report on the host begins; empty on this machine, None where only Ansible can reach the host."""
        if self._connection.transport == "local":
            return ""
        if self._connection.transport != "ssh":
            return None
        return next_commands.by_ssh(*(self._connection.get_option(name) for name in ("host", "remote_user", "port")))

    @staticmethod
    def _allowed(name: str, arguments: Mapping[str, Any], task_vars: Mapping[str, Any]) -> float:
        """Seconds for a call: what the apps' timeouts allow comes on top, and their defaults where none is set."""
        short = name.removeprefix(PREFIX)
        if short == name:
            return HOUR
        if short not in LONG:
            return WHILE
        hooks = [hook.get("timeout") for hook in arguments.get("hooks") or () if isinstance(hook, Mapping)]
        return HOUR + patience.seconds(task_vars.get("apps")) + patience.waits(hooks)

    def _executed(
        self,
        name: str,
        arguments: Mapping[str, Any],
        tmp: str | None,
        task_vars: Mapping[str, Any] | None,
        others: Mapping[str, Any],
    ) -> dict[str, Any]:
        variables = task_vars or {}
        request = None if others else self._request(name, arguments)
        result = self._call(request, variables) if request else None
        if result is not None:
            return self._accept(name, result)
        sent: dict[str, Any] = super()._execute_module(
            module_name=name, module_args=arguments, tmp=tmp, task_vars=task_vars, **others
        )
        of_ansible = {key: sent.pop(key) for key in ANSIBLES if key in sent}
        result = {**self._accept(name, sent), **of_ansible}
        if self._discovered_interpreter_key:  # by Ansible, on its way
            facts = {self._discovered_interpreter_key: self._discovered_interpreter}
            result["ansible_facts"] = {**result.get("ansible_facts", {}), **facts}
        return result

    @staticmethod
    def _in_turn(name: str, facts: Mapping[str, Any]) -> None:
        """Raise AnsibleActionFail when this run has left out a step that must come before the module's."""
        run = current_run()
        for before, modules, what in (
            (CHECKED, AFTER_CHECK | AFTER_LOCK, "the check of the inventory"),
            (LOCKED, AFTER_LOCK, "the lock of the host"),
        ):
            if name in modules and run is not None and facts.get(before) != run:
                raise AnsibleActionFail(
                    f"this run has left out {what}, which comes before slipway.kit.{name}. Run the whole playbook, without --tags, "
                    "--skip-tags and --start-at-task"
                )

    def _accept(self, name: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """What of the host's answer the module's contract names. Raises AnsibleActionFail where it does not fit."""
        if not name.startswith(PREFIX):
            return dict(answer)
        try:
            return answers.accept(contract(name.removeprefix(PREFIX)), answer)
        except answers.Unfit as exc:
            raise self._unfit(name, str(exc)) from None  # Ansible would say it twice

    @staticmethod
    def _unfit(name: str, why: str) -> AnsibleActionFail:
        return AnsibleActionFail(
            f"What this host answers to {name} is no answer of that module: {why}. Nothing of it was used; find out who or "
            "what changes the host's answers before you trust it with anything"
        )

    def _low_level_execute_command(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Run a command on the host, as the base class does. Raises AnsibleActionFail when the host says too much."""
        with contextlib.suppress(MemoryError), bounded():
            output: dict[str, Any] = super()._low_level_execute_command(*arguments, **options)
            if max(len(output["stdout"]), len(output["stderr"])) <= answers.LIMIT:
                return output
        raise self._unfit(self._task.action, f"it is larger than {answers.LIMIT >> 20} MiB")

    def _request(self, name: str, arguments: Mapping[str, Any]) -> bytes | None:
        """What run.py gets; None when it is not to be called."""
        if not name.startswith(PREFIX) or not self._is_pipelining_enabled("new"):
            return None
        short = name.removeprefix(PREFIX)
        wanted = spec(short)
        if self._task.check_mode and not wanted.get("supports_check_mode"):
            return None
        rules = {rule: wanted[rule] for rule in CHECKS if rule in wanted}
        checked = ArgumentSpecValidator(wanted["argument_spec"], **rules).validate(dict(arguments))
        if checked.error_messages:
            return None
        request = {
            "module": short,
            "params": checked.validated_parameters,
            "check_mode": bool(self._task.check_mode),
            "diff": bool(self._task.diff),
        }
        return json.dumps(request).encode()

    def _call(self, request: bytes, task_vars: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer of the host; None when the host does not keep the modules and cannot be made to."""
        home, python = resident.home(), shlex.quote(self._python(task_vars))
        command = f"{self._compute_environment_string()} {python} -I -S -X utf8".strip()
        for attempt in (1, 2):
            output = self._low_level_execute_command(f"{command} {home}/run.py", in_data=request)
            last = output["stdout"].rstrip("\n").rpartition("\n")[2]
            if last.startswith("{"):
                try:
                    return answers.parse(last)
                except answers.Unfit as exc:
                    raise self._unfit(self._task.action, str(exc)) from None
            if f"can't open file '{home}/run.py'" not in output["stderr"]:
                break
            # Errno 13: the folder is root's, and this call has not its rights.
            if attempt == 2 or self._task.check_mode or "[Errno 13]" in output["stderr"]:
                return None
            install = f"{command} -c {shlex.quote(resident.program('install'))} {home}"
            if self._low_level_execute_command(install, in_data=resident.pack())["rc"]:
                return None
        if output["rc"] == 127:  # there is no such Python; Ansible may find another one
            return None
        return {
            "failed": True,
            "msg": f"the module ended with status {output['rc']} and no answer",
            "module_stdout": output["stdout"][-answers.TEXT :],
            "module_stderr": output["stderr"][-answers.TEXT :],
            "exception": output["stderr"][-answers.TEXT :],
        }

    def _python(self, task_vars: Mapping[str, Any]) -> str:
        """The host's Python that the inventory or Ansible's configuration names."""
        wanted = self._templar.template(C.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars))
        if str(wanted).startswith("auto"):
            wanted = task_vars.get("ansible_facts", {}).get("discovered_interpreter_python", PYTHON)
        return str(wanted)
