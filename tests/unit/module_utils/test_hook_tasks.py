"""The check of hooks reads tasks as Ansible does in a run."""

from __future__ import annotations

import pytest
import yaml
from ansible.modules import meta
from ansible_collections.slipway.kit.plugins.module_utils import hook_tasks


def test_the_words_of_meta_are_ansible_s() -> None:
    words = yaml.safe_load(meta.DOCUMENTATION)["options"]["free_form"]["choices"]
    assert sorted(hook_tasks.META) == sorted(words)


def test_a_file_is_read_as_the_run_includes_it() -> None:
    (block,) = yaml.safe_load((hook_tasks.KIT / "run_task_file.yml").read_text())
    assert {key: block[key] for key in block.keys() - {"name", "vars", "block", "rescue"}} == hook_tasks.BLOCK


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("purge.yml", "purge.yml"),
        ("{{ app_name }}/{{item}}.yml", "shop/a.yml"),
        ("{{ nosuch }}.yml", ""),
        ("{{ app_name | upper }}.yml", ""),
        ("{% if app_name %}a{% endif %}", ""),
        ("{{ lookup('pipe', 'touch /tmp/a') }}", ""),
    ],
)
def test_only_known_variables_are_rendered(text: str, name: str) -> None:
    assert hook_tasks.rendered(text, {"app_name": "shop", "item": "a"}) == name
