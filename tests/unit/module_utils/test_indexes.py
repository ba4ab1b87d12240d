"""The package index of the hosts: the inventory's, else the one that the controller uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import indexes

PIP = {
    "index-url": "https://pip.example/simple",
    "extra-index-url": "https://a.example\nhttps://b.example",
    "cert": "/pip",
}


def test_nothing_said_is_the_tools_own_default() -> None:
    assert indexes.find({}, {}, {}) == indexes.Indexes(None, (), None)


def test_the_inventory_s_word_counts_most() -> None:
    inventory = {
        "package_index_url": "https://inventory.example/simple",
        "package_extra_index_urls": ["https://more.example"],
        "package_ca_file": "/inventory",
    }
    controller = {
        "UV_DEFAULT_INDEX": "https://uv.example/simple",
        "UV_INDEX": "https://x.example",
        "SSL_CERT_FILE": "/x",
    }
    assert indexes.find(inventory, controller, PIP) == indexes.Indexes(
        "https://inventory.example/simple", ("https://more.example",), "/inventory"
    )


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_the_controller_s_environment_counts_before_pip_s_files(name: str) -> None:
    assert indexes.find({}, {name: "https://env.example/simple"}, PIP).url == "https://env.example/simple"
    assert indexes.find({}, {name: ""}, PIP).url == "https://pip.example/simple"


def test_the_first_of_several_names_counts() -> None:
    names = {
        name: f"https://{name.lower().replace('_', '-')}.example"
        for name in ("UV_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX")
    }
    assert indexes.find({}, names, {}).url == "https://uv-default-index.example"


def test_pip_s_files() -> None:
    assert indexes.find({}, {}, PIP) == indexes.Indexes(
        "https://pip.example/simple", ("https://a.example", "https://b.example"), "/pip"
    )


def test_an_empty_list_of_the_inventory_is_a_word_too() -> None:
    assert indexes.find({"package_extra_index_urls": []}, {}, PIP).extra == ()


@pytest.mark.parametrize("url", ["http://localhost:3141/root", "http://127.0.0.1/simple", "https://localhost/simple"])
def test_what_only_the_controller_can_reach_stays_there(url: str) -> None:
    assert indexes.find({}, {"PIP_INDEX_URL": url}, {}).url is None
    assert indexes.find({}, {"PIP_INDEX_URL": url}, {}, remote=False).url == url


def test_a_folder_of_packages_is_no_index() -> None:
    assert indexes.find({}, {"PIP_INDEX_URL": "file:///wheels"}, {}, remote=False).url is None


def test_pip_s_own_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "pip.conf"
    monkeypatch.setattr(indexes, "PIP_FILES", ())
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    read = indexes.pip_settings.__wrapped__
    assert read() == {}
    conf.write_text("[global]\nindex-url = https://u:100%25@mirror.example/simple\n")
    assert read() == {"index-url": "https://u:100%25@mirror.example/simple"}
    conf.write_text("no section = here\n")
    assert read() == {}
