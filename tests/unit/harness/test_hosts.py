"""What podman needs is a pure function of facts. The facts come from files, here from those of an invented machine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.tests.hosts import images, machine
from ansible_collections.slipway.kit.tests.hosts.machine import Facts

TOOLS = frozenset({"podman", "mmdebstrap", "debian-archive-keyring", "crun", "netavark", "aardvark-dns", "iptables"})
ORDINARY = Facts(
    uid=0,
    may_raise_limits=True,
    open_files=524288,
    processes=None,
    pid_max=4194304,
    cgroups="unified",
    distribution="debian",
    release=12,
    tools=TOOLS,
)


def with_(**changes: object) -> Facts:
    return dataclasses.replace(ORDINARY, **changes)  # type: ignore[arg-type]


def test_an_ordinary_machine_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    needs = machine.needs(ORDINARY)
    assert needs.settings == {}
    assert needs.sentence() == "podman needs nothing special here"
    assert machine.environment(ORDINARY, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    assert machine.missing(ORDINARY) == []


def test_a_hybrid_hierarchy_needs_runc() -> None:
    facts = with_(cgroups="hybrid")
    assert machine.needs(facts).settings == {"engine": {"runtime": '"runc"'}}
    assert "hybrid cgroup hierarchy" in machine.needs(facts).sentence()
    assert machine.missing(facts) == ["runc"]


@pytest.mark.parametrize("cgroups", ["unified", "legacy"])
def test_other_hierarchies_keep_podmans_own_runtime(cgroups: str) -> None:
    assert "engine" not in machine.needs(with_(cgroups=cgroups)).settings


def test_root_that_may_not_raise_its_limits_asks_for_no_more_than_it_has() -> None:
    facts = with_(may_raise_limits=False, open_files=20000, processes=96365, pid_max=32768)
    assert machine.needs(facts).settings["containers"] == {
        "default_ulimits": '["nofile=1024:20000", "nproc=32768:32768"]'
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"open_files": 20000, "processes": 1000},  # root with the capability raises them itself
        {"may_raise_limits": False, "open_files": None, "processes": None},
        {"uid": 1000, "may_raise_limits": False, "open_files": 4096},  # rootless podman keeps the limits of its user
    ],
)
def test_limits_that_do_no_harm_are_not_touched(changes: dict[str, object]) -> None:
    assert "containers" not in machine.needs(with_(**changes)).settings


def test_the_soft_limit_never_exceeds_the_hard_one() -> None:
    settings = machine.needs(with_(may_raise_limits=False, open_files=256)).settings
    assert '"nofile=256:256"' in settings["containers"]["default_ulimits"]


def test_the_configuration_is_written_once_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    env = machine.environment(with_(cgroups="hybrid"), tmp_path)
    assert env == {"CONTAINERS_CONF": str(tmp_path / "containers.conf")}
    assert '[engine]\nruntime = "runc"\n' in (tmp_path / "containers.conf").read_text()
    before = (tmp_path / "containers.conf").stat()
    machine.environment(with_(cgroups="hybrid"), tmp_path)
    assert (tmp_path / "containers.conf").stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == ["containers.conf"]


def test_a_configuration_that_is_set_already_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINERS_CONF", "/etc/own.conf")
    assert machine.environment(with_(cgroups="hybrid"), tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_as_debian_names_them() -> None:
    bare = with_(tools=frozenset())
    packages = ["podman", "mmdebstrap", "debian-archive-keyring", "runc", "netavark", "aardvark-dns", "iptables"]
    assert machine.missing(bare) == packages
    assert machine.missing(dataclasses.replace(bare, release=13))[-1] == "nftables"
    assert machine.missing(dataclasses.replace(bare, distribution="ubuntu", release=24))[-1] == "iptables"
    assert machine.missing(dataclasses.replace(bare, uid=1000))[-2:] == ["uidmap", "slirp4netns"]
    assert machine.missing(with_(tools=(TOOLS - {"netavark", "aardvark-dns"}) | {"bridge", "dnsname"})) == []
    assert machine.install_command(["runc"]) == ["apt-get", "install", "--yes", "--no-install-recommends", "runc"]


def invent(root: Path, *, capabilities: str, cgroup: list[str], files: str) -> Path:
    texts = {
        "proc/self/limits": (
            "Limit                     Soft Limit           Hard Limit           Units\n"
            f"Max processes             96365                unlimited            processes\n"
            f"Max open files            1024                 {files}              files\n"
        ),
        "proc/self/status": f"Name:\tpython\nUid:\t1000\t0\t0\t0\nCapEff:\t{capabilities}\n",
        "proc/self/mounts": "".join(f"{kind} /sys/fs/cgroup/{n} {kind} rw 0 0\n" for n, kind in enumerate(cgroup)),
        "proc/sys/kernel/pid_max": "32768\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n',
        "usr/lib/podman/netavark": "",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    tool = root / "usr/sbin/runc"
    tool.parent.mkdir(parents=True)
    tool.write_text("")
    tool.chmod(0o755)
    return root


def test_facts_are_read_from_files(tmp_path: Path) -> None:
    facts = machine.read(invent(tmp_path, capabilities="000001fffeffffff", cgroup=["cgroup", "cgroup2"], files="20000"))
    assert facts == Facts(
        uid=0,
        may_raise_limits=False,
        open_files=20000,
        processes=None,
        pid_max=32768,
        cgroups="hybrid",
        distribution="debian",
        release=12,
        tools=frozenset({"runc", "netavark"}),
    )


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [(["cgroup2"], "unified"), (["cgroup"], "legacy"), (["cgroup2", "cgroup"], "hybrid"), ([], "unified")],
)
def test_the_hierarchy_is_known_by_its_mounts(tmp_path: Path, cgroup: list[str], expected: str) -> None:
    facts = machine.read(invent(tmp_path, capabilities="000001ffffffffff", cgroup=cgroup, files="unlimited"))
    assert facts.cgroups == expected
    assert facts.may_raise_limits
    assert facts.open_files is None


def test_a_recipe_changes_its_digest_and_that_of_what_is_built_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: recipe.digest for name, recipe in images.RECIPES.items()}
    assert len(set(before.values())) == len(before)
    changed = dataclasses.replace(images.RECIPES["trixie"], packages=("systemd",))
    monkeypatch.setitem(images.RECIPES, "trixie", changed)
    after = {name: recipe.digest for name, recipe in images.RECIPES.items()}
    assert {name for name in before if before[name] != after[name]} == {
        "trixie",
        "trixie-ready",
        "authority",
        "judge",
    }


def test_the_minimal_image_has_nothing_that_the_kit_installs() -> None:
    for recipe in images.RECIPES.values():
        if not recipe.base:
            assert not set(recipe.packages) & set(images.READY)
            assert "http" not in " ".join(recipe.bootstrap("x.tar"))  # the mirror is mmdebstrap's own choice


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(machine.HostsError, match="localhost/slipway-bookworm, localhost/slipway-bookworm-ready"):
        images.recipe_of("localhost/slipway-sid")


def test_images_that_are_up_to_date_are_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    existing = [{"Names": [f"{r.image}:latest"], "Labels": {images.LABEL: r.digest}} for r in images.RECIPES.values()]
    monkeypatch.setattr(images, "run", lambda argv, env, text=None: json.dumps(existing))
    monkeypatch.setattr(images, "_build", lambda recipe, env: pytest.fail(f"built {recipe.name}"))
    assert images.ensure(list(images.RECIPES), {}) == []
