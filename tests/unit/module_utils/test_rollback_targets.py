"""The release that a rollback chooses, and its warnings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import AppFacts, ReleaseFacts
from ansible_collections.slipway.kit.plugins.module_utils.rollback_targets import (
    NoTarget,
    OnHost,
    choose,
    left_by,
    migrated_since,
    targets,
)

ONE, TWO, THREE, FOUR = "v1-00000001", "v2-00000002", "v3-00000003", "v4-00000004"


UNKNOWN = ReleaseFacts(
    code=None, build=None, placed=None, bad=None, activated=None, previous=None, migrated=None, complete=True
)


def release(activated: str | None = None, previous: str | None = None, **more: Any) -> ReleaseFacts:
    return replace(UNKNOWN, activated=activated, previous=previous, **more)


def app_facts(current: str | None, **releases: ReleaseFacts) -> AppFacts:
    names = {"one": ONE, "two": TWO, "three": THREE, "four": FOUR}
    return AppFacts(current, {names[key]: value for key, value in releases.items()})


HISTORY = app_facts(THREE, one=release("2026-01-01"), two=release("2026-01-02", ONE), three=release("2026-01-03", TWO))


def test_it_goes_to_the_one_before() -> None:
    assert choose(HISTORY, None) == TWO


def test_it_goes_to_the_last_good_one_when_the_one_before_is_bad() -> None:
    HISTORY_BAD = AppFacts(THREE, {**HISTORY.releases, TWO: release("2026-01-02", ONE, bad="it hung")})
    assert choose(HISTORY_BAD, None) == ONE


@pytest.mark.parametrize("why", [{"complete": False}, {"activated": None}])
def test_it_goes_to_none_that_never_served(why: dict[str, Any]) -> None:
    host = app_facts(
        TWO,
        one=release("2026-01-01"),
        two=release("2026-01-02", ONE),
        four=release(**{"activated": "2026-01-09", **why}),
    )
    assert choose(host, None) == ONE


def test_any_that_is_complete_may_be_named() -> None:
    host = app_facts(
        TWO, one=release(), two=release("2026-01-02"), three=release(bad="it hung"), four=release(complete=False)
    )
    assert choose(host, ONE) == ONE
    assert choose(host, THREE) == THREE
    with pytest.raises(NoTarget, match="there is no release v4-00000004 on this host"):
        choose(host, FOUR)


def test_a_slip_is_reported_with_the_nearest_word() -> None:
    with pytest.raises(NoTarget, match=f"no release v2-0000002 on this host; did you mean {TWO}"):
        choose(HISTORY, "v2-0000002")
    with pytest.raises(NoTarget, match=f"there are: {THREE}, {TWO} .bad., {ONE} .never current.$"):
        # Two ids of the same beginning are much alike, and lead to quite different code.
        choose(
            app_facts(THREE, one=release(), two=release("2026-01-02", bad="x"), three=release("2026-01-03")),
            "v2-00000021",
        )
    with pytest.raises(NoTarget, match="no release x on this host, nor any other"):
        choose(app_facts(None), "x")


def test_with_nothing_to_go_back_to() -> None:
    with pytest.raises(NoTarget, match=r"no earlier good release on this host to go back to$"):
        choose(app_facts(ONE, one=release("2026-01-01")), None)
    with pytest.raises(NoTarget, match=rf"name another one by -e release=: {TWO} \(bad\)$"):
        choose(app_facts(ONE, one=release("2026-01-01"), two=release(bad="rolled back")), None)
    with pytest.raises(NoTarget, match="no earlier good release"):
        choose(app_facts(None), None)


def test_a_rollback_that_was_interrupted_after_the_switch_goes_no_further() -> None:
    host = app_facts(
        TWO, one=release("2026-01-01"), two=release(None, THREE), three=release("2026-01-03", TWO, bad="rolled back")
    )
    assert choose(host, None) == TWO


def test_a_deploy_that_was_interrupted_after_the_switch_is_taken_back() -> None:
    host = app_facts(THREE, one=release("2026-01-01"), two=release("2026-01-02", ONE), three=release(None, TWO))
    assert choose(host, None) == TWO


def test_migrations_since_the_target_was_current_are_reported() -> None:
    host = app_facts(
        THREE,
        one=release("2026-01-01T10", migrated="2026-01-01T09"),
        two=release("2026-01-02T10", migrated="2026-01-02T09"),
        three=release("2026-01-03T10"),
        four=release(None, migrated="2026-01-04T09"),  # migrated, and then failed its health check
    )
    assert migrated_since(host, ONE) == [TWO, FOUR]
    assert migrated_since(host, TWO) == [FOUR]
    assert migrated_since(host, FOUR) == [ONE, TWO]


def test_a_rollback_that_died_after_its_switch_is_finished_and_goes_no_further() -> None:
    died = {"purpose": "rollback", "apps": {"shop": {"from": THREE, "to": None}}}
    host = app_facts(
        TWO,
        one=release("2026-01-01"),
        two=release("2026-01-04", THREE),
        three=release("2026-01-03", TWO, bad="rolled back"),
    )
    assert left_by(died, "shop") == THREE
    assert choose(host, None, THREE) == TWO
    assert choose(host, None) == ONE
    # A rollback that died before its switch begins again. A deploy that died is no rollback.
    assert choose(HISTORY, None, THREE) == TWO
    assert left_by({**died, "purpose": "deploy"}, "shop") is None
    assert left_by(None, "shop") is None
    assert left_by(died, "blog") is None


def deployed(*versions: str, **more: Any) -> OnHost:
    """A host to which these versions were deployed, one each day; the last one is current. `v2b` has the code of v2, by another id."""
    ids = [f"{one[:2]}-{one[1:]:0>8}" for one in versions]
    releases = {
        one: release(f"2026-01-0{one[1]}", before, code=one[:2]) for before, one in zip([None, *ids], ids, strict=False)
    }
    return OnHost(AppFacts(ids[-1], releases), **more)


def test_hosts_go_back_together() -> None:
    assert targets({"a": deployed("v1", "v2"), "b": deployed("v1", "v2b")}, None) == {"a": ONE, "b": ONE}
    assert targets({"a": deployed("v1", "v2")}, None) == {"a": ONE}


def test_a_host_that_has_the_code_already_keeps_it() -> None:
    """After a deploy with `--limit`, on either host."""
    assert targets({"a": deployed("v1", "v2", "v3"), "b": deployed("v1", "v2")}, None) == {"a": TWO, "b": TWO}
    assert targets({"a": deployed("v1", "v2b"), "b": deployed("v1", "v2b", "v3")}, None) == {
        "a": "v2-0000002b",
        "b": "v2-0000002b",
    }
    assert targets({"a": deployed("v2"), "b": deployed("v1", "v2b", "v3")}, None) == {"a": TWO, "b": "v2-0000002b"}


def test_a_host_goes_further_back_to_the_code_of_the_others() -> None:
    hosts = {"a": deployed("v1", "v4"), "b": deployed("v1", "v2", "v3")}
    assert targets(hosts, None) == {"a": ONE, "b": ONE}


def test_hosts_without_the_same_code_go_back_to_nothing() -> None:
    chosen = targets({"a": deployed("v1", "v4"), "b": deployed("v2", "v3"), "c": deployed("v2", "v3")}, None)
    assert chosen["a"] == ONE
    assert (
        str(chosen["b"])
        == str(chosen["c"])
        == (
            f"its hosts would go back to different code: {ONE} on a, {TWO} on b, c. Choose the hosts with --limit, and their "
            "release with -e release="
        )
    )


def test_a_rollback_that_died_between_two_hosts_is_finished() -> None:
    back = OnHost(
        AppFacts(TWO, {**deployed("v1", "v2", "v3").facts.releases, TWO: release("2026-01-04", THREE, code="v2")}),
        THREE,
    )
    assert targets({"a": back, "b": deployed("v1", "v2", "v3", left=THREE)}, None) == {"a": TWO, "b": TWO}


def test_a_named_release_is_found_on_each_host_by_its_code() -> None:
    hosts = {"a": deployed("v1", "v2", "v3"), "b": deployed("v1b", "v2b", "v3")}
    assert targets(hosts, TWO) == {"a": TWO, "b": "v2-0000002b"}
    assert targets(hosts, THREE) == {"a": THREE, "b": THREE}
    chosen = targets({"a": deployed("v1", "v2"), "b": deployed("v2", "v3")}, ONE)
    assert chosen["a"] == ONE and str(chosen["b"]).startswith(f"there is no release {ONE} on this host")
    assert all(isinstance(one, NoTarget) for one in targets(hosts, FOUR).values())


def test_releases_with_the_same_code_are_told_apart_by_their_runs() -> None:
    """Only settings changed, and a host with another Python has other ids."""

    def host(prefix: str, *runs: str) -> OnHost:
        releases = {
            f"v1-{prefix}{n:07}": release(f"2026-01-0{n}", code="v1", runs=(run,)) for n, run in enumerate(runs, 1)
        }
        ids = list(releases)
        chain = {
            name: replace(releases[name], previous=before) for name, before in zip(ids, [None, *ids], strict=False)
        }
        return OnHost(AppFacts(ids[-1], chain))

    limited = {"a": host("a", "r1", "r2", "r3"), "b": host("b", "r1", "r2")}
    assert targets(limited, None) == {"a": "v1-a0000002", "b": "v1-b0000002"}
    complete = {"a": host("a", "r1", "r2"), "b": host("b", "r1", "r2")}
    assert targets(complete, None) == {"a": "v1-a0000001", "b": "v1-b0000001"}
    first = {"a": host("a", "r1", "r2"), "b": host("b", "r1", "r3")}  # one host first, then all
    assert targets(first, None) == {"a": "v1-a0000001", "b": "v1-b0000001"}
    same = {"a": host("a", "r1", "r2", "r3"), "b": host("a", "r4", "r5")}
    assert targets(same, None) == {"a": "v1-a0000002", "b": "v1-a0000002"}
    # A release that is named: the one of the same run, or none where several have its code.
    assert targets(complete, "v1-a0000001") == {"a": "v1-a0000001", "b": "v1-b0000001"}
    unlike = targets({"a": host("a", "r1", "r2"), "b": host("b", "r3", "r4")}, "v1-a0000001")
    assert unlike["a"] == "v1-a0000001" and isinstance(unlike["b"], NoTarget)
    # The second release is bad on the host that decides.
    a, b = host("a", "r1", "r2", "r3"), host("b", "r1", "r2", "r3")
    bad = {**a.facts.releases, "v1-a0000002": replace(a.facts.releases["v1-a0000002"], bad="it hung")}
    assert targets({"a": OnHost(AppFacts(a.facts.current, bad)), "b": b}, None) == {
        "a": "v1-a0000001",
        "b": "v1-b0000001",
    }
