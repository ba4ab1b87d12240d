"""A task file of a hook that Ansible cannot read is refused before any host is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import play, write
from tests.e2e.test_bad_input import refused

APP = """\
  {name}:
    module: shop:app
    source: {{path: ../shop}}
    domains: [{name}.example.com]
    hooks:
      migrate: {{tasks: hooks/{name}.yml}}
"""
LIST = "it is no list of tasks; write a list whose items are like: - ansible.builtin.command: systemctl reload varnish"

FAULTS = {
    "module": (
        "- name: Greet\n  ansible.builtin.debug: {msg: a}\n- name: Clear\n  ansible.builtin.nosuch: foo\n",
        "inventory/hooks/module.yml:3:3: couldn't resolve module/action 'ansible.builtin.nosuch'. This often indicates a "
        "misspelling, missing collection, or incorrect module path; correct it",
    ),
    "mistyped": (
        "- ansible.builtin.comand: ls\n",
        "inventory/hooks/mistyped.yml:1:3: couldn't resolve module/action 'ansible.builtin.comand'. This often indicates a "
        "misspelling, missing collection, or incorrect module path; did you mean ansible.builtin.command?",
    ),
    "keyword": (
        "- ansible.builtin.debug: {msg: a}\n  whn: true\n",
        "inventory/hooks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "block": (
        "- block:\n    - ansible.builtin.debug: {msg: a}\n  rescu: []\n",
        "inventory/hooks/block.yml:3:3: 'rescu' is not a valid attribute for a Block; did you mean rescue?",
    ),
    "mapping": ("debug: {msg: a}\n", "{inventory}/hooks/mapping.yml: " + LIST),
    "words": ("- debug\n", "{inventory}/hooks/words.yml: " + LIST),
    "syntax": (
        "- debug: {msg: [}\n",
        "inventory/hooks/syntax.yml:1:14: YAML parsing failed: Colons in unquoted values must be followed by a non-space "
        "character; correct it",
    ),
    "imports": (
        "- ansible.builtin.import_tasks: keyword.yml\n",
        "inventory/hooks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "includes": (
        "- ansible.builtin.include_tasks: keyword.yml\n",
        "inventory/hooks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "lacking": (
        "- ansible.builtin.import_tasks: no-such.yml\n",
        "{inventory}/hooks/lacking.yml: it needs no-such.yml, which cannot be read (No such file or "
        "directory); correct its name",
    ),
    "condition": (
        "- ansible.builtin.include_tasks: keyword.yml\n  when: app_name == 'shop'\n",
        "inventory/hooks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "loop": (
        "- ansible.builtin.include_tasks: keyword.yml\n  loop: [1, 2]\n",
        "inventory/hooks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "items": (
        "- ansible.builtin.include_tasks: \"{{ item }}.yml\"\n  loop: [good, keyword]\n",
        "inventory/hooks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "names": (
        "- ansible.builtin.include_tasks: \"{{ inventory_dir }}/hooks/of-{{ app_name }}.yml\"\n",
        "inventory/hooks/of-names.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "host-s": (
        "- ansible.builtin.import_tasks: \"{{ app_name }}.yml\"\n",
        "inventory/hooks/host-s.yml:1:3: Error when evaluating variable in import path '{{ app_name }}.yml': 'app_name' is undefined; "
        "an import knows no variable of a host or an app, so use include_tasks or include_role",
    ),
    "role-s": (
        "- ansible.builtin.include_role:\n    name: cdn\n    tasks_from: \"{{ part }}\"\n  loop: [keyword]\n  loop_control: {loop_var: part}\n",
        "roles/cdn/tasks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "applies": (
        "- ansible.builtin.include_tasks: {file: good.yml, apply: {whn: true}}\n",
        "inventory/hooks/applies.yml:1:59: 'whn' is not a valid attribute for a Block; did you mean when?",
    ),
    "tasks-from": (
        "- ansible.builtin.include_role: {name: cdn, tasks_from: purge}\n",
        "inventory/hooks/tasks-from.yml:1:3: the role cdn: Could not find specified file in role: tasks/purge; correct it",
    ),
    "handlers-from": (
        "- ansible.builtin.include_role: {name: cdn, handlers_from: purge}\n  when: app_name == 'shop'\n",
        "inventory/hooks/handlers-from.yml:1:3: the role cdn: Could not find specified file in role: handlers/purge; correct it",
    ),
    "vars-from": (
        "- ansible.builtin.include_role: {name: cdn, vars_from: purge}\n  loop: [1, 2]\n",
        "inventory/hooks/vars-from.yml:1:3: the role cdn: Could not find specified file in role: vars/purge; correct it",
    ),
    "defaults-from": (
        "- ansible.builtin.include_role: {name: cdn, defaults_from: purge}\n",
        "inventory/hooks/defaults-from.yml:1:3: the role cdn: Could not find specified file in role: defaults/purge; correct it",
    ),
    "role-syntax": (
        "- ansible.builtin.include_role: {name: cdn, tasks_from: syntax}\n",
        "roles/cdn/tasks/syntax.yml:1:14: YAML parsing failed: Colons in unquoted values must be followed by a non-space "
        "character; correct it",
    ),
    "role-module": (
        "- ansible.builtin.include_role: {name: cdn, tasks_from: module}\n",
        "roles/cdn/tasks/module.yml:1:3: couldn't resolve module/action 'ansible.builtin.comand'. This often indicates a "
        "misspelling, missing collection, or incorrect module path; did you mean ansible.builtin.command?",
    ),
    "role-keyword": (
        "- ansible.builtin.include_role: {name: cdn, tasks_from: includes}\n",
        "roles/cdn/tasks/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "role-handler": (
        "- ansible.builtin.include_role: {name: cdn, handlers_from: keyword}\n",
        "roles/cdn/handlers/keyword.yml:1:3: conflicting action statements: ansible.builtin.debug, whn; did you mean when?",
    ),
    "role-in-role": (
        "- ansible.builtin.include_role: {name: cdn, tasks_from: role}\n",
        "roles/cdn/tasks/module.yml:1:3: couldn't resolve module/action 'ansible.builtin.comand'. This often indicates a "
        "misspelling, missing collection, or incorrect module path; did you mean ansible.builtin.command?",
    ),
}  # fmt: skip
"""A file, and what is said about it."""

ROLE = {
    "../roles/cdn/tasks/main.yml": "- ansible.builtin.debug: {msg: a}\n",
    "../roles/cdn/tasks/syntax.yml": "- debug: {msg: [}\n",
    "../roles/cdn/tasks/module.yml": "- ansible.builtin.comand: ls\n",
    "../roles/cdn/tasks/keyword.yml": "- ansible.builtin.debug: {msg: a}\n  whn: true\n",
    "../roles/cdn/tasks/includes.yml": "- ansible.builtin.include_tasks: keyword.yml\n  when: app_name == 'shop'\n",
    "../roles/cdn/tasks/role.yml": "- ansible.builtin.include_role: {name: cdn, tasks_from: module}\n",
    "../roles/cdn/tasks/notify.yml": "- {ansible.builtin.debug: {msg: a}, changed_when: true, notify: Prge}\n",
    "../roles/cdn/tasks/ends.yml": "- ansible.builtin.meta: end_play\n",
    "../roles/cdn/handlers/main.yml": "- {name: Purge, ansible.builtin.debug: {msg: b}}\n",
    "../roles/cdn/handlers/keyword.yml": "- ansible.builtin.debug: {msg: a}\n  whn: true\n",
    "../roles/cdn/vars/main.yml": "a: 1\n",
    "../roles/cdn/defaults/main.yml": "a: 1\n",
}
"""A role that hooks include, some of whose files are broken."""

UNFIT = {
    "ends": (
        "- block:\n    - ansible.builtin.debug: {msg: a}\n  rescue:\n    - ansible.builtin.meta: end_play\n",
        "inventory/hooks/ends.yml:4:7: meta: end_play would end the run early, without its last steps; give the tasks that are to be "
        "left out a `when`",
    ),
    "host": (
        "- meta: end_host\n  when: inventory_hostname == 'web2'\n",
        "inventory/hooks/host.yml:1:3: meta: end_host would end the run early, without its last steps; give the tasks that are to be "
        "left out a `when`",
    ),
    "forgets": (
        "- meta: clear_facts\n",
        "inventory/hooks/forgets.yml:1:3: meta: clear_facts would make the run forget what it has begun; take it out",
    ),
    "fatal": (
        "- any_errors_fatal: true\n  block:\n    - block:\n        - ansible.builtin.command: /bin/false\n",
        "inventory/hooks/fatal.yml:4:11: any_errors_fatal would end the run for all apps, on some hosts alone; take it out",
    ),
    "notifies": (
        "- ansible.builtin.debug: {msg: a}\n  notify: Reload varnish\n",
        "inventory/hooks/notifies.yml:1:3: notify: Reload varnish finds no handler, since a hook has none; use a task with `when`",
    ),
    "included": (
        "- ansible.builtin.include_tasks: ends.yml\n",
        "inventory/hooks/ends.yml:4:7: meta: end_play would end the run early, without its last steps; give the tasks that are to be "
        "left out a `when`",
    ),
    "nowhere": (
        "- ansible.builtin.include_tasks: no-such.yml\n",
        "inventory/hooks/nowhere.yml:1:3: it includes no-such.yml, which does not exist; correct its name",
    ),
    "kits": (
        "- ansible.builtin.include_tasks: report.yml\n",
        "inventory/hooks/kits.yml:1:3: it includes report.yml, and Ansible would take the kit's file of that name; rename it",
    ),
    "circle": (
        "- ansible.builtin.include_tasks: circle.yml\n",
        "inventory/hooks/circle.yml:1:3: it includes circle.yml, which includes this file again, without end",
    ),
    "word": (
        "- ansible.builtin.meta: flush_handler\n  when: false\n",
        "inventory/hooks/word.yml:1:3: meta: flush_handler is unknown, and would end the run at once; write one of "
        "flush_handlers, noop, refresh_inventory, reset_connection",
    ),
    "template": (
        "- ansible.builtin.meta: \"{{ 'noop' }}\"\n",
        "inventory/hooks/template.yml:1:3: meta: {{ 'noop' }} is unknown, and would end the run at once; write one of "
        "flush_handlers, noop, refresh_inventory, reset_connection",
    ),
    "throttle": (
        "- ansible.builtin.debug: {msg: a}\n  throttle: few\n",
        "inventory/hooks/throttle.yml:1:3: throttle: few would end the run at once; write a whole number",
    ),
    "revives": (
        "- ansible.builtin.meta: clear_host_errors\n",
        "inventory/hooks/revives.yml:1:3: meta: clear_host_errors would bring back hosts that have failed; take it out",
    ),
    "role-ends": (
        "- ansible.builtin.include_role: {name: cdn, tasks_from: ends}\n",
        "roles/cdn/tasks/ends.yml:1:3: meta: end_play would end the run early, without its last steps; give the tasks that are to be "
        "left out a `when`",
    ),
    "role-notifies": (
        "- ansible.builtin.include_role: {name: cdn, tasks_from: notify}\n",
        "roles/cdn/tasks/notify.yml:1:3: notify: Prge finds no such handler in the role; correct the name",
    ),
}  # fmt: skip
"""A file that would break the run, and what is said about it."""

GOOD = """\
- ansible.builtin.debug: {msg: "{{ app_name }} {{ release_path }}"}
- ansible.builtin.import_tasks: "good/{{ release_hook }}.yml"
- ansible.builtin.include_tasks: "{{ app_name }}/{{ release_hook }}.yml"
- ansible.builtin.include_tasks: "{{ inventory_dir }}/hooks/{{ item }}"
  loop: [good/migrate.yml, tasks/below.yml, none.yml]
- ansible.builtin.import_tasks: below.yml
- ansible.builtin.include_tasks: "{{ inventory_hostname }}.yml"
- ansible.builtin.include_tasks: other.yml
  when: false
- ansible.builtin.include_tasks: no-such.yml
  when: app_name == "other"
- ansible.builtin.include_role: {name: no.such.role}
  when: app_name == "other"
- ansible.builtin.include_role: {name: host, tasks_from: "{{ inventory_hostname }}"}
- ansible.builtin.include_role: {name: "{{ item }}"}
  loop: [a, b]
- ansible.builtin.meta: flush_handlers
- slipway.kit.say: {msg: a}
- say: {msg: a module of the kit by its short name}
- command: echo "a module of Ansible, though the kit has one of this name"
- import_role: {name: host, tasks_from: new_apps}
  when: false
- when: false
  block:
    - ansible.builtin.include_tasks: other.yml
- block:
    - ansible.builtin.include_tasks: good.yml
      when: app_name == "other"
  rescue:
    - ansible.builtin.meta: noop
- ansible.builtin.include_tasks: below.yml
- ansible.builtin.include_tasks: below.yml
- ansible.builtin.include_tasks: "{% if true %}no-such{% endif %}.yml"
- {ansible.builtin.debug: {msg: a}, run_once: true, any_errors_fatal: false, throttle: 2}
- {ansible.builtin.debug: {msg: a}, throttle: "{{ forks }}"}
"""
"""Whatever a task file may hold: only the run knows some of the names, and one file is included under a condition."""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path) -> None:
    """The source of all apps."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/shop.py").write_text("def app(environ, start_response): ...\n")


def test_each_file_that_ansible_cannot_read_is_named(tmp_path: Path) -> None:
    files = {f"hooks/{name}.yml": text for name, (text, _) in FAULTS.items()}
    files["group_vars/web/apps.yml"] = "apps:\n" + "".join(APP.format(name=name) for name in FAULTS)
    inventory = write(
        tmp_path / "inventory",
        {**files, "hooks/good.yml": "[]\n", "hooks/of-names.yml": files["hooks/keyword.yml"], **ROLE},
    )
    assert refused(play(inventory, ANSIBLE_ROLES_PATH=str(tmp_path / "roles"))) == [
        f"inventory/group_vars/web/apps.yml:{7 + number * 6}:17: apps.{name}.hooks.migrate.tasks is hooks/{name}.yml, which "
        f"Ansible cannot read: {message.replace('{inventory}', str(inventory))}"
        for number, (name, (_, message)) in enumerate(FAULTS.items())
    ]


def test_each_file_that_would_break_the_run_is_named(tmp_path: Path) -> None:
    files = {f"hooks/{name}.yml": text for name, (text, _) in UNFIT.items()}
    files["hooks/role.yml"] = "- ansible.builtin.include_role: {name: no.such.role}\n"
    files["group_vars/web/apps.yml"] = "apps:\n" + "".join(APP.format(name=name) for name in (*UNFIT, "role"))
    inventory = write(tmp_path / "inventory", {**files, **ROLE})
    *faults, role = refused(play(inventory, ANSIBLE_ROLES_PATH=str(tmp_path / "roles")))
    assert faults == [
        f"inventory/group_vars/web/apps.yml:{7 + number * 6}:17: apps.{name}.hooks.migrate.tasks is hooks/{name}.yml, which "
        f"cannot be a hook's: {message}"
        for number, (name, (_, message)) in enumerate(UNFIT.items())
    ]
    assert "the role 'no.such.role' was not found" in role


def test_what_only_the_run_can_know_is_not_refused(tmp_path: Path) -> None:
    files = {
        "hooks/good.yml": GOOD,
        "hooks/good/migrate.yml": "- ansible.builtin.debug: {msg: a}\n",
        "hooks/tasks/below.yml": "- ansible.builtin.debug: {msg: a}\n",
        "hooks/other.yml": "- some.collection.module: {}\n",
        "hooks/empty.yml": "---\n",
        "hooks/late.yml": '- ansible.builtin.include_tasks: "{{ release_path }}.yml"\n',
        "group_vars/web/apps.yml": "apps:\n" + "".join(APP.format(name=name) for name in ("good", "empty", "late")),
    }
    run = play(write(tmp_path / "inventory", files))
    assert run.touched, run.out + run.err


def test_an_imported_role_may_notify_its_handlers_and_end_itself(tmp_path: Path) -> None:
    role = "- {ansible.builtin.debug: {msg: a}, changed_when: true, notify: [Purge, 'cdn : Purge', caches, '{{ app_name }}']}\n- ansible.builtin.include_tasks: lock.yml\n"
    role += "- ansible.builtin.include_role: {name: cdn}\n  when: false\n"
    role += "- ansible.builtin.include_role: {name: cdn}\n  when: app_name == 'other'\n"
    role += (
        "- ansible.builtin.include_tasks: no-such.yml\n  when: app_name == 'other'\n- ansible.builtin.meta: end_role\n"
    )
    files = {
        "../roles/cdn/tasks/main.yml": role,
        "../roles/cdn/tasks/lock.yml": "- ansible.builtin.debug: {msg: a}\n",
        "../roles/cdn/handlers/main.yml": "- {name: Purge, listen: caches, ansible.builtin.debug: {msg: b}}\n",
        "hooks/good.yml": "- ansible.builtin.import_role: {name: cdn}\n- ansible.builtin.include_role: {name: cdn}\n",
        "group_vars/web/apps.yml": "apps:\n" + APP.format(name="good"),
    }
    run = play(write(tmp_path / "inventory", files), ANSIBLE_ROLES_PATH=str(tmp_path / "roles"))
    assert run.touched, run.out + run.err
