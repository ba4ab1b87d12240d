"""A run reports every fault of an inventory, a line each, and touches no host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.e2e.command import QUICK, ROOT, Run, play, write
from tests.patience import patience

APP = """\
apps:
  shop:
    module: shop:app
    source: {path: ../shop}
    domains: [shop.example.com]
"""


def refused(run: Run) -> list[str]:
    """The faults that `run` reports; it reports nothing else and has touched no host."""
    assert run.status == 2, run
    assert not run.touched
    assert run.err == ""
    assert run.seconds < patience(QUICK)
    head, *faults = run.lines
    texts = [line.strip() for line in faults]
    assert all(line.startswith("  ") for line in faults), run.out
    typed = {text.startswith("-e") for text in texts}
    place = {(True,): "this command", (False,): "the inventory"}.get(tuple(typed), "the inventory and this command")
    assert head == f"{'One fault' if len(faults) == 1 else f'{len(faults)} faults'} in {place}; no host was touched:"
    return texts


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of an app that is in order."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/shop.py").write_text("def app(environ, start_response): ...\n")
    return tmp_path / "shop"


# The text (after the first column's number of lines), and the fault that is reported: line, column, sentence.
MANY = """\
nginx_http_port: 70000
package_index_url: htps://reader:hunter2@pypi.example.com/simple
apps:
  unknown-key:
    module: shop:app
    source: {path: ../shop}
    wrokers: 3
    domains: [a.example.com]
  wrong-type:
    module: shop:app
    source: {path: ../shop}
    workers: four
    environment: [A, B]
    domains: [b.example.com]
  file:
    module: app.py
    source: {path: ../shop}
    domains: [c.example.com]
  shell:
    module: "shop:app; rm -rf /"
    source: {path: ../shop}
    domains: [d.example.com]
  a/b:
    module: shop:app
    source: {path: ../shop}
    domains: [e.example.com]
  ..:
    module: shop:app
    source: {path: ../shop}
    domains: [f.example.com]
  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:
    module: shop:app
    source: {path: ../shop}
    domains: [g.example.com]
  first:
    module: shop:app
    source: {path: ../shop}
    domains: [same.example.com]
    mount: /shop
  second:
    module: shop:app
    source: {path: ../shop}
    domains: [same.example.com]
    mount: /shop
  numbers:
    module: shop:app
    source: {path: ../shop}
    domains: [h.example.com]
    workers: 0
    request_timeout: -5
  contradiction:
    module: shop:app
    source: {path: ../shop}
    domains: [i.example.com]
    timeouts: {gunicorn: 20}
  list:
    - module: shop:app
  undefined:
    module: "{{ no_such_variable }}:app"
    source: {path: ../shop}
    domains: [j.example.com]
  missing:
    module: shop:app
    source: {path: ../no-such-folder}
    domains: [k.example.com]
  nothing:
    domains: [l.example.com]
  secretive:
    module: shop:app
    source: {path: ../shop}
    domains: [m.example.com]
    secrets: hunter2
vault_apps:
  first:
    secrets:
      LEFT_OVER: CHANGE_ME
      NESTED: {key: hunter2}
      BROKEN: "{{ 'hunter2' | from_json }}"
      DEBUG: true
      A-B: hunter2
  second: hunter2
  frist:
    secrets: {KEY: hunter2}
"""
TOLD = """\
1:1: nginx_http_port is 70000; must be from 1 to 65535
2:1: package_index_url is 'htps://***@pypi.example.com/simple'; must be a URL that starts with https:// or http://
7:5: apps.unknown-key.wrokers is not a key; did you mean workers?
12:5: apps.wrong-type.workers must be a whole number, not text ('four'); for example workers: 4
13:5: apps.wrong-type.environment must be a mapping of names to values, not a list; for example environment: {"DJANGO_SETTINGS_MODULE": "shop.settings"}
16:5: apps.file.module is 'app.py'; must be a module's dotted path and a callable, not a file; for example `app:app`
20:5: apps.shell.module is 'shop:app; rm -rf /'; must be `package.module:callable`; 'app; rm -rf /' is neither a name nor a call such as `create_app()`
23:3: apps.a/b is no name for an app; use 1 to 31 lower-case letters, digits and hyphens, a letter first
27:3: apps... is no name for an app; use 1 to 31 lower-case letters, digits and hyphens, a letter first
31:3: apps.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa is no name for an app; use 1 to 31 lower-case letters, digits and hyphens, a letter first
40:3: apps.second wants domain same.example.com at mount /shop, which apps.first has already; change domains or mount of one
49:5: apps.numbers.workers is 0; must be from 1 to 512
50:5: apps.numbers.request_timeout is -5; must be from 1 s to 86400 s
55:16: apps.contradiction.timeouts.gunicorn is 20 s, less than 31 s (request_timeout 30 + 1): a slow request would be a 502 of a killed worker instead of a 504; raise it or leave it out
56:3: apps.list must be a mapping with at least `module` and `source`, not a list
59:5: apps.undefined.module does not render: 'no_such_variable' is undefined; define it in the inventory, or correct its name
64:5: apps.missing.source cannot be used: The source folder {FOLDER}/no-such-folder does not exist; correct `path`.
66:3: apps.nothing.module is missing; for example module: 'shop.wsgi:application'
66:3: apps.nothing.source is missing; for example source: {"git": "ssh://git@example.com/shop.git", "version": "v1.4.2"}
72:5: apps.secretive.secrets must be a mapping of names to values, not text; for example secrets: {"SECRET_KEY": "{{ vault_secret_key }}"}
76:7: vault_apps.first.secrets.LEFT_OVER is still a placeholder; write the real value (ansible-vault encrypts it)
77:7: vault_apps.first.secrets.NESTED must be text or a number, or {generate: 50}, not a mapping
78:7: vault_apps.first.secrets.BROKEN does not render
79:7: vault_apps.first.secrets.DEBUG must be text or a number, or {generate: 50}, not a truth value
80:7: vault_apps.first.secrets.A-B must have a name of letters, digits and _ that does not start with a digit
81:3: vault_apps.second must be a mapping with `secrets`, not text
82:3: vault_apps.frist has no app of that name in `apps`; did you mean first?
"""


def test_every_fault_is_reported_at_once(tmp_path: Path, shop: Path) -> None:
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": MANY}))
    wanted = TOLD.replace("{FOLDER}", str(tmp_path)).splitlines()
    assert refused(run) == [f"inventory/group_vars/web/apps.yml:{line}" for line in wanted]
    assert "hunter2" not in run.out + run.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "apps: {}\n",
            "1:1: apps is empty; write at least one app: its name, its `module` and its `source`. remove.yml removes an app that a host still has",
        ),
        (
            "apps:\n  - name: shop\n",
            "1:1: apps must be a mapping of names to apps, not a list; write `shop:` instead of `- name: shop`",
        ),
        ("apps:\n  shop: {state: absnt}\n", "2:10: apps.shop.state is 'absnt'; did you mean absent?"),
        ("apps: [\n", "apps.yml:2:1: YAML parsing failed"),
        ("apps: {}\napps: {}\n", "apps.yml:2:1: YAML parsing failed: Found duplicate mapping key 'apps'."),
        ("- apps\n", "expected dicts but got"),
    ],
    ids=["empty", "list", "state", "no YAML", "twice", "list in the file"],
)
def test_apps_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": text}))
    assert not run.touched
    assert run.status != 0
    assert message in run.out + run.err
    assert "group_vars/web/apps.yml" in run.out + run.err


def test_a_run_that_is_in_order_goes_to_the_hosts(tmp_path: Path, shop: Path) -> None:
    """The control for the other tests: a run without faults does try to connect."""
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP}))
    assert run.status == 4
    assert run.touched and "UNREACHABLE" in run.out


MISSING = "inventory: apps is missing. Ansible read "


@pytest.mark.parametrize(
    ("files", "faults"),
    [
        (
            {},
            [
                f"{MISSING}no file of variables; write at least one app in inventory/group_vars/web/apps.yml: its name, "
                "its `module` and its `source`"
            ],
        ),
        (
            {"group_vars/wbe/apps.yml": APP, "group_vars/all.yml": "a: 1\n"},
            [
                f"{MISSING}inventory/group_vars/all.yml; inventory/group_vars/wbe/apps.yml:1 has `apps`, but the inventory has "
                "no group wbe; did you mean web?"
            ],
        ),
        (
            {"group_vars/web/apps.yml": f"a{APP}", "host_vars/web1.yml": APP},
            [
                "inventory: apps is missing for web2. Ansible read inventory/group_vars/web/apps.yml, "
                "inventory/host_vars/web1.yml; `aapps` at inventory/group_vars/web/apps.yml:1:1 looks like your apps; "
                "did you mean `apps`?"
            ],
        ),
        ({"group_vars/web/apps.yml": "apps:\n"}, [
            "inventory/group_vars/web/apps.yml:1:1: apps is empty; write at least one app: its name, its `module` and its `source`. remove.yml removes an app that a host still has"
        ]),
        (
            {"group_vars/web/apps.yml": APP, "group_vars/web/more.yml": APP},
            [
                "inventory/group_vars/web/more.yml:1:1: apps is also in inventory/group_vars/web/apps.yml:1:1, and Ansible would "
                "use only one of both files of the group web; write it in one"
            ],
        ),
    ],
    ids=["no file", "a mistyped group", "a mistyped key", "empty", "twice"],
)  # fmt: skip
def test_apps_that_are_missing(tmp_path: Path, shop: Path, files: dict[str, str], faults: list[str]) -> None:
    assert refused(play(write(tmp_path / "inventory", files))) == faults


def test_hosts_in_another_group(tmp_path: Path) -> None:
    run = play(write(tmp_path / "inventory", {"hosts.yml": "wbe:\n  hosts:\n    web1: {ansible_host: 192.0.2.1}\n"}))
    assert run.status == 2
    assert run.lines == ["The inventory has no host in the group web; write your hosts there (its groups: wbe)."]


def test_a_mistyped_app_of_one_run(tmp_path: Path, shop: Path) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    assert refused(play(inventory, "-e", "app=shpo")) == [
        "-e: app is shpo, which the inventory does not have; did you mean shop?"
    ]


@pytest.mark.parametrize(("playbook", "more"), [("rollback.yml", ()), ("run.yml", ("-e", "command=ls"))])
def test_an_absent_app_of_one_run(tmp_path: Path, shop: Path, playbook: str, more: tuple[str, ...]) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": f"{APP}  blog: {{state: absent}}\n"})
    assert refused(play(inventory, "-e", "app=blog", *more, playbook=f"playbooks/{playbook}")) == [
        "-e: app is blog, which the inventory wants absent; take state: absent away from its entry and deploy it first"
    ]


@pytest.mark.parametrize(
    ("playbook", "more"),
    [("rollback.yml", ()), ("releases.yml", ()), ("logs.yml", ()), ("run.yml", ("-e", "command=ls"))],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_run_about_one_app_is_not_stopped_by_another_entry(
    tmp_path: Path, shop: Path, playbook: str, more: tuple[str, ...]
) -> None:
    """Colleagues may be in the middle of their change while an operator has to go back."""
    wrong = "  blog: {module: blog, workers: many, environment: {A: '{{ nowhere }}'}}\n"
    files = {"group_vars/web/apps.yml": APP + wrong, "group_vars/web/vault.yml": "vault_apps: {blog: 3}\n"}
    inventory, path = write(tmp_path / "inventory", files), f"playbooks/{playbook}"
    run = play(inventory, "-e", "app=shop", *more, playbook=path)
    assert run.touched
    warning = "the inventory is wrong about blog; this run is not about that, and site.yml names each fault"
    assert warning in " ".join(run.err.split())
    about_blog = refused(play(inventory, "-e", "app=blog", *more, playbook=path))
    assert any("apps.blog.workers" in line for line in about_blog)
    assert refused(play(inventory, "-e", "app=shop"))  # it writes nginx's files of all apps


def test_a_release_is_one_app_s(tmp_path: Path, shop: Path) -> None:
    """An id names a release of one app: a rollback of several to it was refused on each host, after the lock."""
    entry = "  {0}:\n    module: shop:app\n    source: {{path: ../shop}}\n    domains: [{0}.example.com]\n"
    apps = APP + "".join(entry.format(name) for name in ("blog", "wiki"))
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": apps})
    rollback = "playbooks/rollback.yml"
    for chosen, named in (((), "shop, blog, wiki"), (("-e", "app=wiki,blog"), "blog, wiki")):
        (fault,) = refused(play(inventory, *chosen, "-e", "release=v1-00000001", playbook=rollback))
        assert fault.startswith(f"-e: release is about one app, and this run is about {named}; add -e app=")
    assert play(inventory, "-e", "release=v1-00000001", "-e", "app=wiki", playbook=rollback).touched
    assert play(inventory, playbook=rollback).touched


def test_a_mistyped_variable_of_one_run(tmp_path: Path, shop: Path) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    faults = [
        "-e: lock_wiat is not a variable of Slipway; did you mean lock_wait?",
        "-e: format is jsn; it can be table or json",
    ]
    assert sorted(refused(play(inventory, "-e", "lock_wiat=3 format=jsn mine=1"))) == sorted(faults)


def test_a_mistyped_program(tmp_path: Path, shop: Path) -> None:
    more = "    processes: {worker: {command: [python, x.py]}}\n"
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP + more})
    logs = "playbooks/logs.yml"
    assert refused(play(inventory, "-e", "app=shop program=wroker", playbook=logs)) == [
        "-e: program is wroker, which the app does not have; did you mean worker?"
    ]
    assert refused(play(inventory, "-e", "aap=shop", playbook=logs)) == [
        "-e: aap is not a variable of Slipway; did you mean app?"
    ]


def test_a_key_of_an_app_on_the_command_line(tmp_path: Path, shop: Path) -> None:
    """It may be a variable of the user's own playbooks: the run continues, with a warning."""
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    run = play(inventory, "-e", "request_timeot=3")
    message = "request_timeout is a key of an app; write it into the app's entry in `apps`"
    assert f"-e: request_timeot has no effect: {message}" in " ".join(run.err.split())
    assert run.touched


def test_a_setting_on_the_command_line(tmp_path: Path, shop: Path) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    faults = refused(play(inventory, "-e", "nginx_http_port=eighty", "-e", "process_manager=runit"))
    assert faults == [
        "-e: process_manager is 'runit'; there are: auto, supervisor, systemd",
        "-e: nginx_http_port must be a whole number, not text ('eighty'); for example nginx_http_port: 8080",
    ]


def test_an_encrypted_value_without_its_password(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "password").write_text("right\n")
    vault = subprocess.run(
        [f"{Path(sys.executable).parent}/ansible-vault", "encrypt_string", "--vault-password-file", "password", "hunter2", "--name", "KEY"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    indented = "".join(f"      {line}\n" for line in vault.splitlines())
    inventory = write(
        tmp_path / "inventory",
        {"group_vars/web/apps.yml": APP, "group_vars/web/vault.yml": f"vault_apps:\n  shop:\n    secrets:\n{indented}"},
    )
    (fault,) = refused(play(inventory))
    assert fault == (
        "inventory/group_vars/web/vault.yml:4:7: vault_apps.shop.secrets.KEY cannot be decrypted; "
        "give the vault's password with --ask-vault-pass or --vault-password-file"
    )


def test_an_encrypted_file_without_its_password(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "right").write_text("right\n")
    (tmp_path / "wrong").write_text("wrong\n")
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP, "group_vars/web/vault.yml": "a: b\n"})
    vault = f"{Path(sys.executable).parent}/ansible-vault"
    file = "inventory/group_vars/web/vault.yml"
    subprocess.run(
        [vault, "encrypt", "--vault-password-file", "right", file], cwd=tmp_path, capture_output=True, check=True
    )
    for options, why in (
        ((), "it is encrypted, and this run has no password for it. Give one by --ask-vault-pass, "),
        (
            ("--vault-password-file", "wrong"),
            "it cannot be decrypted with the password of this run. Give the right one by --ask-vault-pass, ",
        ),
    ):
        run = play(inventory, *options)
        assert not run.touched and run.status
        assert f"{file}: {why}--vault-password-file or ANSIBLE_VAULT_PASSWORD_FILE\n" in run.err
    assert play(inventory, "--vault-password-file", "right").touched


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A bare repository with a branch `main` and a tag `v1`."""
    work, bare = tmp_path / "work", tmp_path / "shop.git"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main", str(work)], check=True)
    (work / "shop.py").write_text("def app(environ, start_response): ...\n")
    subprocess.run([*git, "-C", str(work), "add", "."], check=True)
    subprocess.run([*git, "-C", str(work), "commit", "-q", "-m", "one"], check=True)
    subprocess.run([*git, "-C", str(work), "tag", "v1.4.2"], check=True)
    subprocess.run([*git, "clone", "-q", "--bare", str(work), str(bare)], check=True)
    return bare


def test_git_sources_that_cannot_be_had(tmp_path: Path, repository: Path) -> None:
    entry = (
        "  {name}:\n    module: shop:app\n    source: {{git: '{git}', version: {ref}}}\n    domains: [{name}.example]\n"
    )
    sources = [
        ("good", f"file://{repository}", "v1.4.2"),
        ("typo", f"file://{repository}", "v1.4.3"),
        ("unknown", str(repository), "feature/basket"),
        ("nowhere", f"file://{tmp_path}/none.git", "main"),
        ("no-folder", "../none.git", "main"),
        ("command", "ext::sh -c true", "main"),
    ]
    text = "apps:\n" + "".join(entry.format(name=name, git=git, ref=ref) for name, git, ref in sources)
    faults = refused(play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": text})))
    file = "inventory/group_vars/web/apps.yml"
    assert faults[:2] == [
        f"{file}:8:5: apps.typo.source cannot be used: file://{repository} has no branch, tag or commit v1.4.3; "
        "did you mean v1.4.2?",
        f"{file}:12:5: apps.unknown.source cannot be used: {repository} has no branch, tag or commit feature/basket; "
        "correct `version`, or push it.",
    ]
    assert [fault.split(" cannot")[0] for fault in faults[2:]] == [
        f"{file}:16:5: apps.nowhere.source",
        f"{file}:20:5: apps.no-folder.source",
        f"{file}:24:5: apps.command.source",
    ]
    assert "none.git'; check the address, and whether this machine may read it." in faults[2]
    assert faults[3].endswith(f"{tmp_path}/none.git does not exist; correct `git`.")
    assert "protocol that is not allowed" in faults[4]


def test_an_inventory_replaces_and_extends_templates(tmp_path: Path, shop: Path) -> None:
    inventory = write(
        tmp_path / "inventory",
        {
            "group_vars/web/apps.yml": APP,
            "templates/nginx/upstream.conf.j2": "# mine: {{ app.name }}\n",
            "templates/nginx/site.conf.j2": '{% extends "kit/templates/nginx/site.conf.j2" %}\n'
            "{% block server %}\n    # extended\n{% endblock %}\n",
        },
    )
    run = play(inventory, "-e", f"build={tmp_path}/build", playbook="playbooks/render.yml")
    assert run.status == 0, run
    etc = tmp_path / "build/inventory/web1/etc/nginx"
    assert (etc / "conf.d/slipway-app-shop.conf").read_text() == "# mine: shop\n"
    site = (etc / "conf.d/slipway-site-shop.example.com.conf").read_text()
    assert "    # extended\n" in site
    assert "server_name shop.example.com;" in site


def test_rendered_files_lie_below_the_current_folder(tmp_path: Path, shop: Path) -> None:
    inventory = write(tmp_path / "here/inventory", {"group_vars/web/apps.yml": APP.replace("../shop", "../../shop")})
    run = play(inventory, playbook="playbooks/render.yml")
    assert run.status == 0, run
    assert (tmp_path / "here/build/inventory/web1/etc/nginx").is_dir()
    assert f"files in {tmp_path}/here/build/inventory/web1" in run.out


def test_a_template_that_does_not_render_is_named(tmp_path: Path, shop: Path) -> None:
    inventory = write(
        tmp_path / "inventory",
        {"group_vars/web/apps.yml": APP, "templates/nginx/site.conf.j2": "{{ site.nmae }}\n"},
    )
    run = play(inventory, "-e", f"build={tmp_path}/build", playbook="playbooks/render.yml")
    assert run.status == 2
    assert "template nginx/site.conf.j2" in run.out
    assert f"{inventory}/templates/nginx/site.conf.j2" in run.out
    assert "nmae" in run.out


PLACED = """\
city: Lund
apps:
  wiki:
    module: wiki:app
    source: {path: ../blog}
    domains: [wiki.example.com]
    secrets: {TOKEN: hunter2-of-the-wiki}
    static: {/static/: static}
    files:
      settings.py: files/none.py
      pages: files/good.j2
      wiki.py/b: files/good.j2
      local.py: files/undefined.j2
      broken.py: files/broken.j2
      tells.py: files/tells.j2
      later.py: files/later.j2
"""


def test_what_cannot_be_placed(tmp_path: Path, shop: Path) -> None:
    (tmp_path / "blog/pages").mkdir(parents=True)
    (tmp_path / "blog/static").mkdir()
    for name in ("wiki.py", "pages/a.py", "static/a.css"):
        (tmp_path / "blog" / name).write_text("")
    texts = {
        "good.j2": "{{ city }}",
        "undefined.j2": "a\n{{ ctiy }}\n",
        "broken.j2": "{% if %}\n",
        "tells.j2": "{{ secrets.TOKEN | from_json }}\n",
        "later.j2": "{{ ansible_facts['slipway']['cores'] }}\n",
    }
    files = {f"files/{name}": text for name, text in texts.items()}
    inventory = tmp_path / "inventory"
    report = "\n".join(refused(play(write(inventory, {"group_vars/web/apps.yml": PLACED, **files}))))
    place = f"{inventory}/files"
    for fault in (
        "apps.wiki.files.settings.py is files/none.py, which does not exist",
        "apps.wiki.files.pages is a folder of the source",
        "apps.wiki.files.wiki.py/b is below wiki.py, which is a file of the source",
        f"apps.wiki.files.local.py is files/undefined.j2, which does not render: {place}/undefined.j2:2: 'ctiy' is undefined",
        f"apps.wiki.files.broken.py is files/broken.j2, which does not render: {place}/broken.j2:1: ",
        "apps.wiki.files.tells.py is files/tells.j2, which does not render",
    ):
        assert fault in report, (fault, report)
    assert "later.py" not in report and "hunter2-of" not in report


def test_what_cannot_be_rendered_offline_is_reported_once(tmp_path: Path, shop: Path) -> None:
    """For both hosts, with the line, and with a source that does not exist."""
    text = APP + "    files: {local.py: files/none.py, undefined.py: files/undefined.py.j2}\n"
    more = APP.replace("apps:\n", "").replace("shop", "blog")
    files = {"group_vars/web/apps.yml": text + more, "files/undefined.py.j2": "a\n{{ ctiy }}\n"}
    inventory = write(tmp_path / "inventory", files)
    faults = refused(play(inventory, playbook="playbooks/render.yml"))
    file = "inventory/group_vars/web/apps.yml"
    assert faults == [
        f"{file}:6:13: apps.shop.files.local.py is files/none.py, which does not exist ({inventory}/files/none.py); correct it",
        f"{file}:6:38: apps.shop.files.undefined.py is files/undefined.py.j2, which does not render: "
        f"{inventory}/files/undefined.py.j2:2: 'ctiy' is undefined",
        f"{file}:9:5: apps.blog.source cannot be used: The source folder {tmp_path}/blog does not exist; correct `path`.",
    ]


def test_one_app_s_missing_files_are_reported_at_once(tmp_path: Path, shop: Path) -> None:
    more = "    requirements: none.txt\n    files: {local.py: files/none.py}\n    error_pages: none\n"
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP + more})
    faults = refused(play(inventory, playbook="playbooks/render.yml"))
    words = ("requirements is none.txt", "files.local.py is files/none.py", "error_pages is none")
    assert len(faults) == 3 and all(word in fault for word, fault in zip(words, faults, strict=True)), faults


def test_a_source_that_cannot_be_built_on_the_controller(tmp_path: Path, shop: Path) -> None:
    text = APP.replace("../shop}", "../shop, build: [sh, -c, 'echo why >&2; exit 3']}")
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": text}))
    assert run.status == 2 and not run.touched
    assert (
        "apps.shop.source cannot be used: `source.build` (sh -c 'echo why >&2; exit 3') failed with status 3.\n"
        in run.out
    )
    assert "    why" in run.out


def test_rendered_files_hide_secrets(tmp_path: Path, shop: Path) -> None:
    more = "    secrets: {TOKEN: hunter2}\n    files: {local.py: files/local.py.j2, plain.txt: files/plain.txt}\n"
    files = {
        "files/local.py.j2": "AT = '{{ app.release.path }}'\nTOKEN = '{{ secrets.TOKEN }}'\n",
        "files/plain.txt": "plain\n",
    }
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP + more, **files})
    run = play(inventory, "-e", f"build={tmp_path}/build", playbook="playbooks/render.yml")
    assert run.status == 0, run
    code = tmp_path / "build/inventory/web1/srv/shop/releases/local-00000000/code"
    assert (code / "local.py").read_text() == "AT = '/srv/shop/releases/local-00000000'\nTOKEN = '********'\n"
    assert (code / "plain.txt").read_text() == "plain\n"


def test_a_certificate_is_judged_before_any_host_is_touched(tmp_path: Path, shop: Path) -> None:
    tls = "    tls:\n      certificate: tls/shop.pem\n      key: tls/shop.key\n"
    authority = Authority()
    good, expired = authority.issue("shop.example.com"), authority.issue("shop.example.com", begin=-9, days=-2)
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP + tls})
    missing = "inventory/group_vars/web/apps.yml:{0}:7: apps.shop.tls.{1} is tls/shop.{2}, which does not exist"
    certificate, key = refused(play(inventory))
    assert certificate.startswith(missing.format(7, "certificate", "pem"))
    assert key.startswith(missing.format(8, "key", "key"))
    for issued, key, words in (
        (good, expired.private, "7: apps.shop.tls.key does not belong to the certificate of CN=shop.example.com"),
        (expired, expired.private, "7: apps.shop.tls.certificate expired on "),
    ):
        write(inventory, {"tls/shop.pem": issued.chain, "tls/shop.key": key})
        (fault,) = refused(play(inventory))
        assert words in fault
        assert key.splitlines()[1] not in fault


def test_files_that_are_wrong_are_reported_with_all_other_faults(tmp_path: Path, shop: Path) -> None:
    text = """\
acme_ca_file: tls/ca.pem
apps:
  shop:
    module: shop:app
    source: {path: ../no-such-folder}
    domains: [shop.example.com]
    workers: four
    error_pages: files/none
    tls: {certificate: tls/none.pem, key: tls/none.key}
  other:
    module: shop:app
    source: {path: ../shop}
    domains: [shop.example.com]
    mount: /other
    hsts: 7 days
    tls: {certificate: tls/other.pem, key: tls/other.key}
  third:
    module: shop:app
    source: {path: ../shop}
    domains: [shop.example.com]
    mount: /third
"""
    inventory = write(
        tmp_path / "inventory", {"group_vars/web/apps.yml": text, "tls/other.pem": "x", "tls/other.key": ""}
    )
    faults = refused(play(inventory, "-e", "acme_email=nobody"))
    assert [fault.partition(": ")[2].partition(" ")[0] for fault in faults] == [
        "acme_email",
        "acme_ca_file",
        "apps.shop.source",
        "apps.shop.workers",
        "apps.shop.error_pages",
        "apps.shop.tls.certificate",
        "apps.shop.tls.key",
        "apps.other.hsts",
        "apps.other.tls.certificate",
        "apps.other.tls.key",
        "apps.third.tls",
    ]


def test_the_examples_are_in_order() -> None:
    for environment in ("local", "staging", "production"):
        run = play(ROOT / "inventories" / environment, "--syntax-check")
        assert run.status == 0, run


def test_an_app_to_take_off_has_to_be_named(tmp_path: Path, shop: Path) -> None:
    apps = "apps:\n  shop:\n    module: shop:app\n    source: {path: ../shop}\n"
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": apps}), playbook="playbooks/remove.yml")
    assert (run.status, run.touched) == (2, False)
    assert (
        "Say which app to remove: -e app=NAME; the inventory has: shop (a host may have more). No host was touched."
        in run.out
    )


def test_a_removal_reports_every_fault_as_a_deploy_does(tmp_path: Path) -> None:
    apps = APP.replace("domains", "domain") + "    env: {A: b}\n"
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": apps})
    faults = refused(play(inventory, "-e", "app=shop", playbook="playbooks/remove.yml"))
    assert [fault.rpartition("; ")[2] for fault in faults] == ["did you mean domains?", "did you mean environment?"]
