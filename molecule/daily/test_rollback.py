"""A rollback of hosts to which different deploys came last. The hosts have different Pythons and process managers, so ids differ."""

from __future__ import annotations

from typing import Any

from daily import HOSTS, SCENARIO, SUPERVISOR, SYSTEMD

RELEASES = """
import json, os
root = "/srv/shop/releases"
bad = sorted(name for name in os.listdir(root) if os.path.exists(f"{root}/{name}/bad.json"))
print(json.dumps({"current": os.path.basename(os.path.realpath("/srv/shop/current")), "bad": bad}))
"""


def releases() -> dict[str, dict[str, Any]]:
    """The app's current release on each host, and those that are marked bad."""
    return {host: SCENARIO.python(host, RELEASES) for host in HOSTS}


def succeeded(playbook: str, *options: str, **variables: Any) -> str:
    """The output of a run that must succeed."""
    completed = SCENARIO.play(playbook, *options, **variables)
    assert completed.returncode == 0, completed.stdout
    return completed.stdout


def test_a_host_that_a_deploy_left_out_keeps_its_release() -> None:
    for number, host in enumerate(HOSTS):
        succeeded("deploy", app="shop", greeting=f"all {number}")
        before = releases()
        succeeded("deploy", "--limit", host, app="shop", greeting=f"one {number}")
        deployed = releases()
        assert [name for name in HOSTS if deployed[name] != before[name]] == [host]
        output = succeeded("rollback", app="shop")
        after = releases()
        assert {name: one["current"] for name, one in after.items()} == {
            name: one["current"] for name, one in before.items()
        }, output
        assert deployed[host]["current"] in after[host]["bad"]
        assert all(after[name]["bad"] == before[name]["bad"] for name in HOSTS if name != host)


def test_a_named_release_is_found_on_both_hosts() -> None:
    named, other = releases()[SYSTEMD]["current"], releases()[SUPERVISOR]["current"]
    assert named != other
    succeeded("deploy", app="shop", greeting="named")
    assert not {named, other} & {one["current"] for one in releases().values()}
    succeeded("rollback", app="shop", release=named)
    after = releases()
    assert (after[SYSTEMD]["current"], after[SUPERVISOR]["current"]) == (named, other)
