"""The release that a rollback chooses, and its warnings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.slipway.kit.plugins.action.rollback import choose, left_by, migrated_since
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import AppFacts, ReleaseFacts

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
    with pytest.raises(AnsibleActionFail, match="there is no release v4-00000004 on this host"):
        choose(host, FOUR)


def test_a_slip_is_reported_with_the_nearest_word() -> None:
    with pytest.raises(AnsibleActionFail, match=f"no release v2-0000002 on this host; did you mean {TWO}"):
        choose(HISTORY, "v2-0000002")
    with pytest.raises(AnsibleActionFail, match=f"there are: {THREE}, {TWO} .bad., {ONE} .never current.$"):
        # Two ids of the same beginning are much alike, and lead to quite different code.
        choose(
            app_facts(THREE, one=release(), two=release("2026-01-02", bad="x"), three=release("2026-01-03")),
            "v2-00000021",
        )
    with pytest.raises(AnsibleActionFail, match="no release x on this host, nor any other"):
        choose(app_facts(None), "x")


def test_with_nothing_to_go_back_to() -> None:
    with pytest.raises(AnsibleActionFail, match=r"no earlier good release on this host to go back to$"):
        choose(app_facts(ONE, one=release("2026-01-01")), None)
    with pytest.raises(AnsibleActionFail, match=rf"name another one by -e release=: {TWO} \(bad\)$"):
        choose(app_facts(ONE, one=release("2026-01-01"), two=release(bad="rolled back")), None)
    with pytest.raises(AnsibleActionFail, match="no earlier good release"):
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
