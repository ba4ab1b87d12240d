"""Ways to log in by ssh, and what harden.yml writes: only what the inventory needs is open, and no user is locked out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.action.access import KEY_ALONE, ActionModule
from ansible_collections.slipway.kit.plugins.module_utils import rendering
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.host.system.access import access, ports, session_port
from ansible_collections.slipway.kit.plugins.module_utils.model import hardening, resolve, settings, validation
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host


# -------------------------------------------------------------------------------------------------------------- access
def process(root: Path, number: int, parent: int, *environment: str) -> None:
    folder = root / f"proc/{number}"
    folder.mkdir(parents=True)
    (folder / "environ").write_bytes("\0".join(environment).encode() + b"\0")
    (folder / "stat").write_text(f"{number} (a (strange) name) S {parent} 1 1 0")


def test_sshd_tells_its_ports() -> None:
    assert ports("port 22\nport 2222\nlistenaddress [::]:22\nlistenaddress 10.0.0.1:8022\nx11port 7\n") == {
        22,
        2222,
        8022,
    }


def test_the_port_of_this_very_connection_is_found_behind_sudo(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, "SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 9922")
    process(tmp_path, 20, 10, "SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 2022", "HOME=/root")
    process(tmp_path, 30, 20, "HOME=/root", "OLD_SSH_CONNECTION=a 1 b 2")
    assert session_port(str(tmp_path), 30) == 2022
    assert access(str(tmp_path), 30) == {"sshd": False, "ports": [2022], "passwords": False}


def test_who_comes_otherwise_has_no_port(tmp_path: Path) -> None:
    process(tmp_path, 30, 1, "HOME=/root")
    assert session_port(str(tmp_path), 30) is None


class Ssh:
    """A connection by ssh that succeeds or is refused."""

    ansible_name = "ansible.builtin.ssh"

    def __init__(self, answer: int | None) -> None:
        self.answer = answer
        self.options = {"ssh_args": "-o ControlMaster=auto"}
        self.used = ""

    def get_option(self, name: str) -> str:
        return self.options[name]

    def set_option(self, name: str, value: str) -> None:
        self.options[name] = value

    def exec_command(self, command: str, sudoable: bool) -> tuple[int, bytes, bytes]:
        assert (command, sudoable) == ("true", False)
        self.used = self.options["ssh_args"]
        if self.answer is None:
            raise AnsibleConnectionFailure("Failed to connect:\nPermission denied (publickey,password).")
        return self.answer, b"", b"no shell"


def seen(monkeypatch: pytest.MonkeyPatch, connection: Any, passwords: bool = True) -> dict[str, Any]:
    """The action's answer about a host."""
    action = ActionModule(
        task=type("Task", (), {"async_val": 0, "check_mode": False, "diff": False, "args": {}, "no_log": False})(),
        connection=connection, play_context=None, loader=None, templar=None, shared_loader_obj=None,
    )  # fmt: skip
    answer = {"sshd": True, "ports": [22], "passwords": passwords}
    monkeypatch.setattr(action, "_execute_module", lambda **_: {"ansible_facts": {"slipway_access": dict(answer)}})
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})
    return action.run(None, {})["ansible_facts"]["slipway_access"]  # type: ignore[no-any-return]


def test_a_key_is_proved_by_a_connection_that_may_use_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Ssh(0)
    assert seen(monkeypatch, connection)["key"]
    assert connection.used == KEY_ALONE
    assert connection.options == {"ssh_args": "-o ControlMaster=auto"}


def test_a_password_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = seen(monkeypatch, Ssh(None))
    assert (answer["key"], answer["why"]) == (False, "Permission denied (publickey,password).")


def test_another_way_in_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    other = type("Local", (), {"ansible_name": "ansible.builtin.local"})()
    assert not seen(monkeypatch, other)["key"]
    assert seen(monkeypatch, other, passwords=False)["key"]  # no user logs in with a password anyway: it stays so


# --------------------------------------------------------------------------------------------------------------- files
def written(part: str, tls: str = "none", **variables: Any) -> dict[str, str]:
    """The files of one layer: text by destination."""
    assert validation.validate({"apps": {"a": {"module": "a:b", "source": {"path": "/a"}}}, **variables}) == []
    host_settings = settings.settings(variables, Host.assumed())
    entry = {"module": "a:b", "source": {"path": "/a"}}
    apps = resolve.resolve_all({"apps": {"a": {**entry, "tls": tls}}, **variables}, Host.assumed(nginx_http3=True))
    entries = {
        "firewall": lambda: hardening.firewall(host_settings, apps, [2222, 22]),
        "ssh": lambda: hardening.ssh(host_settings.ssh_passwords),
        "updates": lambda: hardening.updates(host_settings),
        "fail2ban": lambda: hardening.fail2ban(host_settings, Host.assumed(), apps),
    }[part]()
    loader = DataLoader()
    texts = {
        one["dest"]: rendering.render(
            Templar(loader=loader, variables={}), {}, loader, one["src"], one["dest"], one["vars"]
        )
        for one in entries
        if "src" in one
    }
    for text in texts.values():
        assert text.endswith("\n") and not re.search(r"\n\n\n|\n\n$|[ \t]\n|\{\n\n|\n\n *\}|\{[{%]", text), text
    return texts


def test_open_is_what_the_inventory_needs_and_ssh() -> None:
    rules = written("firewall", nginx_http_port=8080, firewall_ports=[443])[names.FIREWALL]
    assert "        tcp dport { 22, 443, 2222, 8080 } accept\n" in rules
    assert "policy drop" in rules and "flush" not in rules
    assert "tcp dport { 22, 80, 443, 2222 } accept\n" in written("firewall", "self_signed")[names.FIREWALL]
    assert "udp dport 443" not in written("firewall", "self_signed")[names.FIREWALL]
    rules = written("firewall", "self_signed", nginx_http3=True, nginx_https_port=8443)[names.FIREWALL]
    assert "tcp dport { 22, 80, 2222, 8443 } accept\n        udp dport { 8443 } accept\n" in rules
    more = written("firewall", firewall_extra="ip saddr 192.0.2.0/24 tcp dport 5432 accept\nudp dport 53 accept\n")
    assert "        ip saddr 192.0.2.0/24 tcp dport 5432 accept\n        udp dport 53 accept\n" in more[names.FIREWALL]


def test_passwords_end_only_when_a_setting_says_so() -> None:
    (strict,) = written("ssh").values()
    (lenient,) = written("ssh", ssh_passwords=True).values()
    assert "\nPasswordAuthentication no\n" in strict
    assert not re.search("^(Password|KbdInteractive|PermitRoot)", lenient, re.MULTILINE)
    assert "X11Forwarding no" in lenient


def test_a_reboot_comes_only_when_wanted() -> None:
    (quiet,) = written("updates").values()
    (rebooting,) = written("updates", updates_reboot="04:30").values()
    assert "Reboot" not in quiet
    assert 'Automatic-Reboot-Time "04:30";' in rebooting


def test_bans_read_only_what_no_client_writes() -> None:
    refused, jails = written("fail2ban", fail2ban_ban_time=60, nginx_trusted_proxies=["192.0.2.0/24"], fail2ban_ignore=["198.51.100.7"]).values()  # fmt: skip
    assert "ignoreip = 127.0.0.0/8 ::1 192.0.2.0/24 198.51.100.7\n" in jails
    assert set(re.findall("^logpath = (.*)$", jails, re.MULTILINE)) == {names.NGINX_REFUSED_LOG}
    assert dict(re.findall(r"\[nginx-(.*)\]\nenabled = true\nfilter = slipway-refused\[number=(\d+)\]\n", jails)) == {
        "limit-req": "429",
        "http-auth": "401",
        "botsearch": "404",
    }
    assert "port =" not in jails
    assert "\nfailregex = ^ <ADDR> <number>$\n" in refused
    _, jails = written("fail2ban", "self_signed", nginx_http_port=8080, nginx_https_port=8443).values()
    assert jails.count("\nport = http,https,8080,8443\n") == 3


def test_no_ban_reads_a_log_of_a_host_without_nginx() -> None:
    host = replace(Host.assumed(), nginx_installed=False)
    _, jails = hardening.fail2ban(settings.settings({}, host), host, [])
    assert jails["vars"]["fail2ban"]["log"] == hardening.refused_log(host) == ""


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"firewall_ports": [0]}, "firewall_ports item 0 must be a port"),
        ({"firewall_ports": ["443"]}, "item '443' must be a port"),
        ({"updates_reboot": "4:30"}, 'such as "04:30"'),
        ({"updates_reboot": 270}, "updates_reboot must be text"),  # 4:30 as YAML 1.1 reads it
        ({"fail2ban_ignore": ["example.com"]}, "must be an IP address"),
        ({"firewall_port": [1]}, "did you mean firewall_ports?"),
    ],
)
def test_slips_are_reported(variables: dict[str, Any], message: str) -> None:
    faults = validation.validate({"apps": {"a": {"module": "a:b", "source": {"path": "/a"}}}, **variables})
    assert any(message in str(fault) for fault in faults), [str(fault) for fault in faults]
