"""Roles and playbooks use only parts and variables that exist, and each of these is used and documented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.slipway.kit.plugins.lookup.resolved import PARTS
from ansible_collections.slipway.kit.plugins.module_utils.model import run_variables, schema
from jinja2 import Environment, nodes

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
PLAYS = [ROOT / "site.yml", *sorted((ROOT / "playbooks").rglob("*.yml")), *sorted((ROOT / "roles").rglob("*.yml"))]
CODE = [path for path in sorted((ROOT / "plugins").rglob("*.py")) if not path.is_symlink()]
PARTS_ASKED = re.compile(r"(?:lookup|query)\('slipway\.kit\.resolved',((?:\s*'[^']+'(?:\s*~\s*\w+)?,?)+)\)")
BARE = ("when", "that", "failed_when", "changed_when", "until")
"""Keywords of a task whose values are expressions without braces."""
ANSIBLE = {
    *("ansible_check_mode", "ansible_facts", "ansible_failed_result", "ansible_failed_task"),
    *("ansible_play_hosts", "ansible_play_hosts_all", "ansible_connection", "ansible_host"),
    *("ansible_inventory_sources", "groups", "hostvars", "inventory_dir", "inventory_hostname", "item", "omit"),
    *("dict", "lookup", "query"),
}
"""Variables and functions of Ansible's own."""
BETWEEN_OURS = {
    *("preflight_about_one", "preflight_apart", "preflight_fetch", "preflight_needs", "preflight_present"),
    *("release_purpose", "remove_apps", "rollout_new_apps", "release_file", "release_hook_app"),
}
"""Variables that one of our playbooks or roles passes to another part, and the variables of the loop over hooks."""


def asked() -> dict[str, set[str]]:
    """The parts that roles and playbooks ask for, each with its files; `hooks/*` where the rest comes from a variable."""
    parts: dict[str, set[str]] = {}
    for path in PLAYS:
        for terms in PARTS_ASKED.findall(path.read_text(encoding="utf-8")):
            for name, more in re.findall(r"'([^']+)'(\s*~\s*\w+)?", terms):
                parts.setdefault(f"{name}*" if more else name, set()).add(str(path.relative_to(ROOT)))
    return parts


def steps_of(plays: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of a playbook or a file of tasks."""
    for one in plays if isinstance(plays, list) else ():
        if isinstance(one, dict):
            yield one
            for value in one.values():
                yield from steps_of(value)


def test_every_use_of_the_lookup_is_understood_here() -> None:
    for path in PLAYS:
        text = path.read_text(encoding="utf-8")
        assert len(PARTS_ASKED.findall(text)) == text.count("'slipway.kit.resolved'"), path


def test_every_part_that_is_asked_for_exists() -> None:
    for name, files in asked().items():
        known = [part for part in PARTS if part.startswith(name[:-1])] if name.endswith("*") else name in PARTS
        assert known, f"{name} in {', '.join(files)}"


def test_a_sentence_of_the_kit_comes_without_the_place_of_its_task() -> None:
    """The callback leaves it out for the kit's own actions."""
    assert not [path for path in PLAYS if re.search(r"builtin\.(fail|assert):", path.read_text(encoding="utf-8"))]


def test_every_part_is_asked_for() -> None:
    names = asked()
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    assert not [part for part in PARTS if part not in names and not part.startswith(prefixes)]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_documented_and_has_no_dead_tasks(role: str) -> None:
    folder = ROOT / "roles" / role
    named = set(
        re.findall(r"^\| `(\w+)` \|", (folder / "README.md").read_text("utf-8").partition("<!--")[0], re.MULTILINE)
    )
    tasks = {path.stem for path in (folder / "tasks").glob("*.yml")}
    assert named == tasks
    texts = "".join(path.read_text(encoding="utf-8") for path in PLAYS)
    used = {"main"} if re.search(rf"slipway\.kit\.{role}\b", texts) else set()
    used |= set(re.findall(rf"slipway\.kit\.{role}, tasks_from: (\w+)", texts))
    inside = "".join(path.read_text(encoding="utf-8") for path in (folder / "tasks").glob("*.yml"))
    used |= set(re.findall(r"(?:import|include)_tasks: (\w+)\.yml", inside))
    assert tasks <= used


@pytest.mark.parametrize("role", ROLES)
def test_a_role_announces_only_the_settings_that_it_reads(role: str) -> None:
    path = ROOT / "roles" / role / "meta/argument_specs.yml"
    settings = {key.name for key in schema.SETTINGS if key.role == role}
    assert path.exists() == bool(settings)
    if settings:
        assert set(yaml.safe_load(path.read_text("utf-8"))["argument_specs"]["main"]["options"]) == settings


def strings(value: Any, bare: bool = False) -> Iterator[str]:
    """The whole templates in a document."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, key in BARE)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, bare)
    elif isinstance(value, str):
        yield "{{ " + value + " }}" if bare and "{{" not in value else value


def defined(value: Any) -> Iterator[str]:
    """The variables that a document sets: of plays and tasks, and results."""
    if isinstance(value, dict):
        yield from value.get("vars") or ()
        yield from [value["register"]] if "register" in value else []
        for item in value.values():
            yield from defined(item)
    elif isinstance(value, list):
        for item in value:
            yield from defined(item)


def read_by_plays() -> dict[str, set[str]]:
    """The variables that roles and playbooks read and do not set themselves, each with its files."""
    documents = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in PLAYS}
    ours = {name for document in documents.values() for name in defined(document)}
    for path, document in documents.items():
        if path.parent.name in ("defaults", "vars"):
            ours |= set(document)
    files_by_name: dict[str, set[str]] = {}
    for path, document in documents.items():
        for text in strings(document):
            for name in Environment(autoescape=True).parse(text).find_all(nodes.Name):
                if name.ctx == "load" and name.name not in ours | ANSIBLE | BETWEEN_OURS:
                    files_by_name.setdefault(name.name, set()).add(str(path.relative_to(ROOT)))
    return files_by_name


def read_by_code() -> dict[str, set[str]]:
    """The variables of a host that our Python reads by name."""
    files_by_name: dict[str, set[str]] = {}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            owner, name = None, None
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
                and node.args
            ):
                owner, name = node.func.value, node.args[0]
            elif isinstance(node, ast.Subscript):
                owner, name = node.value, node.slice
            ours = isinstance(owner, ast.Name) and owner.id in ("task_vars", "names", "raw", "variables")
            if ours and isinstance(name, ast.Constant) and isinstance(name.value, str):
                files_by_name.setdefault(name.value, set()).add(str(path.relative_to(ROOT)))
    return {name: files for name, files in files_by_name.items() if name not in ANSIBLE | BETWEEN_OURS}


@pytest.mark.parametrize("name", ["run_task_file", "run_task_files"])
def test_the_tasks_of_a_hook_see_the_inventorys_own_variables(name: str) -> None:
    """Only documented names and those with the role's prefix stand between."""
    steps = yaml.safe_load((ROOT / f"roles/release/tasks/{name}.yml").read_text(encoding="utf-8"))
    loops = {step.get("loop_control", {}).get("loop_var", "") for step in steps_of(steps)} - {""}
    ours = {*defined(steps), *loops} - ANSIBLE - {"app_name", "app_root"}
    assert ours
    assert not {one for one in ours if not one.startswith("release_")}


def test_every_variable_for_one_run_is_documented_and_read() -> None:
    inventory = "".join(path.read_text("utf-8") for path in (ROOT / "inventories/local").rglob("*.yml"))
    files_by_name = {**read_by_plays(), **read_by_code()}
    documented = {variable.name for variable in run_variables.VARIABLES}
    settings = {"apps", "vault_apps", *(key.name for key in schema.SETTINGS)}
    assert not {name: files for name, files in files_by_name.items() if name not in documented | settings}
    assert not {name for name in documented - set(files_by_name) if not re.search(rf"\b{name} \|", inventory)}


def test_every_variable_that_is_recommended_exists() -> None:
    known = {"apps", *(one.name for one in (*run_variables.VARIABLES, *schema.SETTINGS))}
    pages = [ROOT / "README.md", ROOT / "Makefile", *(ROOT / "docs").rglob("*.md"), *CODE, *PLAYS]
    for path in pages:
        for name in re.findall(r"""-e '?(?:\{"|)([a-z_]{3,})"?[=:]""", path.read_text(encoding="utf-8")):
            assert name in known, f"-e {name} in {path.relative_to(ROOT)}"


def test_every_variable_of_the_environment_is_documented_and_exists() -> None:
    files = [path for folder in ("plugins", "templates", "tests", "molecule") for path in (ROOT / folder).rglob("*.py")]
    texts = "".join(
        path.read_text("utf-8") for path in files if path != Path(__file__) and path.name != "run_variables.py"
    )
    assert set(re.findall(r"(?<![A-Z_])SLIPWAY_[A-Z_]+", texts)) == {
        variable.name for variable in run_variables.ENVIRONMENT
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lock_wiat": "3"}, "lock_wiat is not a variable of Slipway; did you mean lock_wait?"),
        ({"relase": "v1"}, "relase is not a variable of Slipway; did you mean release?"),
        ({"grpe": "x"}, "grpe is not a variable of Slipway; did you mean grep?"),
        ({"aap": "other"}, "aap is not a variable of Slipway; did you mean app?"),
        ({"App": "other"}, "App is not a variable of Slipway; did you mean app?"),
        ({"sinec": "1h"}, "sinec is not a variable of Slipway; did you mean since?"),
        ({"apo": "shpo"}, "apo is not a variable of Slipway; did you mean app?"),
        ({"program": "wroker"}, "program is wroker, which the app does not have; did you mean worker?"),
        (
            {"program": "worker.3"},
            "program is worker.3, which the app does not have; did you mean worker.2?",
        ),
        (
            {"program": "xyz"},
            "program is xyz, which the app does not have; there are: clean, nginx, timer.clean, web, worker, worker.1, worker.2",
        ),
        ({"format": "jsn"}, "format is jsn; it can be table or json"),
        ({"lock_wait": "soon"}, "lock_wait must be a duration up to 1d, such as 90s, 10m or 2h"),
    ],
)
def test_a_slip_in_a_variable_for_one_run_is_refused(given: dict[str, Any], message: str) -> None:
    entry = {"module": "a:b", "processes": {"worker": {"count": 2}}, "timers": {"clean": {}}}
    programs = run_variables.programs(entry)
    assert [" ".join(fault) for fault in run_variables.faults(given, (), ["shop"], programs)] == [message]


def test_a_slip_in_a_needed_variable_is_one_fault() -> None:
    assert [name for name, _ in run_variables.faults({"aap": "shop"}, ["app"], ["shop"])] == ["aap"]


@pytest.mark.parametrize("entry", [None, [], {}, {"processes": 1}, {"processes": ["a"], "timers": "b"}])
def test_an_unsound_entry_has_no_programs(entry: Any) -> None:
    assert run_variables.programs(entry) == []


@pytest.mark.parametrize("program", ["web", "nginx", "worker", "worker.1", "timer.clean", "clean", "bot", "bot.1"])
def test_programs_of_an_app(program: str) -> None:
    entry = {"module": "a:b", "processes": {"worker": {"count": 2}, "bot": "python bot.py"}, "timers": {"clean": {}}}
    assert not list(run_variables.faults({"program": program}, (), ["shop"], run_variables.programs(entry)))


@pytest.mark.parametrize("name", ["request_timeout", "request_timeot"])
def test_a_key_of_an_app_has_no_effect_as_a_variable_and_a_template_s_variable_has(name: str) -> None:
    message = "has no effect: request_timeout is a key of an app; write it into the app's entry in `apps`"
    unused = {"apps": {"shop": {"module": "shop:app", "env": {"NOTE": "request_timeout"}}}, "other": "{{ greeting }}"}
    assert list(run_variables.without_effect([name], unused)) == [(name, message)]
    used = {"apps": {"shop": {"processes": [{"command": "{{ 2 * " + name + " | int }}"}]}}}
    assert not list(run_variables.without_effect([name], used))
    assert not list(run_variables.without_effect(["app", "redeploy", "greeting"], unused))


@pytest.mark.parametrize("name", ["version", "git"])
def test_a_key_of_a_source_has_no_effect_as_a_variable(name: str) -> None:
    unused = {"apps": {"shop": {"source": {"git": "x", "version": "v1"}}}}
    message = f"has no effect: {name} is a key of an app's `source`; write it there, in the app's entry in `apps`"
    assert list(run_variables.without_effect([name], unused)) == [(name, message)]
    used = {"apps": {"shop": {"source": {"git": "x", "version": "{{ " + name + " }}"}}}}
    assert not list(run_variables.without_effect([name], used))


def test_a_variable_of_another_playbook_has_no_effect() -> None:
    def heard(name: str, *playbooks: str, inventory: Any = None) -> list[str]:
        return [message for _, message in run_variables.without_effect([name], inventory, playbooks)]

    assert heard("since", "site.yml") == ["has no effect: only logs.yml reads it"]
    assert heard("redeploy", "rollback.yml") == ["has no effect: only site.yml and deploy.yml read it"]
    for name, playbooks in (("since", ("site.yml", "logs.yml")), ("since", ()), ("app", ("site.yml",))):
        assert heard(name, *playbooks) == []
    assert heard("since", "site.yml", inventory={"greeting": "{{ since }}"}) == []
    assert heard("app_path", "site.yml") == ["has no effect: only the inventory `local` reads it"]
    (message,) = heard("module", "site.yml")
    assert message == "has no effect: module is a key of an app; write it into the app's entry in `apps`"
    local = yaml.safe_load((ROOT / "inventories/local/group_vars/web/apps.yml").read_text("utf-8"))
    assert heard("app_path", "site.yml", inventory=local) == heard("module", "site.yml", inventory=local) == []


@pytest.mark.parametrize("playbook", ["setup", "rollout", "rollback", "remove"])
def test_a_failed_run_ends_with_the_current_releases(playbook: str) -> None:
    """Also on the hosts that only another one's failure has ended."""

    def shows(step: dict[str, Any]) -> bool:
        role = step.get("ansible.builtin.import_role") or {}
        return "slipway.kit.outcome" in step or (role.get("name"), role.get("tasks_from")) == (
            "slipway.kit.release",
            "fail",
        )

    rescues = [
        step["rescue"]
        for step in steps_of(yaml.safe_load((ROOT / f"playbooks/{playbook}.yml").read_text("utf-8")))
        if "rescue" in step
    ]
    assert rescues and all(any(map(shows, rescue)) for rescue in rescues)
    undoing = steps_of(yaml.safe_load((ROOT / "roles/release/tasks/fail.yml").read_text("utf-8")))
    assert any("slipway.kit.outcome" in step for step in undoing)


def test_only_the_playbook_that_removes_an_app_deletes_its_data() -> None:
    """The table says that it alone reads `purge`."""
    steps = [step for path in PLAYS for step in steps_of(yaml.safe_load(path.read_text("utf-8")))]
    roles = [step.get(f"ansible.builtin.{kind}_role") or {} for step in steps for kind in ("include", "import")]
    removing = [step for step in steps if "slipway.kit.remove" in str(step.get("ansible.builtin.include_role"))]
    assert sum(role.get("name") == "slipway.kit.remove" for role in roles) == 2
    assert [step["vars"] for step in removing] == [{"remove_purge": False}]
    assert run_variables.BY_NAME["purge"].reader == "`remove.yml`"


def test_the_readers_of_a_variable_are_playbooks() -> None:
    for variable in run_variables.VARIABLES:
        readers = re.findall(r"`(\w+[.]yml)`", variable.reader)
        assert readers or variable.reader in (run_variables.EVERY, "the inventory `local`")
        assert all((ROOT / "playbooks" / name).exists() for name in readers)


def test_a_user_s_own_variables_are_let_through() -> None:
    given = {"apps": {}, "nginx_http_port": "80", "greeting": "hello", "version": "v1", "app": "shop", "format": "json"}
    given |= {
        "lock_wait": 0,
        "api": "x",
        "map": "y",
        "apt": "z",
        "tag": "v1",
        "sites": "a",
        "program": "any",
        "port": 1,
        "mode": "b",
        "repo": "c",
    }
    assert not list(run_variables.faults(given))


def test_roles_ask_the_lookup_and_not_the_facts_of_a_host() -> None:
    files = [*PLAYS, *sorted((ROOT / "templates").rglob("*.j2"))]
    ambient = re.compile(r"ansible_facts(?:\.slipway\b|\[['\"]slipway['\"]\]|\.get\(['\"]slipway['\"])")
    assert [path for path in files if ambient.search(path.read_text(encoding="utf-8"))] == []


ASSUMING = {
    "action/logs.py": "only names of sites and logs are used, which no host changes",
    "action/preflight.py": "only whether files render counts, before any host is asked",
    "action/render.py": "contacts no host",
    "action/status.py": "only names of sites and logs are used, which no host changes",
}
"""The actions that take a common host where there are no facts, each with the reason."""


def test_a_host_is_assumed_at_one_place_and_only_with_a_reason() -> None:
    texts = {str(path.relative_to(ROOT / "plugins")): path.read_text(encoding="utf-8") for path in CODE}
    assert [path for path, text in texts.items() if "Host.assumed(" in text] == ["module_utils/inventory.py"]
    assuming = re.compile(r"inventory\.assumed\(|assume=True")
    assert [path for path, text in texts.items() if assuming.search(text)] == list(ASSUMING)


def test_a_task_s_name_has_an_object() -> None:
    single = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PLAYS
        if path.parent.name == "tasks"
        for name in re.findall(r"^ *- name: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert single == [], "name what the task works on: 'Install nginx', not 'Install'"


def test_a_task_that_runs_a_hook_names_it() -> None:
    """Each hook of a deploy runs the same tasks, whose lines would look alike."""
    files = sorted((ROOT / "roles/release/tasks").glob("run_*.yml"))
    names = [name for path in files for name in re.findall(r"- name: (.+)", path.read_text(encoding="utf-8"))]
    assert len(names) > len(files) and [name for name in names if not name.endswith("hook {{ release_hook }}")] == []
