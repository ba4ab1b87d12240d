"""The other folders next to an inventory are no inventory: hooks, roles, files, templates, apps, generated secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import ROOT

INVENTORY = f"{Path(sys.executable).parent}/ansible-inventory"
BESIDE = {
    "hooks/announce.yml": "- name: Announce\n  ansible.builtin.debug:\n",
    "tasks/more.yml": "- name: More\n  ansible.builtin.debug:\n",
    "roles/notify/defaults/main.yml": "notify_room: ops\n",
    "vars/chat.yml": "chat_room: ops\n",
    "files/netbox.py.j2": "SECRET = {{ vault_key }}\n",
    "files/settings.yml": "just: [a, file]\n",
    "templates/nginx/site.conf.j2": "server {\n",
    ".generated/shop/KEY": "x y z\n",
    ".git/config": "[core]\n",
    "tls/shop.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n",
    "tls/shop.key": "$ANSIBLE_VAULT;1.1;AES256\n3030\n",
    "apps/shop/web.py": "from flask import Flask\n",
    "apps/shop/config.yml": "- a\n- b\n",
}


@pytest.mark.parametrize("beside", [[name] for name in BESIDE] + [list(BESIDE)], ids=lambda names: "+".join(names)[:30])
def test_a_folder_beside_the_hosts_is_no_inventory(tmp_path: Path, beside: list[str]) -> None:
    (tmp_path / "hosts.yml").write_text("web:\n  hosts:\n    one:\n")
    (tmp_path / "group_vars/web").mkdir(parents=True)
    (tmp_path / "group_vars/web/apps.yml").write_text("apps: {}\n")
    for name in beside:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(BESIDE[name])
    result = subprocess.run(
        [INVENTORY, "-i", f"{tmp_path}/", "--list"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    inventory = json.loads(result.stdout)
    assert set(inventory) == {"_meta", "all", "web"}
    assert list(inventory["_meta"]["hostvars"]) == ["one"]
