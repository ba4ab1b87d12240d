"""The program that holds a port, on machines made of files and on this one."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.system import ports
from ansible_collections.slipway.kit.plugins.module_utils.model import resolve, settings, sites
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host, Port

from tests.patience import patience

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = (
    "   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"
)
ANY, ANY6 = "00000000", "0" * 32


def machine(root: Path, sockets: list[tuple[str, int, str, int]], processes: dict[int, tuple[str, list[int]]]) -> str:
    """A /proc with sockets (address, port, state, inode) and processes (name and the inodes that they have open)."""
    for name, long in (("tcp", False), ("tcp6", True)):
        (root / "proc/net").mkdir(parents=True, exist_ok=True)
        lines = [
            LINE.format(address=address, port=port, state=state, inode=inode)
            for address, port, state, inode in sockets
            if (len(address) > 8) == long
        ]
        (root / "proc/net" / name).write_text(HEAD + "".join(lines))
    for pid, (name, inodes) in processes.items():
        (root / f"proc/{pid}/fd").mkdir(parents=True)
        (root / f"proc/{pid}/comm").write_text(f"{name}\n")
        for number, inode in enumerate(inodes):
            (root / f"proc/{pid}/fd/{number}").symlink_to(f"socket:[{inode}]")
        (root / f"proc/{pid}/fd/99").symlink_to("/dev/null")
    return str(root)


LISTEN, OPEN = "0A", "01"


@pytest.mark.parametrize(
    ("sockets", "processes", "nginx_pid", "wanted"),
    [
        ([], {7: ("nginx", [])}, None, None),
        ([(ANY, 80, LISTEN, 5)], {7: ("apache2", [5])}, None, {"program": "apache2", "pid": 7}),
        ([(ANY6, 80, LISTEN, 5)], {7: ("docker-proxy", [4, 5])}, None, {"program": "docker-proxy", "pid": 7}),
        ([("0100007F", 80, LISTEN, 5)], {7: ("varnishd", [5])}, None, {"program": "varnishd", "pid": 7}),
        ([(ANY, 80, LISTEN, 5), (ANY6, 80, LISTEN, 6)], {7: ("nginx", [5, 6]), 8: ("nginx", [5, 6])}, 7, None),
        # Another nginx, and ours without its own socket of the second protocol.
        ([(ANY, 80, LISTEN, 5)], {7: ("nginx", [4]), 9: ("nginx", [5])}, 7, {"program": "nginx", "pid": 9}),
        ([(ANY, 80, LISTEN, 5), (ANY6, 80, LISTEN, 6)], {7: ("nginx", [5]), 9: ("envoy", [6])}, 7, {"program": "envoy", "pid": 9}),
        # A client's connection, and another port whose number ends alike.
        ([(ANY, 80, OPEN, 5), (ANY, 0x1050, LISTEN, 6)], {7: ("curl", [5]), 8: ("x", [6])}, None, None),
        # Workers start after the master that opened the socket.
        ([(ANY, 80, LISTEN, 5)], {12: ("apache2", [5]), 11: ("apache2", [5])}, None, {"program": "apache2", "pid": 11}),
        ([(ANY, 80, LISTEN, 5)], {7: ("{{ x }}\x1b", [5])}, None, {"program": "{{ x }}?", "pid": 7}),
        ([(ANY, 80, LISTEN, 5)], {}, None, {"program": "", "pid": 0}),
    ],
)  # fmt: skip
def test_who_has_a_port(
    tmp_path: Path,
    sockets: list[tuple[str, int, str, int]],
    processes: dict[int, tuple[str, list[int]]],
    nginx_pid: int | None,
    wanted: object,
) -> None:
    assert ports.other_listener(machine(tmp_path, sockets, processes), 80, nginx_pid) == wanted


def test_a_host_without_these_files_has_nobody(tmp_path: Path) -> None:
    assert ports.other_listener(str(tmp_path), 80, None) is None


def test_this_very_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        listener = ports.other_listener("/", port, None)
        assert listener is not None and listener["pid"] == os.getpid()
        assert ports.other_listener("/", port, os.getpid()) is None
    assert ports.other_listener("/", port, None) is None


def test_a_long_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine(tmp_path, [(ANY, 80, LISTEN, 5)], {pid: ("idle", [1]) for pid in range(10, 510)})
    monkeypatch.setattr(ports, "SECONDS", 0.05)
    look = ports.open_sockets
    monkeypatch.setattr(ports, "open_sockets", lambda root, pid: time.sleep(0.02) or look(root, pid))
    begun = time.monotonic()
    assert ports.other_listener(root, 80, None) == {"program": "", "pid": 0}
    assert time.monotonic() - begun < patience(1)


def test_the_model_refuses_such_a_host() -> None:
    variables = {"apps": {"shop": {"module": "shop:app"}}}
    host = Host.assumed(ports={80: Port(taken="apache2 (process 7)")})
    host_settings, apps = settings.settings(variables, host), resolve.resolve_all(variables, host)
    assert "Port 80 of this host is held by apache2 (process 7)" in sites.obstacle(apps, host_settings, host)
    assert sites.obstacle(apps, host_settings, Host.assumed()) == ""
    gone = resolve.resolve_all({"apps": {"shop": {"state": "absent"}}}, host)
    assert sites.obstacle(gone, host_settings, host) == ""
