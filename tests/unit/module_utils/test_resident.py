"""The modules that a host keeps: their transfer, their calls, and when Ansible sends them instead."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.action.resident import PYTHON, ActionModule
from ansible_collections.slipway.kit.plugins.module_utils import resident
from ansible_collections.slipway.kit.plugins.module_utils.model import schema

from tests.patience import patience

COLLECTIONS = Path(__file__).parents[3] / "collections"
MODULES = sorted(path.stem for path in (resident.PLUGINS / "modules").glob("*.py"))


def python(*argv: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", "-X", "utf8", *argv]
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=60)


def keep(folder: Path, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Have `folder` hold the modules."""
    return python("-c", resident.program("install"), str(folder), data=resident.pack() if data is None else data)


def controller(text: str, cache: Path) -> str:
    """Run a program in which Ansible finds the kit as `ansible-playbook` does; bytecode goes to `cache`."""
    begin = f"import ansible.plugins.loader as loader; loader.init_plugin_loader([{str(COLLECTIONS)!r}])\n"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(
        [sys.executable, "-c", begin + text],
        env={**variables, "PYTHONPYCACHEPREFIX": str(cache)},
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(60),
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def request(module: str, **params: Any) -> bytes:
    return json.dumps({"module": module, "params": params, "check_mode": False, "diff": False}).encode()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modules") / "one"
    result = keep(folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_the_controller_keeps_bytecode_of_the_kit_s_modules(tmp_path: Path) -> None:
    controller("import ansible_collections.slipway.kit.plugins.module_utils.model.schema", tmp_path)
    assert list(tmp_path.rglob("module_utils/model/schema.*.pyc"))


def test_a_run_loads_once_what_the_processes_of_its_tasks_share(tmp_path: Path) -> None:
    text = """
import gc, sys
from ansible import context
from ansible.utils.context_objects import CLIArgs
context.CLIARGS = CLIArgs({"tags": ()})
from ansible_collections.slipway.kit.plugins.action import preflight, resident
paths = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
for path in ("lookup/resolved.py", "filter/core.py", "test/core.py"):
    print(any(str(one).endswith(f"/plugins/{path}") for one in paths))
print(resident.resident.files.cache_info().currsize, gc.get_freeze_count() > 0)
"""
    assert controller(text, tmp_path).split() == ["True", "True", "True", "1", "True"]


def test_what_is_kept_is_compiled_and_its_owner_s_alone(kept: Path) -> None:
    source = kept / resident.PACKAGE / "module_utils/host/run/switch.py"
    modules = {file.relative_to(kept).with_suffix("") for file in kept.rglob("*.py")}
    compiled = {file.parent.parent.relative_to(kept) / file.name.partition(".")[0] for file in kept.rglob("*.pyc")}
    assert source.is_file() and compiled == modules
    assert oct(source.stat().st_mode & 0o777) == oct(0o600)
    assert oct(kept.stat().st_mode & 0o777) == oct(0o700)
    assert [path.name for path in kept.parent.iterdir()] == ["one"]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported_there(kept: Path, module: str) -> None:
    script = (
        f"import sys, types, importlib; sys.path.insert(0, {str(kept)!r})\n"
        "for name in ('ansible', 'ansible.module_utils', 'ansible.module_utils.basic'): sys.modules[name] = types.ModuleType(name)\n"
        "sys.modules['ansible.module_utils.basic'].AnsibleModule = object\n"
        f"importlib.import_module('ansible_collections.slipway.kit.plugins.modules.{module}')\n"
    )
    result = python("-c", script)
    assert result.returncode == 0, result.stderr.decode()


def test_what_modules_take_is_known_without_what_they_work_with() -> None:
    """Every start of a playbook reads them, and Ansible's importer compiles their imports each time."""
    host = "ansible_collections.slipway.kit.plugins.module_utils."
    script = (
        f"import importlib, sys; sys.path.insert(0, {str(COLLECTIONS)!r})\n"
        f"for name in {MODULES}: importlib.import_module('ansible_collections.slipway.kit.plugins.modules.' + name).SPEC\n"
        f"print(*(name.removeprefix({host!r}) for name in sys.modules if name.startswith({host!r})))"
    )
    result = python("-c", script)
    assert result.returncode == 0, result.stderr.decode()
    assert set(result.stdout.decode().split()) <= {
        "contract",
        "contract.errors",
        "contract.facts",
        "contract.names",
        "contract.manifest",
        "contract.typed",
        "host",
        "host.options",
    }


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_an_action_that_calls_what_is_kept(module: str) -> None:
    action = importlib.import_module(f"ansible_collections.slipway.kit.plugins.action.{module}").ActionModule
    # A symbolic link is a separate module, whose class is not the same object.
    assert any(base.__name__ == "ActionModule" and "_call" in vars(base) for base in action.__mro__)


def test_a_module_answers(kept: Path, tmp_path: Path) -> None:
    result = python(str(kept / "run.py"), data=request("releases", apps=[{"root": str(tmp_path / "none")}]))
    assert (result.returncode, json.loads(result.stdout)) == (0, {"changed": False, "releases": []})


def test_a_call_loads_inspect_only_where_it_is_used(kept: Path) -> None:
    text = f"""
import sys
sys.path.insert(0, {str(kept)!r})
import run
run.import_dataclasses()
import dataclasses
Shown = dataclasses.make_dataclass("Shown", [("size", int)], namespace={{"__doc__": "A thing."}})
assert sys.version_info >= (3, 12) or "inspect" not in sys.modules, "a class with a docstring has used it"
Plain = dataclasses.make_dataclass("Plain", [("size", int)])
assert Plain.__doc__.startswith("Plain(size"), Plain.__doc__
import inspect
assert inspect.__file__ and inspect.signature(Shown)
"""
    result = python("-S", "-c", text)
    assert result.returncode == 0, result.stderr.decode()


def test_a_module_fails(kept: Path) -> None:
    result = python(str(kept / "run.py"), data=request("accounts", apps=[], homes="/srv", inventory="", settings={}, directories=[
        {"path": "not/absolute", "owner": "root", "group": "root", "mode": "0755"}]))  # fmt: skip
    answer = json.loads(result.stdout)
    assert (result.returncode, answer["failed"]) == (1, True)
    assert "is not an absolute path" in answer["msg"]


def test_a_module_that_breaks_gives_no_answer_but_a_traceback(kept: Path) -> None:
    result = python(str(kept / "run.py"), data=request("releases"))
    assert (result.returncode, result.stdout) == (1, b"")
    assert b"KeyError" in result.stderr


def test_a_folder_that_is_there_stays(kept: Path) -> None:
    inode = kept.stat().st_ino
    assert keep(kept).returncode == 0
    assert kept.stat().st_ino == inode
    assert [path.name for path in kept.parent.iterdir()] == ["one"]


def test_versions_of_more_than_a_day_ago_go(tmp_path: Path) -> None:
    for name, age in (("old", 2 * 86400), ("other", 3600)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert keep(tmp_path / "new").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "other"]


def test_what_does_not_arrive_whole_leaves_nothing(tmp_path: Path) -> None:
    assert keep(tmp_path / "modules/new", resident.pack()[:5000]).returncode != 0
    assert list((tmp_path / "modules").iterdir()) == []


def test_another_version_has_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resident.home()
    assert before == resident.home()
    monkeypatch.setattr(resident, "files", lambda: [("run.py", b"pass")])
    assert resident.home() != before


class Host:
    """A connection that answers what the test wants; only its process is replaced."""

    def __init__(self, *answers: tuple[int, str, str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes]] = []

    def __call__(self, command: str, in_data: bytes) -> dict[str, Any]:
        self.asked.append((command, in_data))
        rc, out, err = self.answers.pop(0)
        return {"rc": rc, "stdout": out, "stderr": err}


def action(monkeypatch: pytest.MonkeyPatch, host: Host, check: bool = False, pipelining: bool = True) -> ActionModule:
    loader = DataLoader()
    task = types.SimpleNamespace(
        action="slipway.kit.releases", args={"apps": [{"root": "/srv/shop"}]}, check_mode=check, diff=False,
        environment=[], async_val=0,
    )  # fmt: skip
    made = ActionModule(
        task=task, connection=None, play_context=None, loader=loader, templar=Templar(loader=loader),
        shared_loader_obj=None,
    )  # fmt: skip
    monkeypatch.setattr(made, "_low_level_execute_command", host)
    monkeypatch.setattr(made, "_compute_environment_string", lambda: "")
    monkeypatch.setattr(made, "_is_pipelining_enabled", lambda style: pipelining)
    monkeypatch.setattr(ActionBase, "_execute_module", lambda _self, **_given: dict(SENT))
    return made


MISSING = (2, "", f"python3: can't open file '{resident.home()}/run.py': [Errno 2] No such file or directory\n")
GOOD = (0, 'a warning of the shell\n{"changed": false, "releases": []}\n', "")
SENT = {"changed": False, "releases": [], "msg": "sent by Ansible"}


def test_one_call_where_the_host_keeps_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(GOOD)
    assert action(monkeypatch, host)._execute_module() == {"changed": False, "releases": []}
    ((command, data),) = host.asked
    assert command == f"{PYTHON} -I -S -X utf8 {resident.home()}/run.py"
    assert json.loads(data)["params"] == {"apps": [{"root": "/srv/shop"}]}


def test_a_host_that_does_not_keep_it_yet_does_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(MISSING, (0, "", ""), GOOD)
    assert action(monkeypatch, host)._execute_module() == {"changed": False, "releases": []}
    assert host.asked[1][1] == resident.pack()


@pytest.mark.parametrize(
    "host",
    [
        Host(MISSING, (1, "", "Permission denied")),
        Host(MISSING, (0, "", ""), MISSING),
        Host((127, "", "not found")),
        Host((2, "", MISSING[2].replace("[Errno 2] No such file or directory", "[Errno 13] Permission denied"))),
    ],
    ids=["no right to write", "still not there", "no such Python", "no right to read"],
)
def test_ansible_sends_what_cannot_be_kept(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    assert action(monkeypatch, host)._execute_module() == SENT
    assert host.answers == []


def test_check_mode_has_nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(MISSING)
    assert action(monkeypatch, host, check=True)._execute_module() == SENT
    assert len(host.asked) == 1


def test_without_pipelining_the_host_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert action(monkeypatch, Host(), pipelining=False)._execute_module() == SENT


def test_wrong_options_get_ansibles_own_message(monkeypatch: pytest.MonkeyPatch) -> None:
    made = action(monkeypatch, Host())
    made._task.args = {"apps": [{"roof": "/srv/shop"}]}
    assert made._execute_module() == SENT


def test_a_traceback_is_a_failure_with_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    result = action(monkeypatch, Host((1, "", "Traceback: KeyError")))._execute_module()
    assert result["failed"]
    assert "KeyError" in result["exception"]


def test_the_inventory_chooses_the_python(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(GOOD)
    action(monkeypatch, host)._execute_module(task_vars={"ansible_python_interpreter": "/opt/my python/bin/python"})
    assert host.asked[0][0].startswith("'/opt/my python/bin/python' -I")


def test_a_call_ends_though_its_host_goes_on_talking(monkeypatch: pytest.MonkeyPatch) -> None:
    def talks(_command: str, in_data: bytes) -> dict[str, Any]:
        with subprocess.Popen(["sh", "-c", "while echo .; do sleep 0.1; done"], stdout=subprocess.PIPE) as process:
            started.append(process.pid)
            assert process.stdout
            output = b"".join(iter(lambda: process.stdout.read(1), b""))  # type: ignore[union-attr]
        return {"rc": 0, "stdout": output.decode(), "stderr": ""}

    started: list[int] = []
    monkeypatch.setattr("ansible_collections.slipway.kit.plugins.action.resident.WHILE", 1)
    begun, handler = time.monotonic(), signal.getsignal(signal.SIGALRM)
    with pytest.raises(AnsibleActionFail, match=r"this host has not answered slipway\.kit\.releases within 0 minutes"):
        action(monkeypatch, talks)._execute_module()  # type: ignore[arg-type]
    assert time.monotonic() - begun < patience(30)
    assert not Path(f"/proc/{started[0]}").exists()
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0]) == (handler, 0)


def test_a_tasks_own_deadline_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible's `timeout`, whether it expires before ours or after it."""
    for due in (300.0, 9000.0):
        signal.setitimer(signal.ITIMER_REAL, due)
        try:
            action(monkeypatch, Host(GOOD))._execute_module()
            assert due - 5 < signal.getitimer(signal.ITIMER_REAL)[0] <= due
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def test_a_call_may_take_what_the_apps_timeouts_allow() -> None:
    apps = [
        {
            "name": "shop",
            "workers": 9,
            "timeouts": {"build": 5000, "boot": 60},
            "hooks": {"migrate": {"timeout": 7200}},
        },
        {"name": "blog", "request_timeout": 30, "timeouts": {"linger": "{{ linger }}"}},
    ]
    allowed = ActionModule._allowed
    shop = 3 * (30 + 30 + 5 + 35 + 35 + 45 + 30 + 30 + 60 + 5000) + 7200
    blog = 3 * (30 + 30 + 5 + 35 + 35 + 45 + 30 + 30 + 60 + 1200) + 86400
    assert allowed("slipway.kit.release", {}, {"apps": apps}) == 3600 + shop + blog
    assert allowed("slipway.kit.hook", {"hooks": [{"timeout": 600}]}, {}) == 4200
    assert allowed("slipway.kit.facts", {}, {"apps": apps}) == 1200
    assert allowed("ansible.builtin.package", {}, {"apps": apps}) == 3600
    assert allowed("slipway.kit.retire", {}, {"apps": "{{ elsewhere }}"}) == 3600 + 86400
    assert allowed("slipway.kit.retire", {}, {"apps": {"shop": None, "blog": {"timeouts": "{{ all }}"}}}) > 86400


@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_call_may_take_longer_than_the_builds_that_it_waits_for(count: int) -> None:
    """Also with the default timeouts, one after the other, and each twice."""
    apps = {f"app-{number}": {"module": "web:app"} for number in range(count)}
    allowed = ActionModule._allowed("slipway.kit.release", {}, {"apps": apps})
    build = schema.table(schema.TIMEOUTS)["build"].default
    assert allowed > 2 * count * build
