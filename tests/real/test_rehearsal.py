"""nginx checks a set of files before any of them is in place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.files import fileset, paths, rehearsal

from tests.unit.module_utils.host.files.test_fileset import item, tree

from .conftest import NGINX

pytestmark = pytest.mark.real


class Machine:
    """An nginx folder like real ones: with links, relative and absolute names, large files, and a folder behind a link."""

    def __init__(self, top: Path) -> None:
        self.top, self.etc, self.home = top, top / "etc/nginx", top / "state"
        for folder in ("conf.d", "slipway", "sites-enabled", "sites-available", "snippets"):
            (self.etc / folder).mkdir(parents=True)
        (top / "modules").mkdir()
        (self.etc / "modules").symlink_to(top / "modules")
        (self.etc / "mime.types").write_text("types { text/html html; }\n")
        (self.etc / "large.list").write_text("# addresses\n" * 200_000)
        (self.etc / "snippets/a.conf").write_text("add_header A b;\n")
        (self.etc / "sites-available/other").write_text(
            f"server {{ listen 127.0.0.1:8099; include snippets/a.conf; include {self.etc}/snippets/a*.conf; access_log {top}/log; }}\n"
        )
        (self.etc / "sites-enabled/other").symlink_to(f"{self.etc}/sites-available/other")
        (self.etc / "nginx.conf").write_text(
            f"pid {top}/pid; error_log {top}/log;\nevents {{}}\nhttp {{ include mime.types; include {self.etc}/conf.d/*.conf; "
            f"include sites-enabled/*; client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f; "
            f"uwsgi_temp_path {top}/u; scgi_temp_path {top}/s; }}\n"
        )

    def rehearse(self, *items: dict[str, Any]) -> None:
        wanted = fileset.Wanted(
            [dict(one, number=n) for n, one in enumerate(items)], [str(NGINX), "-t", "-q", "-e", f"{self.top}/log"]
        )
        rehearsal.rehearse(wanted, str(self.etc), str(self.home))

    def site(self, extra: str) -> list[dict[str, Any]]:
        """A site, whose location is a separate file that includes another."""
        conf, location, extra_file = (
            self.etc / "conf.d/slipway-site.conf",
            self.etc / "slipway/shop.conf",
            self.etc / "slipway/shop.extra.conf",
        )
        return [
            item(conf, f"server {{ listen 127.0.0.1:8098; include {location}; }}\n"),
            item(location, f"location / {{ proxy_read_timeout 30s; include {extra_file}; }}\n"),
            item(extra_file, extra, about="apps.shop.nginx_extra"),
        ]


@pytest.fixture
def machine() -> Iterator[Machine]:
    top = Path(tempfile.mkdtemp(prefix="n", dir="/tmp"))
    yield Machine(top)
    shutil.rmtree(top)


def test_a_good_set_is_taken_and_nothing_is_left(machine: Machine) -> None:
    before = tree(machine.etc)
    machine.rehearse(*machine.site("add_header A b;\n"))
    assert tree(machine.etc) == before
    assert os.listdir(machine.home) == []


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("proxy_read_timeout 5s;\n", '"proxy_read_timeout" directive is duplicate'),
        ("no_such_directive on;\n", 'unknown directive "no_such_directive"'),
        ("}\n", 'unexpected "}"'),
        ("set $a $no_such_variable;\n", 'unknown "no_such_variable" variable'),
    ],
)
def test_a_bad_one_is_refused_by_app_key_and_directive(machine: Machine, extra: str, message: str) -> None:
    before = tree(machine.etc)
    with pytest.raises(paths.Refused) as caught:
        machine.rehearse(*machine.site(extra))
    text = str(caught.value)
    assert message in text
    assert f"{machine.etc}/slipway/shop.extra.conf is made from apps.shop.nginx_extra" in text
    assert str(machine.home) not in text
    assert tree(machine.etc) == before
    assert os.listdir(machine.home) == []


def test_what_is_elsewhere_and_what_is_replaced_or_goes_counts(machine: Machine) -> None:
    for one in machine.site("bad;\n"):
        Path(one["dest"]).write_text(one["text"])
    with pytest.raises(paths.Refused):  # it is bad already, and would stay so
        machine.rehearse(item(machine.etc / "conf.d/x.conf", "# x\n"))
    machine.rehearse(*machine.site("# better\n"))
    machine.rehearse(*(item(Path(one["dest"]), state="absent") for one in machine.site("")))
    machine.rehearse(
        item(machine.etc / "conf.d/slipway-site.conf", state="absent"), item(machine.top / "elsewhere", "no nginx\n")
    )


@pytest.mark.parametrize("folder", ["conf.d", "sites-enabled"])
def test_a_link_to_nothing_is_refused_as_nginx_itself_will(machine: Machine, folder: str) -> None:
    """The deploy would run its migration first, and fail after it."""
    (machine.etc / folder / "gone.conf").symlink_to("/nonexistent.conf")
    with pytest.raises(paths.Refused, match=rf"{folder}/gone[.]conf. failed"):
        machine.rehearse(*machine.site("add_header A b;\n"))
    (machine.etc / folder / "gone.conf").unlink()
    (machine.etc / "modules/gone").symlink_to("nowhere")  # nginx reads nothing of it
    os.mkfifo(machine.etc / "snippets/pipe")
    machine.rehearse(*machine.site("add_header A b;\n"))


@pytest.mark.parametrize("linked", ["conf.d", "slipway"])
def test_what_is_behind_a_link_to_a_folder_stays_as_it_is(machine: Machine, linked: str) -> None:
    behind = machine.top / f"disk-{linked}"
    (machine.etc / linked).rename(behind)
    (machine.etc / linked).symlink_to(behind)
    for one in machine.site("add_header A b;\n"):
        Path(one["dest"]).write_text(one["text"])
    before = tree(behind)
    machine.rehearse(*machine.site("add_header A c;\n"))
    machine.rehearse(*(item(Path(one["dest"]), state="absent") for one in machine.site("")))
    with pytest.raises(paths.Refused):
        machine.rehearse(*machine.site("bad;\n"))
    assert tree(behind) == before


def test_a_set_in_order_asks_nobody(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    one = item(machine.etc / "conf.d/x.conf", "# x\n")
    Path(one["dest"]).write_text(one["text"])
    monkeypatch.setattr(rehearsal, "validated", None)
    machine.rehearse(one)
