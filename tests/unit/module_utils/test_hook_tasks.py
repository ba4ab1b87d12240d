"""The words of `meta` that the check of hooks knows are those of ansible-core."""

from __future__ import annotations

import yaml
from ansible.modules import meta
from ansible_collections.slipway.kit.plugins.module_utils import hook_tasks


def test_the_words_of_meta_are_ansible_s() -> None:
    words = yaml.safe_load(meta.DOCUMENTATION)["options"]["free_form"]["choices"]
    assert sorted(hook_tasks.META) == sorted(words)
