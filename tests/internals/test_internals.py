"""What the kit uses of Ansible's internals: each is called for real, with the ansible-core that runs these tests.

`python -m tests.internals` runs them with every supported ansible-core. They fail before a deploy would.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.errors import AnsibleParserError
from ansible.inventory.host import Host
from ansible.module_utils.basic import AnsibleModule
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins import loader as plugin_loader
from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.loader import action_loader, connection_loader, vars_loader
from ansible.plugins.lookup import LookupBase
from ansible.plugins.vars import BaseVarsPlugin
from ansible.release import __version__
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.action import resident as action
from ansible_collections.slipway.kit.plugins.module_utils import hook_files, places, rendering, resident

from tests.e2e import command

from .__main__ import SUPPORTED

ROOT = Path(__file__).parents[2]
DECISION = ROOT / "docs/decisions/02-modules-kept-on-the-host.md"
FOLDERS = ("action", "callback", "connection", "lookup", "modules", "vars")
"""The plugins that inherit from Ansible's classes."""
BASES = (ActionBase, AnsibleModule, BaseVarsPlugin, CallbackBase, ConnectionBase, LookupBase)


def documented() -> set[str]:
    """The names in the decision's table of internals."""
    rows = [line for line in DECISION.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+|ansible\.[\w.]+)`", row.split("|")[1])}


def programs() -> Iterator[tuple[Path, ast.Module]]:
    """The kit's Python on the controller, without links."""
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        if not path.is_symlink():
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def used() -> set[str]:
    """Attributes with an underscore that the plugins take from Ansible's classes, and its private modules."""
    attributes: set[str] = set()
    defined: set[str] = set()
    modules: set[str] = set()
    for path, tree in programs():
        plugin = path.relative_to(ROOT / "plugins").parts[0] in FOLDERS or path.name == "rendering.py"
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and re.match(r"ansible\..*\b_", node.module or ""):
                modules.add(str(node.module))
            if isinstance(node, ast.FunctionDef) and plugin:
                defined.add(node.name)
            if isinstance(node, ast.Attribute) and plugin and re.match(r"_[^_]", node.attr):
                (defined if isinstance(node.ctx, ast.Store) else attributes).add(node.attr)
    inherited = {name for base in BASES for name in dir(base)}
    return modules | {name for name in attributes if name in inherited or name not in defined}


def test_the_decision_lists_what_is_used() -> None:
    assert documented() == used()


def test_this_ansible_is_supported() -> None:
    assert __version__.rpartition(".")[0] in SUPPORTED
    oldest = re.search(r'requires_ansible: ">=([\d.]+)\.0"', (ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))
    assert oldest and oldest[1] == next(iter(SUPPORTED))


def made(tmp_path: Path, pipelining: bool = True, environment: dict[str, str] | None = None) -> action.ActionModule:
    """The action of `releases` on this machine, with nothing replaced."""
    loader = DataLoader()
    task = Task.load({
        "slipway.kit.releases": {"apps": [{"root": str(tmp_path / "none")}]},
        "environment": environment or {},
    })  # fmt: skip
    play_context = PlayContext()
    connection = connection_loader.get("ansible.builtin.local", play_context)
    variables = {"ansible_pipelining": pipelining, "ansible_remote_tmp": str(tmp_path / "remote")}
    connection.set_options(var_options=variables)
    connection._shell.set_options(var_options=variables)
    plugin = action_loader.get(
        "slipway.kit.releases", task=task, connection=connection, play_context=play_context, loader=loader,
        templar=Templar(loader=loader), shared_loader_obj=plugin_loader,
    )  # fmt: skip
    assert isinstance(plugin, ActionBase)
    return plugin


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where this machine keeps the kit's modules."""
    folder = tmp_path / "modules/one"
    monkeypatch.setattr(resident, "home", lambda: str(folder))
    return folder


def test_a_call_keeps_the_modules_and_uses_them(tmp_path: Path, home: Path) -> None:
    plugin = made(tmp_path)
    for _ in range(2):
        assert plugin.run(None, {}) == {"changed": False, "releases": [], "by": ""}
        assert (home / "run.py").is_file()


def test_ansible_sends_a_module(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # where hosts have their Python; Ansible searches there
    plugin = made(tmp_path, pipelining=False)
    result = plugin.run(None, {"ansible_facts": {}, "ansible_python_interpreter": "auto"})
    assert (result["changed"], result["releases"]) == (False, []), result
    assert result["ansible_facts"]["discovered_interpreter_python"].startswith("/usr/bin/python3")
    assert not result.get("failed")  # since 2.21 it is always there
    assert set(result) - set(action.ANSIBLES) <= {"ansible_facts", "changed", "failed", "releases", "by"}
    assert not home.exists()


def test_options_are_checked_as_ansible_does(tmp_path: Path, home: Path) -> None:
    plugin = made(tmp_path)
    plugin._task.args = {"apps": [{"root": "/srv/shop", "roof": "/srv"}]}
    result = plugin.run(None, {"ansible_facts": {}, "ansible_python_interpreter": sys.executable})
    assert "roof" in result["trouble"], result
    assert not home.exists(), "the host was not asked"


def test_a_task_s_environment_reaches_the_host(tmp_path: Path) -> None:
    plugin = made(tmp_path, environment={"GREETING": "a b"})
    output = plugin._low_level_execute_command(
        f"{plugin._compute_environment_string()} sh -c 'cat; echo $GREETING'", in_data=b"x"
    )
    assert (output["rc"], output["stdout"].strip()) == (0, "xa b")


def test_a_file_is_sent_to_a_folder_that_goes(tmp_path: Path) -> None:
    plugin = made(tmp_path)
    folder = plugin._make_tmp_path()
    (tmp_path / "archive").write_bytes(b"\0\1")
    target = plugin._connection._shell.join_path(folder, "app.tar")
    plugin._transfer_file(str(tmp_path / "archive"), target)
    assert Path(target).read_bytes() == b"\0\1"
    plugin._remove_tmp_path(folder)
    assert not Path(folder).exists()


def test_a_value_has_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apps.yml").write_text("apps:\n  shop:\n    module: web:app\n")
    value = DataLoader().load_from_file(str(tmp_path / "apps.yml"))["apps"]["shop"]["module"]
    monkeypatch.chdir(tmp_path)
    assert places.of(value) == "apps.yml:3:13"


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ("- ansible.builtin.debug: {msg: a}\n  whn: b\n", "a.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?"),
        ("- ansible.builtin.nosuch:\n", "a.yml:1:3: couldn't resolve module/action 'ansible.builtin.nosuch'"),
        ("a: b\n", f"/a.yml: {hook_files.LIST}"),
        ("- a\n", f"/a.yml: {hook_files.LIST}"),
        ('- ansible.builtin.import_tasks: "{{ inventory_hostname }}.yml"\n', "an import knows no variable of a host or an app"),
        ('- ansible.builtin.include_tasks: "{{ inventory_hostname }}.yml"\n', ""),
        ("- ansible.builtin.include_role: {name: slipway.kit.host, tasks_from: nosuch}\n", "a.yml:1:3: the role slipway.kit.host: Could not find"),
        ("- ansible.builtin.meta: nosuch\n", "a.yml:1:3: meta: nosuch is unknown"),
        ("- say: {msg: a}\n", ""),
    ],
)  # fmt: skip
def test_a_task_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: str, problem: str) -> None:
    (tmp_path / "a.yml").write_text(tasks)
    monkeypatch.chdir(tmp_path)
    apps = {"shop": {"hooks": {"migrate": {"tasks": "a.yml"}}}}
    faults = [fault.message for fault in hook_files.HookFiles(DataLoader()).faults(apps, tmp_path)]
    assert len(faults) == bool(problem)
    assert not problem or problem in faults[0]


def test_a_template_of_the_kit_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    loader = DataLoader()
    templar = Templar(loader=loader, variables={})
    rendering.render(templar, {}, loader, "nginx/error.html.j2", "/x", {"status": 502, "title": "x", "text": "y"})
    assert [path for path in (tmp_path / "compiled").rglob("*") if path.is_file()]


def test_a_template_is_rendered_as_text(tmp_path: Path) -> None:
    (tmp_path / "unit.j2").write_text("{{ ansible_managed }}\n{% include 'part.j2' %}\n")
    (tmp_path / "part.j2").write_text("{{ words | join('\n') }}")
    loader = DataLoader()
    templar = Templar(loader=loader, variables={})
    text = rendering.text(
        templar,
        {"words": ["{{ none }}", "1"]},
        loader,
        str(tmp_path / "unit.j2"),
        "unit.j2",
        "/unit",
        None,
        [str(tmp_path)],
    )
    assert text == f"{rendering.MANAGED}\n{{{{ none }}}}\n1\n"


def test_a_file_of_variables_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/web1.yml").write_text("apps: [\n")
    reader = vars_loader.get("slipway.kit.named_files")
    with pytest.raises(AnsibleParserError, match=r"host_vars/web1\.yml"):
        reader.get_vars(DataLoader(), str(tmp_path), [Host("web1")], cache=False)


def test_a_run_is_shown(tmp_path: Path) -> None:
    """The callback, the check of the inventory, the lookup and the templates, in a run that contacts no host."""
    files = {
        "group_vars/web/apps.yml": f"apps:\n  shop:\n    module: myapp:app\n    source: {{path: {ROOT}/examples/flask-shop}}\n"
    }
    run = command.play(
        command.write(tmp_path / "inventory", files), "-e", f"build={tmp_path}/build", playbook="playbooks/render.yml"
    )
    assert run.status == 0, run.out + run.err
    assert "Show where they are" not in run.out and " files in " in run.out, run.out
    wrong = command.write(tmp_path / "inventory", {"group_vars/web/apps.yml": "apps: {shop: {modul: a:b}}\n"})
    run = command.play(wrong, "-e", "nginx_http_port=eighty")
    assert run.status == 2 and "did you mean module" in run.out, run.out
    assert "group_vars/web/apps.yml:1:" in run.out and "-e: nginx_http_port" in run.out, run.out


@pytest.mark.parametrize(("show", "shown"), [("text", True), ("only", True), ("nothing", False)])
def test_other_callbacks_show_what_is_said(tmp_path: Path, show: str, shown: bool) -> None:
    play = {
        "hosts": "web1",
        "gather_facts": False,
        "tasks": [{"slipway.kit.say": {"msg": "It is said.", "show": show}}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    inventory = command.write(tmp_path / "inventory", {})
    run = command.play(
        inventory, playbook=str(tmp_path / "play.yml"), ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default"
    )
    assert (run.status, run.touched) == (0, False)
    assert ("It is said." in run.out) == shown, run.out
