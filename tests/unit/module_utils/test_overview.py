"""The overview: a row for each program, a sentence with the next command for each problem, and a page that is safe to open."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import drift_report, drift_steps, overview, status_page

NOW = 1_800_000_000.0


def program(**changes: Any) -> dict[str, Any]:
    common = {
        "name": "web", "unit": "slipway-shop-v1-0123abcd", "alive": True, "detail": "", "release": "v1-0123abcd",
        "since": int(NOW) - 90_061, "processes": 2, "memory": 50_000_000, "restarts": 0,
    }  # fmt: skip
    return {**common, **changes}


def timer(**changes: Any) -> dict[str, Any]:
    last = {"began": int(NOW) - 7300, "seconds": 42, "result": "success", "status": "0", "release": "v1-0123abcd"}
    common = {"name": "clean", "schedule": "03:30", "last": last, "running": None, "next": int(NOW) + 3600, "fault": ""}
    return {**common, **changes, "last": {**last, **changes["last"]} if "last" in changes else last}


def state(app: dict[str, Any] | None = None, host: dict[str, Any] | None = None, **traffic: Any) -> dict[str, Any]:
    counts = {"requests": 300, "errors": 0, "p95": 12, "counts": [10] * 30, "failed": [0] * 30, **traffic}
    return {
        "host": {
            "disk": {"path": "/", "percent": 40, "free": 1}, "reboot": False, "nginx": True, "complaints": [], "certificates": [],
            "drift": [], **(host or {}),
        },
        "apps": [
            {
                "app": "shop", "current": "v1-0123abcd", "drift": [], "programs": [program()], "timers": [], "answers": None,
                "queue": 0, "workers": 2, "activated": "", **(app or {}),
            }
        ],
        "traffic": [{"app": "shop", "site": "shop.test", **counts}],
        "busy": False,
    }  # fmt: skip


def test_a_host_that_is_well() -> None:
    seen = overview.overview({"one": state()}, NOW)
    assert not seen.problems and seen.plain()["well"]
    text = overview.text(seen, NOW)
    assert re.search(r"one +shop +v1-0123abcd +1d 1h +2/2 +1\.0 +0\.0% +12 ms +50 MB +0 +0 +40 % +- +0\n", text)
    assert text.endswith("All is well.")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"trouble": "Connection refused"}, "one: does not answer: Connection refused. Next: ssh one"),
        (state(host={"nginx": False}), "nginx does not run"),
        (
            state(host={"complaints": ['[emerg] unknown directive "x" in /etc/nginx/a.conf:1']}),
            'one: nginx would not start again: [emerg] unknown directive "x" in /etc/nginx/a.conf:1. Next: ssh one nginx -t',
        ),
        (
            state(
                host={
                    "complaints": [
                        f'[warn] conflicting server name "a.test" on {on}, ignored' for on in ("0.0.0.0:80", "[::]:80")
                    ]
                }
            ),
            "one: two of nginx's sites have the name a.test, and nginx serves the first one alone. Next: ssh one nginx -T",
        ),
        (state(host={"disk": {"path": "/srv", "percent": 95, "free": 1}}), "the disk of /srv is 95 % full"),
        (state(host={"reboot": True}), "an update waits for a reboot. Next: ssh one reboot"),
        (state(host={"certificates": [{"site": "shop.test", "days": 3}]}), "certificate of shop.test ends in 3 days"),
        (state(host={"certificates": [{"site": "shop.test", "days": -1}]}), "certificate of shop.test has expired"),
        (
            state(host={"certificates": [{"site": "shop.test", "days": None}]}),
            "certificate of shop.test cannot be read",
        ),
        (
            state({"current": None, "programs": []}),
            "shop is in the inventory, and not on this host. Next: ansible-playbook",
        ),
        (state({"programs": [program(alive=False, detail="exit status 3")]}), "shop does not run: exit status 3"),
        (
            state({"programs": [program(alive=False, detail="stopped")]}),
            "shop does not run: stopped. Next: ansible-playbook playbooks/deploy.yml",
        ),
        (state({"programs": [program(release="v0-0123abcd")]}), "shop runs v0-0123abcd, and v1-0123abcd is current"),
        (state({"programs": [program(restarts=2, since=int(NOW) - 5)]}), "crashed and was started again 2 times"),
        (state({"programs": [program(processes=1)]}), "shop has 1 of its 2 workers"),
        (state({"programs": [program(), program(name="worker.1", alive=False)]}), "shop worker.1 does not run"),
        (state({"answers": "GET / was answered 500\nmore"}), "does not answer well: GET / was answered 500. Next"),
        (state({"queue": 40}), "shop has 40 requests that wait for a worker"),
        (state(errors=9, failed=[9] + [0] * 29), "shop answered 9 requests (3%) with a server error"),
        (
            state({"timers": [timer(last={"result": "failed", "status": "3"})]}),
            "shop timer clean failed with exit status 3, 2h 1m ago. Next: ansible-playbook playbooks/logs.yml -e app=shop "
            "--limit one -e since=3h",
        ),
        (state({"timers": [timer(last={"result": "failed", "status": "KILL"})]}), "timer clean was killed by SIGKILL"),
        (
            state({"timers": [timer(last={"result": "timeout"})]}),
            "timer clean exceeded its timeout and was killed after 42s",
        ),
        (
            state({"timers": [timer(fault="is stopped")]}),
            "shop timer clean is stopped. Next: ansible-playbook playbooks/deploy",
        ),
        (
            state({"drift": [{"kind": "process", "app": "shop", "subject": "u", "detail": "d"}]}),
            "1 thing is not as Slipway left it",
        ),
        (
            state(
                {
                    "drift": [
                        {"kind": "unit", "app": "shop", "subject": "slipway-shop-v1-0123abcd", "detail": "is disabled"}
                    ]
                }
            ),
            "one: shop slipway-shop-v1-0123abcd is disabled. Next: ansible-playbook playbooks/deploy.yml -e app=shop --limit one",
        ),
        (
            state(host={"drift": [{"kind": "unit", "app": "", "subject": "nginx.service", "detail": "is disabled"}]}),
            "one: nginx.service is disabled. Next: ansible-playbook site.yml --limit one",
        ),
        (
            state(
                host={
                    "drift": [
                        {
                            "kind": "unserved",
                            "app": "shop",
                            "subject": "shop.test",
                            "detail": "does not lead to shop on this host",
                        }
                    ]
                }
            ),
            "one: shop.test does not lead to shop on this host. Next: ansible-playbook playbooks/drift.yml --limit one",
        ),
    ],
)
def test_each_problem_is_named_with_the_next_command(broken: dict[str, Any], words: str) -> None:
    seen = overview.overview({"one": broken, "two": state()}, NOW)
    [problem] = seen.problems
    assert words in str(problem) and ". Next: " in str(problem), str(problem)
    assert f"! {problem}" in overview.text(seen, NOW)


def test_hosts_with_other_code_are_named() -> None:
    def host(code: str, activated: str, source: str = "a", version: str = "local") -> dict[str, Any]:
        about = {"code": code, "version": version, "activated": activated, "current": f"local-{code}"}
        return {**state({**about, "programs": [program(release=about["current"])]}), "sources": {"shop": source}}

    old, new = host("0000000a", "2026-11-26T00:00:00Z"), host("0000000b", "2026-11-28T00:00:00Z")
    seen = overview.overview({"one": old, "two": new, "three": old}, NOW)
    assert [str(one) for one in seen.problems] == [
        f"{name}: shop has other code (local-0000000a) than two (local-0000000b), where it was activated last. "
        "Next: ansible-playbook playbooks/deploy.yml -e app=shop"
        for name in ("one", "three")
    ]
    assert not overview.overview({"one": old, "two": host("0000000a", "2026-11-28T00:00:00Z")}, NOW).problems
    assert not overview.overview({"one": old, "two": {**new, "sources": {"shop": "b"}}}, NOW).problems
    assert not overview.overview({"one": old, "two": host("", "2026-11-28T00:00:00Z")}, NOW).problems
    other = host("0000000a", "2026-11-28T00:00:00Z", version="v2")
    assert len(overview.overview({"one": old, "two": other}, NOW).problems) == 1


def test_timers_have_a_table() -> None:
    never = {**timer(name="report", next=None), "last": None}
    one = state({"timers": [timer(), never, timer(name="fetch", running=int(NOW) - 5)]})
    seen = overview.overview({"one": one}, NOW)
    assert not seen.problems and [one["timer"] for one in seen.plain()["timers"]] == ["clean", "report", "fetch"]
    text = overview.text(seen, NOW)
    assert re.search(r"one +shop +clean +03:30 +2h 1m ago +42s +success +in 1h\n", text), text
    assert re.search(r"one +shop +report +03:30 +- +- +- +-\n", text)
    assert re.search(r"one +shop +fetch +03:30 .* +running\n", text)
    page = status_page.page(seen, NOW)
    assert page.count("<table>") == 2 and page.count("<tr class=") == 4 and 'data-value="7300.0"' in page


def test_an_old_restart_and_few_errors_are_no_problem() -> None:
    fine = state({"programs": [program(restarts=2)]}, errors=3, failed=[3] + [0] * 29)
    assert not overview.overview({"one": fine}, NOW).problems


def test_the_page_shows_everything_and_runs_nothing_of_a_host() -> None:
    evil = "<script>alert(1)</script>"
    seen = overview.overview({"one": state({"answers": evil}), "two": {"trouble": evil}}, NOW)
    page = status_page.page(seen, NOW)
    assert evil not in page and page.count("&lt;script&gt;") == 2 and page.count("<script>") == 1
    assert "2 problems" in page and page.count("<rect ") == 30 and not re.search(r"@\w+@", page)
    assert "src=" not in page and "//" not in page.replace("<!--", "")


def test_a_site_that_slipway_does_not_manage_is_drift_and_no_problem() -> None:
    site = {"kind": "site", "app": "", "subject": "/etc/nginx/conf.d/legacy.conf", "detail": "is a site"}
    states = {"one": state(host={"drift": [site]})}
    seen = overview.overview(states, NOW)
    assert (seen.problems, seen.hosts[0].drift) == ([], 0)
    assert len(list(drift_report.problems(states))) == 1


def test_drift_is_named_by_host() -> None:
    drift = {"kind": "release", "app": "shop", "subject": "v1-0123abcd", "detail": "was changed on the disk: code/x.py"}
    problems = list(drift_report.problems({"one": state({"drift": [drift]}), "two": {"trouble": "no route"}}))
    text = drift_report.text(problems, 2)
    assert "! one: shop v1-0123abcd was changed on the disk: code/x.py. Next: put back what was changed" in text
    assert "! two: does not answer: no route" in text
    assert drift_report.text([], 1) == "Nothing has drifted (1 host)."


@pytest.mark.parametrize(
    ("kind", "app", "subject", "step"),
    [
        ("unit", "", "nginx.service", "ansible-playbook site.yml --limit one"),
        ("unit", "", "slipway-firewall.service", "ansible-playbook playbooks/harden.yml --limit one"),
        ("unit", "shop", "slipway-shop-v1-0123abcd", "ansible-playbook playbooks/deploy.yml -e app=shop --limit one"),
        ("masked", "", "nginx.service", "ssh one systemctl unmask nginx.service, then ansible-playbook site.yml --limit one"),
        (
            "masked", "shop", "slipway-shop.timer.clean.timer",
            "ssh one systemctl unmask slipway-shop.timer.clean.timer, then ansible-playbook playbooks/deploy.yml -e app=shop "
            "--limit one",
        ),
        ("file", "", "/etc/x", "ansible-playbook site.yml --check --diff --limit one"),
    ],
)  # fmt: skip
def test_a_unit_that_does_not_start_at_boot_has_the_playbook_that_enables_it(
    kind: str, app: str, subject: str, step: str
) -> None:
    assert drift_steps.step("one", {"kind": kind, "app": app, "subject": subject, "detail": ""}) == step


def test_the_next_commands_read_the_inventory_of_the_run() -> None:
    problems = [
        overview.Problem("one", "", "is wrong", "ansible-playbook site.yml --limit one"),
        overview.Problem("one", "", "is wrong", "ssh one reboot"),
    ]
    assert overview.within(problems, []) == problems
    assert [one.next for one in overview.within(problems, ["in ventories/x", "one,"])] == [
        "ansible-playbook -i 'in ventories/x' -i one, site.yml --limit one",
        "ssh one reboot",
    ]


def test_commands_by_ssh_go_where_the_run_goes() -> None:
    states = {
        "one": {**state(host={"reboot": True}), "by": "ssh -p 2222 deploy@192.0.2.7"},
        "two": {"trouble": "no route", "by": "ssh 192.0.2.8"},
        "three": {"trouble": "no route"},
        "here": {**state(host={"reboot": True}), "by": ""},
    }
    problems = overview.reached(overview.overview(states, NOW).problems, states)
    assert [one.next for one in problems] == [
        "ssh -p 2222 deploy@192.0.2.7 reboot",
        "ssh 192.0.2.8",
        "ssh three",
        "reboot",
    ]
    assert overview.silent(states)[0] == "two: does not answer: no route. Next: ssh 192.0.2.8"


def test_an_app_that_only_the_host_has_is_to_be_removed() -> None:
    path = "/etc/nginx/conf.d/slipway-site-notes.test.conf"
    drift = {
        "kind": "leftover",
        "app": "notes",
        "subject": path,
        "detail": "serves notes, which the inventory does not have",
    }
    [problem] = drift_report.problems({"one": state(host={"drift": [drift]})})
    assert str(problem) == (
        f"one: {path} serves notes, which the inventory does not have. "
        "Next: ansible-playbook playbooks/remove.yml -e app=notes --limit one, unless another inventory deploys it"
    )
    [problem] = drift_report.problems({"one": state(host={"drift": [{**drift, "app": "notes; id"}]})})
    assert "-e app='notes; id' " in problem.next


def test_a_host_that_was_never_set_up_has_one_problem() -> None:
    fresh = state({"current": None, "programs": []}, host={"nginx": False})
    fresh["apps"].append({**fresh["apps"][0], "app": "blog"})
    assert [str(one) for one in overview.overview({"one": fresh}, NOW).problems] == [
        "one: is not set up: nginx does not run, and no app is on this host. Next: ansible-playbook site.yml --limit one"
    ]
    fresh["host"]["nginx"] = True
    assert len(overview.overview({"one": fresh}, NOW).problems) == 2
